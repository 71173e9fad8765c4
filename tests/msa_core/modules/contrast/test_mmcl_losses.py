"""Method 8, unimodal and cross-modal contrast (MMCL, reconstructed): every answer known in advance.

Shapes: N utterances, D = width.
"""

import math

import pytest
import torch

from msa_core.modules.parts.similarity import info_nce, supervised_contrast

SEED = 8  # of `draw`


def doubles(*values):
    return torch.tensor(values, dtype=torch.float64)


def by_hand(rows, bins, temperature):
    """The formula of the design page, row by row."""
    rows = rows / rows.norm(dim=1, keepdim=True)
    terms = []
    for i in range(len(rows)):
        others = [j for j in range(len(rows)) if j != i]
        partners = [p for p in others if bins[p] == bins[i]]
        below = sum(math.exp(rows[i] @ rows[j] / temperature) for j in others)
        shares = [math.log(math.exp(rows[i] @ rows[p] / temperature) / below) for p in partners]
        if partners:
            terms.append(-sum(shares) / len(partners))
    return sum(terms) / len(terms)


@pytest.mark.parametrize("temperature", [0.07, 0.5])
@pytest.mark.parametrize("bins", [(0, 0, 0, 0, 0), (0, 1, 0, 1, 1), (2, 2, 2, 0, 1)])
def test_equal_rows_give_the_logarithm_of_n_less_1(draw, bins, temperature):
    rows = draw(1, 4).expand(5, 4)
    found = supervised_contrast(rows, torch.tensor(bins), temperature)
    assert found.item() == pytest.approx(math.log(5 - 1), abs=1e-12)


@pytest.mark.parametrize("temperature", [0.07, 0.5])
def test_supervised_contrast_is_its_formula(draw, temperature):
    rows, bins = draw(9, 4), torch.tensor([0, 1, 1, 2, 0, 3, 1, 0, 2])
    found = supervised_contrast(rows, bins, temperature).item()
    assert found == pytest.approx(by_hand(rows, bins.tolist(), temperature), rel=1e-9)


def test_a_row_without_a_partner_is_skipped_not_counted_as_0():
    """Two equal rows and an orthogonal one of another bin: ln(1 + e^-1), not 2/3 of it."""
    rows = doubles([1.0, 0.0], [1.0, 0.0], [0.0, 1.0])
    found = supervised_contrast(rows, torch.tensor([0, 0, 1]), 1.0)
    assert found.item() == pytest.approx(0.313262, abs=5e-7)


def test_a_row_without_a_partner_is_still_a_negative_of_the_others():
    rows = doubles([1.0, 0.0], [1.0, 0.0], [0.0, 1.0])
    pair_alone = supervised_contrast(rows[:2], torch.tensor([0, 0]), 1.0)
    assert pair_alone.item() == pytest.approx(0.0, abs=1e-12)
    nearer = doubles([1.0, 0.0], [1.0, 0.0], [1.0, 1.0])
    bins = torch.tensor([0, 0, 1])
    assert supervised_contrast(nearer, bins, 1.0) > supervised_contrast(rows, bins, 1.0)


def test_where_no_row_has_a_partner_it_is_0_and_moves_nothing(draw):
    rows = draw(4, 3).requires_grad_()
    found = supervised_contrast(rows, torch.arange(4), 0.1)
    found.backward()
    assert found.item() == 0.0
    assert not rows.grad.any()


def test_partners_are_averaged_outside_the_logarithm():
    """Partners at the cosines 1 and 0: [2 (ln(e + 1) - 1/2) + ln 2] / 3, not ln 2."""
    rows = doubles([1.0, 0.0], [1.0, 0.0], [0.0, 1.0])
    found = supervised_contrast(rows, torch.tensor([0, 0, 0]), 1.0)
    expected = (2 * (math.log(math.e + 1) - 0.5) + math.log(2)) / 3
    assert expected == pytest.approx(0.773223, abs=1e-6)
    assert found.item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("temperature", [0.07, 0.1, 0.5, 1.0])
def test_two_identical_orthonormal_views_give_the_value_of_section_4(temperature):
    views = torch.eye(2, 5, dtype=torch.float64)
    found = info_nce(views, views.clone(), temperature).item()
    assert found == pytest.approx(math.log1p(math.exp(-1 / temperature)), rel=1e-9)


def test_identical_orthonormal_views_of_more_utterances_have_n_less_1_negatives():
    views = torch.eye(6, dtype=torch.float64)
    expected = math.log1p(5 * math.exp(-1 / 0.5))
    assert info_nce(views, views.clone(), 0.5).item() == pytest.approx(expected, rel=1e-12)


def test_a_perfect_cross_modal_prediction_gives_the_value_of_section_4(draw):
    """Audio is vision, turned; the predictor that turns it back meets its targets."""
    turn, _ = torch.linalg.qr(draw(4, 4))
    vision = torch.eye(4, dtype=torch.float64)[:2]
    audio = vision @ turn
    found = info_nce(audio @ turn.T, vision, 1.0).item()
    assert found == pytest.approx(0.313262, abs=5e-7)
    assert info_nce(audio, vision, 1.0).item() > found + 0.05
