"""Method 1, pair alignment (arXiv 2305.08473, reconstructed): every answer known in advance.

Shapes: B utterances, D = width of a projected modality, N draws of a simulation.
"""

import math

import numpy as np
import pytest
import torch

from msa_core.config.alignment import CcaOptions
from msa_core.modules.alignment.measures import (
    canonical_distance,
    covariance_alignment,
    covariance_floor,
    covariance_matrix,
    mean_discrepancy,
    mean_norm,
    paired_covariance,
    running_average,
    unit_variance,
)

SEED = 11  # of `draw`

CROSS = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]], dtype=torch.float64)
RISING = torch.tensor([[1.0, 1.0], [-1.0, -1.0]], dtype=torch.float64)
FALLING = torch.tensor([[1.0, -1.0], [-1.0, 1.0]], dtype=torch.float64)
# Four columns of mean 0, orthogonal to one another.
SIGNS = torch.tensor(
    [[(-1.0) ** (row & mask).bit_count() for mask in (1, 2, 4, 7)] for row in range(8)],
    dtype=torch.float64,
)
# B, D and the floor that design page 1a gives.
FLOORS = [(16, 16, 0.03542), (32, 128, 0.01626)]


def zero():
    return pytest.approx(0.0, abs=1e-20)


def rotation(degrees):
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    return torch.tensor([[cosine, -sine], [sine, cosine]], dtype=torch.float64)


# --- cov.


def test_cov_is_the_squared_distance_of_covariances_over_4_d_squared(draw):
    first, second = draw(7, 3), draw(7, 3) * torch.tensor([1.0, 2.0, 0.5])
    difference = np.cov(first.numpy().T) - np.cov(second.numpy().T)
    expected = (difference**2).sum() / (4 * 3**2)
    assert covariance_alignment(first, second).item() == pytest.approx(expected, rel=1e-12)


def test_cov_of_a_modality_with_itself_is_0(draw):
    rows = draw(9, 4)
    assert covariance_alignment(rows, rows).item() == 0.0


def test_cov_of_a_modality_with_any_shift_of_itself_is_0(draw):
    rows = draw(9, 4)
    assert covariance_alignment(rows, rows + 10 * draw(1, 4)).item() == zero()


def test_cov_of_a_modality_with_any_row_permutation_of_itself_is_0(draw):
    rows = draw(9, 4)
    for seed in range(5):
        order = torch.randperm(9, generator=torch.Generator().manual_seed(seed))
        assert covariance_alignment(rows, rows[order]).item() == zero()


def test_the_covariance_of_the_cross_is_two_thirds_of_the_identity():
    torch.testing.assert_close(covariance_matrix(CROSS), 2 / 3 * torch.eye(2, dtype=torch.float64))


def test_cov_of_the_cross_with_its_double_is_a_half():
    assert covariance_alignment(CROSS, 2 * CROSS).item() == pytest.approx(0.5, rel=1e-12)


def test_cov_of_opposite_diagonals_is_2():
    assert covariance_alignment(RISING, FALLING).item() == pytest.approx(2.0, rel=1e-12)


@pytest.mark.parametrize("degrees", [90, 33])
def test_cov_of_the_cross_with_a_rotation_of_it_is_0_for_it_is_isotropic(degrees):
    assert covariance_alignment(CROSS, CROSS @ rotation(degrees)).item() == zero()


def test_cov_sees_the_rotation_of_what_is_not_isotropic():
    # RISING turned by 90 degrees is FALLING.
    torch.testing.assert_close(RISING @ rotation(90), FALLING)
    assert covariance_alignment(RISING, RISING @ rotation(90)).item() == pytest.approx(2.0)


