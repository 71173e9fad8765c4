"""Method 3, relational distance (SAMM, 2024): every answer known in advance.

Shapes: B utterances, D = width.
"""

import math

import pytest
import torch

from msa_core.modules.alignment.measures import directed_relational_distance, relational_distance

SEED = 3  # of `draw`

HALF_CIRCLE = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]], dtype=torch.float64)
EQUILATERAL = torch.tensor(
    [[math.cos(angle), math.sin(angle)] for angle in (0, 2 * math.pi / 3, 4 * math.pi / 3)],
    dtype=torch.float64,
)
# Of the repository's mean, which counts the diagonal, and of a mean off the diagonal.
KNOWN, KNOWN_OFF_DIAGONAL = 0.022078, 0.009812


def test_any_rotation_of_a_side_is_at_distance_0(draw):
    rows = draw(7, 4)
    for _ in range(5):
        turn, _ = torch.linalg.qr(draw(4, 4))
        assert relational_distance(rows, rows @ turn).item() == pytest.approx(0.0, abs=1e-14)


def test_any_positive_scaling_of_a_side_is_at_distance_0(draw):
    rows = draw(7, 4)
    for scale in (1e-3, 2.0, 1e3):
        assert relational_distance(rows, scale * rows).item() == pytest.approx(0.0, abs=1e-14)
    # The rows are made of length 1: each may have a scale of its own.
    scales = draw(7, 1).exp()
    assert relational_distance(rows, scales * rows).item() == pytest.approx(0.0, abs=1e-14)


def test_a_negative_scaling_of_some_rows_is_not_at_distance_0(draw):
    rows = draw(7, 4)
    flipped = rows * torch.tensor([[-1.0], *[[1.0]] * 6])
    assert relational_distance(rows, flipped).item() > 0.01


def test_the_half_circle_against_the_equilateral_triangle_is_known():
    found = directed_relational_distance(HALF_CIRCLE, EQUILATERAL)
    assert found.item() == pytest.approx(KNOWN, abs=5e-7)


def test_the_mean_distance_counts_the_diagonal_and_divides_by_b_squared():
    """A mean off the diagonal is B / (B - 1) as large, and the value its inverse squared."""
    found = directed_relational_distance(HALF_CIRCLE, EQUILATERAL).item()
    assert found * (2 / 3) ** 2 == pytest.approx(KNOWN_OFF_DIAGONAL, abs=5e-7)
    assert found != pytest.approx(KNOWN_OFF_DIAGONAL, rel=0.5)


def test_the_loss_is_the_sum_of_both_directions():
    found = relational_distance(HALF_CIRCLE, EQUILATERAL)
    assert found.item() == pytest.approx(2 * KNOWN, abs=1e-6)


def test_in_each_direction_the_other_side_stays_where_it_is(draw):
    moving, fixed = draw(5, 3).requires_grad_(), draw(5, 3).requires_grad_()
    directed_relational_distance(moving, fixed).backward()
    assert moving.grad.any()
    assert fixed.grad is None
    relational_distance(moving, fixed).backward()
    assert fixed.grad.any()


def test_a_difference_above_1_counts_linearly():
    """Row 0 against the rest, row 3 against the rest: 8 of 16 entries differ by 2 / 0.75.

    Huber gives 8/3 - 1/2 for each of these, so the mean is (13/6) / 2.
    """
    first = torch.tensor([[-1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
    found = directed_relational_distance(first, first.flip(0))
    assert found.item() == pytest.approx(13 / 12, abs=1e-5)


def test_of_outputs_that_are_one_number_only_the_signs_count(draw):
    """Rows of length 1 and width 1 are signs: a regression's outputs say nothing else here."""
    outputs = draw(8, 1)
    other_sizes = outputs.sign() * draw(8, 1).exp()
    assert relational_distance(outputs, other_sizes).item() == pytest.approx(0.0, abs=1e-14)
