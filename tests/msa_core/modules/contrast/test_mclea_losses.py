"""Method 9, contrast with learned uncertainty (MCLEA, 2022): every answer known in advance.

Shapes: N rows a side, D and E = widths, M losses.
"""

import math

import pytest
import torch
from torch.nn.functional import cross_entropy, kl_div, normalize

from msa_core.modules.contrast.base import uncertainty_weighted
from msa_core.modules.parts.similarity import ial, icl

SEED = 9  # of `draw`

# Candidates of a row of two orthonormal pairs at temperature 1: the partner, e of e + 2.
PAIRS = torch.eye(2, 3, dtype=torch.float64)
EQUAL = torch.ones(2, 4, dtype=torch.float64)


def doubles(*values):
    return torch.tensor(values, dtype=torch.float64)


def wide_logits(own, other, temperature):
    """The 2 N-wide logits of one side, itself masked out."""
    own, other = normalize(own), normalize(other)
    within = (own @ own.T).fill_diagonal_(-1e9)
    return torch.cat([own @ other.T, within], dim=1) / temperature


# --- ICL.


@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_equal_rows_give_the_logarithm_of_2_n_less_1(draw, temperature):
    rows = draw(1, 3).expand(4, 3)
    found = icl(rows, rows, temperature).item()
    assert found == pytest.approx(math.log(2 * 4 - 1), abs=1e-12)
    assert found == pytest.approx(1.945910, abs=5e-7)


def test_two_orthonormal_pairs_at_temperature_1_give_the_known_value():
    found = icl(PAIRS, PAIRS, 1.0).item()
    assert found == pytest.approx(math.log(1 + 2 / math.e), rel=1e-12)
    assert found == pytest.approx(0.551445, abs=5e-7)


def test_icl_is_the_symmetric_mean_cross_entropy_over_2_n_less_1_candidates(draw):
    first, second = draw(5, 3), draw(5, 3)
    wanted = torch.arange(5)
    sides = [wide_logits(first, second, 0.2), wide_logits(second, first, 0.2)]
    expected = sum(cross_entropy(logits, wanted) for logits in sides) / 2
    assert icl(first, second, 0.2).item() == pytest.approx(expected.item(), rel=1e-9)
    assert icl(second, first, 0.2).item() == pytest.approx(expected.item(), rel=1e-9)


# --- IAL.


def test_a_modality_that_is_the_joint_representation_has_no_ial(draw):
    joint = (draw(5, 3), draw(5, 3))
    assert ial(*joint, *joint, 0.1).item() == pytest.approx(0.0, abs=1e-12)
    # Only angles count: a rotated and scaled modality has the joint's logits.
    turn, _ = torch.linalg.qr(draw(3, 3))
    turned = [2.0 * side @ turn for side in joint]
    assert ial(*turned, *joint, 0.1).item() == pytest.approx(0.0, abs=1e-12)


def test_logits_that_differ_by_a_constant_of_the_row_have_no_ial():
    """All cosines 1 in the joint, all 0 in the modality: other logits, the same shares."""
    orthonormal = torch.eye(4, dtype=torch.float64)
    found = ial(orthonormal[:2], orthonormal[2:], EQUAL, EQUAL, 0.5)
    assert found.item() == pytest.approx(0.0, abs=1e-12)


def test_ial_is_the_divergence_of_the_modality_from_the_joint_not_the_other_way_round():
    """Uniform over three candidates against (e, 1, 1) / (e + 2)."""
    expected = math.log(math.e + 2) - 1 / 3 - math.log(3)
    assert expected == pytest.approx(0.119499, abs=5e-7)
    assert ial(PAIRS, PAIRS, EQUAL, EQUAL, 1.0).item() == pytest.approx(expected, rel=1e-9)
    reverse = math.log(3) - math.log(math.e + 2) + math.e / (math.e + 2)
    assert reverse == pytest.approx(0.123284, abs=5e-7)
    assert ial(EQUAL, EQUAL, PAIRS, PAIRS, 1.0).item() == pytest.approx(reverse, rel=1e-9)


def test_the_released_code_s_weight_1_is_a_hundredth_over_2_n_here(draw):
    """It takes the mean over the 2 N-wide entries, and multiplies by 0.1 twice."""
    first, second, joint_first, joint_second = draw(4, 5, 3)
    sides = [
        (wide_logits(joint_first, joint_second, 0.5), wide_logits(first, second, 0.5)),
        (wide_logits(joint_second, joint_first, 0.5), wide_logits(second, first, 0.5)),
    ]
    released = sum(
        0.1 * 0.1 * kl_div(found.log_softmax(1), wanted.softmax(1), reduction="none").mean() / 2
        for wanted, found in sides
    )
    whole = ial(first, second, joint_first, joint_second, 0.5)
    assert released.item() == pytest.approx(0.01 / (2 * 5) * whole.item(), rel=1e-9)


def test_the_modality_follows_the_joint_which_gets_no_gradient(draw):
    sides = [side.requires_grad_() for side in draw(4, 5, 3).unbind()]
    ial(*sides, 0.5).backward()
    first, second, joint_first, joint_second = sides
    assert first.grad.any()
    assert second.grad.any()
    assert joint_first.grad is None
    assert joint_second.grad is None


# --- Learned uncertainty.


def test_the_stationary_point_for_a_loss_of_2_is_ln_2():
    log_variance = doubles(math.log(2)).requires_grad_()
    total = uncertainty_weighted(doubles(2.0), log_variance)
    total.backward()
    assert log_variance.item() == pytest.approx(0.693147, abs=5e-7)
    assert total.item() == pytest.approx(1.693147, abs=5e-7)
    assert log_variance.grad.item() == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("loss", [0.1, 1.0, 2.0, 40.0])
def test_the_stationary_point_is_the_logarithm_of_the_loss_and_a_minimum(loss):
    """Found by descent, from both sides."""
    for start in (-1.0, 5.0):
        log_variance = doubles(start)
        for _ in range(200):
            log_variance.requires_grad_()
            total = uncertainty_weighted(doubles(loss), log_variance)
            (slope,) = torch.autograd.grad(total, log_variance)
            log_variance = (log_variance - slope.clamp(-1, 1) * 0.3).detach()
        assert log_variance.item() == pytest.approx(math.log(loss), abs=1e-6)


def test_the_weighted_loss_can_be_negative_and_nothing_is_wrong():
    found = uncertainty_weighted(doubles(0.1), doubles(math.log(0.1))).item()
    assert found == pytest.approx(1 + math.log(0.1), rel=1e-12)
    assert found < -1


def test_every_loss_has_its_own_weight_and_they_are_added():
    losses, log_variances = doubles(2.0, 0.5, 3.0), doubles(math.log(2), 0.0, 1.0)
    expected = 2 / 2 + math.log(2) + 0.5 + 3 / math.e + 1
    assert uncertainty_weighted(losses, log_variances).item() == pytest.approx(expected, rel=1e-12)
    found = uncertainty_weighted(losses, torch.zeros(3, dtype=torch.float64))
    assert found.item() == pytest.approx(5.5, rel=1e-12)
