"""Fusion operators: what each promises, and the width that the head is built for."""

import pytest
import torch

from msa_core.config import MODALITIES, Config, FusionConfig
from msa_core.config_paths import fields_of, replace
from msa_core.config_rules import fused_entries
from msa_core.modules.fusion import FUSIONS
from msa_core.modules.seen import Seen


def rows_of(width, modalities=3, rows=5):
    generator = torch.Generator().manual_seed(7)
    return [torch.randn(rows, width, generator=generator) for _ in range(modalities)]


def fused(kind, rows):
    """What an operator makes of the vectors of the first modalities."""
    names = MODALITIES[: len(rows)]
    projected = dict(zip(names, rows, strict=True))
    seen = Seen(features={}, lengths={}, encoded={}, projected=projected, labels=torch.zeros(0))
    operator = FUSIONS[kind](names, rows[0].shape[1], getattr(FusionConfig(), kind))
    return operator(seen)[0]


def test_every_fusion_is_an_allowed_choice_and_the_other_way_round():
    info, _ = fields_of(FusionConfig)["kind"]
    assert set(info.choices) == set(FUSIONS)
    assert FusionConfig().kind in FUSIONS


def fused_by(kind, modalities, width):
    """The width that a configuration is built for."""
    used = {f"model.{name}.use": place < modalities for place, name in enumerate(MODALITIES)}
    return fused_entries(
        replace(Config(), {**used, "model.fusion.kind": kind, "model.projection.width": width})
    )


@pytest.mark.parametrize("kind", sorted(FUSIONS))
@pytest.mark.parametrize("modalities", [1, 2, 3])
def test_the_width_is_that_of_the_fused_vector(kind, modalities):
    vectors = fused(kind, rows_of(width=3, modalities=modalities))
    assert vectors.shape == (5, fused_by(kind, modalities, 3))


@pytest.mark.parametrize(("kind", "width"), [("concat", 12), ("sum", 4), ("tfn", 125)])
def test_the_widths_are_known(kind, width):
    assert fused_by(kind, 3, 4) == width


@pytest.mark.parametrize("kind", sorted(FUSIONS))
def test_an_utterance_is_fused_by_itself(kind):
    rows = rows_of(width=3)
    alone = fused(kind, [vectors[2:3] for vectors in rows])
    assert torch.equal(fused(kind, rows)[2:3], alone)


@pytest.mark.parametrize("kind", sorted(FUSIONS))
def test_the_gradient_reaches_every_modality(kind):
    rows = [vectors.requires_grad_() for vectors in rows_of(width=3)]
    fused(kind, rows).square().sum().backward()
    assert all(vectors.grad.any(dim=1).all() for vectors in rows)
