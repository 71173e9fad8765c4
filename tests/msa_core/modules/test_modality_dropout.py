"""Method 12, missing data (`missing.mask`, `missing.moddrop`): every answer known in advance.

Shapes: B utterances, T steps, D features, M modalities.
"""

import math

import pytest
import torch

from msa_core.config.fields import MODALITIES
from msa_core.modules.missing import FrameMask, ModalityDropout

B, T, D = 500, 40, 3


def generator(seed):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def frames():
    return torch.rand(B, T, D, generator=generator(9)) + 0.5


def masked(frames, rate, seed=0):
    module = FrameMask(rate).train()
    module.steps = T
    module.drawn = module.prepare_draws(module.draw(rate, B, generator(seed)), torch.tensor(rate))
    return module(frames)


def left(rate, names=MODALITIES, rows=B, seed=0):
    """Which of the modalities are left in each row, [M, B]."""
    module = ModalityDropout(rate).train()
    module.drawn = module.prepare_draws(
        module.draw(rate, rows, generator(seed)), torch.tensor(rate)
    )
    return torch.stack(list(module({name: torch.ones(rows) for name in names}).values()))


def test_mask_rate_0_is_the_identity(frames):
    assert torch.equal(masked(frames, 0.0), frames)


def test_mask_rate_1_leaves_no_frame(frames):
    """In the source [CLS] and [SEP] of a text stay; features have no such frames."""
    assert not masked(frames, 1.0).any()


@pytest.mark.parametrize("rate", [0.05, 0.2, 0.5, 0.9])
@pytest.mark.parametrize("seed", range(3))
def test_mask_empirical_rate_is_within_the_binomial_interval(frames, rate, seed):
    share = (masked(frames, rate, seed)[..., 0] == 0).float().mean().item()
    assert abs(share - rate) < 3.3 * math.sqrt(rate * (1 - rate) / (B * T))  # 99.9 %


def test_moddrop_rate_0_is_the_identity():
    assert left(0.0).all()


@pytest.mark.parametrize("rate", [0.3, 0.7, 0.95])
@pytest.mark.parametrize("names", [MODALITIES, ("text", "vision"), ("audio",)])
def test_moddrop_never_takes_all(rate, names):
    assert (left(rate, names).sum(dim=0) >= 1).all()


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("names", [MODALITIES, ("text", "vision"), ("audio",)])
def test_moddrop_takes_each_modality_with_p_less_p_to_the_m_over_m(rate, names):
    """p, less the share of rows where it is the one that stays of M that were all to go."""
    rows, expected = 20_000, rate - rate ** len(names) / len(names)
    missing = 1 - left(rate, names, rows).mean(dim=1)
    error = 3.6 * math.sqrt(expected * (1 - expected) / rows)  # 99.9 % for all three
    assert missing.tolist() == pytest.approx([expected] * len(names), abs=error + 1e-12)


def test_moddrop_takes_modalities_independently_where_some_is_left():
    rows = 20_000
    gone = 1 - left(0.2, rows=rows)
    both = (gone[0] * gone[1]).mean().item()
    # Both go, and then the third either stays by itself or is the one kept of three.
    expected = 0.2**2 * 0.8 + 0.2**3 / 3
    assert both == pytest.approx(expected, abs=4 * math.sqrt(expected / rows))