def test_the_gradient_of_cov_is_the_formula(draw):
    """J z_p (C_p - C_q) / (d^2 (B - 1)), and its negative with q's rows on the other side."""
    first, second = draw(7, 3).requires_grad_(), draw(7, 3).requires_grad_()
    covariance_alignment(first, second).backward()
    difference = torch.cov(first.detach().T) - torch.cov(second.detach().T)
    for side, sign in ((first, 1), (second, -1)):
        centred = side.detach() - side.detach().mean(dim=0)
        torch.testing.assert_close(side.grad, sign * centred @ difference / (3**2 * (7 - 1)))


def test_the_gradient_of_cov_is_its_slope(draw):
    pair = (draw(5, 3).requires_grad_(), draw(5, 3).requires_grad_())
    assert torch.autograd.gradcheck(covariance_alignment, pair)


def test_equal_covariances_have_no_gradient(draw):
    rows = draw(6, 3)
    turned = (rows.flip(0) + 1.0).requires_grad_()
    covariance_alignment(turned, rows).backward()
    assert turned.grad.abs().max() < 1e-15


# --- Traps of cov.


def test_trap_1_cov_never_uses_the_pairing_and_paircov_does(draw):
    first = draw(9, 4)
    second = first + 0.1 * draw(9, 4)
    broken = second.roll(1, dims=0)
    whole = covariance_alignment(first, second).item()
    assert covariance_alignment(first, broken).item() == pytest.approx(whole, rel=1e-9)
    numbers = {"off_diagonal": 0.05}
    assert paired_covariance(first, second, numbers) < 0.1
    assert paired_covariance(first, broken, numbers) > 0.5


def test_trap_2_shrinking_both_sides_minimises_cov_and_the_mean_norm_tells(draw):
    first, second = draw(9, 4), 2 * draw(9, 4)
    whole, norm = covariance_alignment(first, second).item(), mean_norm(first).item()
    shrunk = covariance_alignment(0.01 * first, 0.01 * second).item()
    assert shrunk == pytest.approx(0.01**4 * whole, rel=1e-9)
    assert mean_norm(0.01 * first).item() == pytest.approx(0.01 * norm, rel=1e-9)


def test_trap_2_unit_variance_makes_it_a_correlation_that_shrinking_does_not_change(draw):
    first, second = draw(9, 4), 2 * draw(9, 4)
    expected = np.corrcoef(first.numpy().T)
    np.testing.assert_allclose(covariance_matrix(unit_variance(first)).numpy(), expected, rtol=1e-9)
    whole = covariance_alignment(unit_variance(first), unit_variance(second)).item()
    shrunk = [unit_variance(0.01 * first), unit_variance(0.001 * second)]
    assert covariance_alignment(*shrunk).item() == pytest.approx(whole, rel=1e-9)


@pytest.mark.parametrize(("utterances", "width", "floor"), FLOORS)
def test_trap_3_independent_noise_has_the_known_floor(draw, utterances, width, floor):
    assert (1 + 1 / width) / (2 * (utterances - 1)) == pytest.approx(floor, abs=5e-6)
    pairs = draw(2, 4000 if width < 100 else 400, utterances, width)
    found_N = torch.func.vmap(covariance_alignment)(*pairs)
    error = found_N.std().item() / math.sqrt(len(found_N))
    assert error < 0.005 * floor
    assert found_N.mean().item() == pytest.approx(floor, abs=3 * error)


@pytest.mark.parametrize(("utterances", "width", "floor"), FLOORS)
def test_trap_3_the_reported_floor_is_that_of_the_formula(draw, utterances, width, floor):
    pairs = draw(2, 4000 if width < 100 else 400, utterances, width)
    found_N = torch.func.vmap(covariance_floor)(*pairs)
    error = found_N.std().item() / math.sqrt(len(found_N))
    assert error < 0.005 * floor
    assert found_N.mean().item() == pytest.approx(floor, abs=3 * error + 5e-6)


