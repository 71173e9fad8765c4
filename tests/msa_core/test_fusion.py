"""Fusion operators: known answers, and the width that the head is built for."""

import pytest
import torch

from msa_core.config import MODALITIES, Config, FusionConfig
from msa_core.config_paths import fields_of, fused_entries, replace
from msa_core.modules.fusion import FUSIONS, average, concat, tensor_product

ONE_TWO_THREE = [torch.tensor([[float(value)]]) for value in (1, 2, 3)]


def rows_of(width, modalities=3, rows=5):
    generator = torch.Generator().manual_seed(7)
    return [torch.randn(rows, width, generator=generator) for _ in range(modalities)]


def test_every_fusion_is_an_allowed_choice_and_the_other_way_round():
    info, _ = fields_of(FusionConfig)["kind"]
    assert set(info.choices) == set(FUSIONS)
    assert FusionConfig().kind in FUSIONS


def test_the_tensor_product_of_1_2_and_3_is_known():
    fused = tensor_product(ONE_TWO_THREE)
    assert sorted(fused[0].tolist()) == [1, 1, 2, 2, 3, 3, 6, 6]
    assert fused.sum().item() == 24 == (1 + 1) * (1 + 2) * (1 + 3)


def test_the_tensor_product_is_the_outer_product_of_the_extended_vectors():
    first, second, third = rows_of(width=2)
    extended = [torch.cat([torch.ones(5, 1), rows], dim=1) for rows in (first, second, third)]
    outer = torch.einsum("bi,bj,bk->bijk", *extended).flatten(start_dim=1)
    torch.testing.assert_close(tensor_product([first, second, third]), outer)


def test_the_tensor_product_of_two_modalities_has_their_product():
    assert sorted(tensor_product(ONE_TWO_THREE[1:])[0].tolist()) == [1, 2, 3, 6]


def test_the_tensor_product_of_one_modality_is_it_and_a_one():
    assert tensor_product(ONE_TWO_THREE[2:]).tolist() == [[1, 3]]


def test_sum_fusion_is_the_mean_of_the_modalities():
    assert average(ONE_TWO_THREE).tolist() == [[2]]
    rows = rows_of(width=4)
    torch.testing.assert_close(average(rows), (rows[0] + rows[1] + rows[2]) / 3)


def test_concat_puts_the_vectors_side_by_side():
    assert concat(ONE_TWO_THREE).tolist() == [[1, 2, 3]]
    rows = rows_of(width=4)
    for place, vectors in enumerate(rows):
        assert torch.equal(concat(rows)[:, 4 * place : 4 * (place + 1)], vectors)


def fused_by(kind, modalities, width):
    """The width that a configuration is built for."""
    used = {f"model.{name}.use": place < modalities for place, name in enumerate(MODALITIES)}
    return fused_entries(
        replace(Config(), {**used, "model.fusion.kind": kind, "model.projection.width": width})
    )


@pytest.mark.parametrize("kind", sorted(FUSIONS))
@pytest.mark.parametrize("modalities", [1, 2, 3])
def test_the_width_is_that_of_the_fused_vector(kind, modalities):
    fused = FUSIONS[kind](rows_of(width=3, modalities=modalities))
    assert fused.shape == (5, fused_by(kind, modalities, 3))


@pytest.mark.parametrize(("kind", "width"), [("concat", 12), ("sum", 4), ("tfn", 125)])
def test_the_widths_are_known(kind, width):
    assert fused_by(kind, 3, 4) == width


@pytest.mark.parametrize("kind", sorted(FUSIONS))
def test_an_utterance_is_fused_by_itself(kind):
    rows = rows_of(width=3)
    alone = FUSIONS[kind]([vectors[2:3] for vectors in rows])
    assert torch.equal(FUSIONS[kind](rows)[2:3], alone)


@pytest.mark.parametrize("kind", sorted(FUSIONS))
def test_the_gradient_reaches_every_modality(kind):
    rows = [vectors.requires_grad_() for vectors in rows_of(width=3)]
    FUSIONS[kind](rows).square().sum().backward()
    assert all(vectors.grad.any(dim=1).all() for vectors in rows)