def test_trap_3_the_reported_floor_follows_unequal_variances(draw):
    """(tr(C^2) + tr(C)^2) / (2 (B - 1) D^2), simulated with a covariance that is not I."""
    deviations = torch.tensor([3.0, 1.0, 0.5, 0.1], dtype=torch.float64)
    variances = deviations.square()
    expected = (variances.square().sum() + variances.sum().square()).item() / (2 * 11 * 4**2)
    pairs = draw(2, 40_000, 12, 4) * deviations
    for function in (covariance_alignment, covariance_floor):
        found_N = torch.func.vmap(function)(*pairs)
        error = found_N.std().item() / math.sqrt(len(found_N))
        assert error < 0.02 * expected
        assert found_N.mean().item() == pytest.approx(expected, abs=3 * error)


def test_trap_4_fewer_utterances_than_the_width_leave_the_covariance_without_full_rank(draw):
    assert torch.linalg.matrix_rank(covariance_matrix(draw(5, 8))).item() == 5 - 1
    assert torch.linalg.matrix_rank(covariance_matrix(draw(20, 8))).item() == 8


def test_an_unbounded_private_mode_would_diverge_by_scaling_the_features():
    """Why the private mode has a margin: -cov falls with the fourth power of the scale."""
    for scale in (1.0, 10.0, 1000.0):
        found = covariance_alignment(scale * RISING, scale * FALLING).item()
        assert found == pytest.approx(2.0 * scale**4, rel=1e-12)


def test_the_running_covariance_weighs_batches_by_momentum_to_their_age():
    """Batches 1, 2, 4 with rho 0.5: (1 / 4 + 2 / 2 + 4) / (1 / 4 + 1 / 2 + 1) = 3."""
    average = torch.tensor(100.0, dtype=torch.float64)
    for step, value in enumerate((1.0, 2.0, 4.0)):
        average = running_average(average, torch.tensor(value, dtype=torch.float64), 0.5, step)
    assert average.item() == pytest.approx(3.0, rel=1e-12)


# --- paircov.


@pytest.mark.parametrize("beta", [0.005, 0.05, 1.0])
def test_paircov_of_equal_sides_with_uncorrelated_columns_is_0(beta):
    rows = SIGNS * torch.tensor([1.0, 2.0, 3.0, 4.0]) + 5.0
    assert paired_covariance(rows, rows, {"off_diagonal": beta}).item() == zero()


@pytest.mark.parametrize("beta", [0.0, 0.05])
@pytest.mark.parametrize("utterances", [6, 26, 401])
def test_paircov_of_independent_sides_approaches_1(draw, utterances, beta):
    """A correlation of independent columns has E R^2 = 1 / (B - 1): 1 + (1 + beta) / (B - 1)."""
    pairs = draw(2, 4000 if utterances < 100 else 400, utterances, 4)
    found_N = torch.func.vmap(lambda a, b: paired_covariance(a, b, {"off_diagonal": beta}))(*pairs)
    error = found_N.std().item() / math.sqrt(len(found_N))
    assert error < 0.02
    expected = 1 + (1 + beta) / (utterances - 1)
    assert found_N.mean().item() == pytest.approx(expected, abs=3 * error)


def test_paircov_of_a_modality_with_its_negative_is_4():
    assert paired_covariance(SIGNS, -SIGNS, {"off_diagonal": 0.05}).item() == pytest.approx(4.0)


def test_paircov_of_columns_in_another_order_counts_the_off_diagonal():
    """R has all its ones off the diagonal, d of d (d - 1): 1 + beta / (d - 1)."""
    found = paired_covariance(SIGNS, SIGNS.roll(1, dims=1), {"off_diagonal": 0.3})
    assert found.item() == pytest.approx(1 + 0.3 / (4 - 1), rel=1e-12)


# --- mmd and cca.


def test_mmd_of_two_points_is_known_whatever_their_distance():
    """Mean square distance 8/12 of the points' own: 2 - 2 exp(-3/4) with bandwidth 1."""
    for distance in (1e-3, 1.0, 50.0):
        first = torch.zeros(2, 3, dtype=torch.float64)
        second = torch.tensor([[0.0, distance, 0.0]] * 2, dtype=torch.float64)
        found = mean_discrepancy(first, second, {"bandwidth": 1.0})
        assert found.item() == pytest.approx(2 - 2 * math.exp(-0.75), rel=1e-9)


def test_mmd_of_a_modality_with_a_row_permutation_of_itself_is_0(draw):
    rows = draw(9, 4)
    found = mean_discrepancy(rows, rows.roll(2, dims=0), {"bandwidth": 1.0}).item()
    assert found == pytest.approx(0.0, abs=1e-14)


def test_mmd_is_that_of_its_formula(draw):
    first, second = draw(5, 3), draw(5, 3) + 0.5
    rows = torch.cat([first, second]).numpy()
    squared = ((rows[:, None] - rows[None]) ** 2).sum(axis=2)
    kernel = np.exp(-squared / (2 * 0.5**2 * squared.sum() / (10 * 9)))
    expected = kernel[:5, :5].mean() + kernel[5:, 5:].mean() - 2 * kernel[:5, 5:].mean()
    found = mean_discrepancy(first, second, {"bandwidth": 0.5})
    assert found.item() == pytest.approx(expected, rel=1e-9)


ALL = CcaOptions()
# The canonical correlations of these sides are 0.8 and 0.3 and nothing else.
LEFT = SIGNS[:, :2]
RIGHT = torch.stack(
    [0.8 * SIGNS[:, 0] + 0.6 * SIGNS[:, 2], 0.3 * SIGNS[:, 1] + math.sqrt(0.91) * SIGNS[:, 3]],
    dim=1,
)


@pytest.mark.parametrize(("components", "expected"), [(1, 1 - 0.8), (2, 2 - 0.8 - 0.3)])
def test_cca_is_k_less_the_sum_of_the_k_largest_canonical_correlations(components, expected):
    found = canonical_distance(LEFT, RIGHT, {"ridge": 1e-10}, CcaOptions(components=components))
    assert found.item() == pytest.approx(expected, abs=1e-8)


def test_cca_is_not_changed_by_an_invertible_map_of_either_side(draw):
    found = canonical_distance(
        LEFT @ draw(2, 2), RIGHT @ draw(2, 2) + 3.0, {"ridge": 1e-10}, CcaOptions()
    )
    assert found.item() == pytest.approx(2 - 0.8 - 0.3, abs=1e-6)


def test_cca_of_equal_sides_with_uncorrelated_columns_is_the_ridge_alone():
    found = canonical_distance(SIGNS, SIGNS, {"ridge": 0.1}, ALL)
    assert found.item() == pytest.approx(4 * 0.1 / 1.1, rel=1e-9)


def test_cca_without_enough_utterances_finds_every_correlation_to_be_1(draw):
    """Why the ridge must grow with D / B: independent sides, B - 1 <= D."""
    first, second = draw(5, 4), draw(5, 4)
    assert canonical_distance(first, second, {"ridge": 1e-9}, ALL).item() == pytest.approx(
        0, abs=1e-5
    )
    assert canonical_distance(first, second, {"ridge": 1.0}, ALL).item() > 1.0


def test_the_first_canonical_correlation_of_planted_views_of_one_cause_is_a_half(draw):
    """s + e_A and s + e_V with the variances 1 and 1: 1 / (1 + sig_e^2); the others are 0."""
    shared, errors, others = draw(200_000, 1), draw(2, 200_000, 1), draw(2, 200_000, 2)
    audio, vision = (torch.cat([shared + errors[m], others[m]], dim=1) for m in range(2))
    numbers = {"ridge": 1e-9}
    assert canonical_distance(
        audio, vision, numbers, CcaOptions(components=1)
    ).item() == pytest.approx(1 - 0.5, abs=0.01)
    assert canonical_distance(audio, vision, numbers, ALL).item() == pytest.approx(
        3 - 0.5, abs=0.02
    )
