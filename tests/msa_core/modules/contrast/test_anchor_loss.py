"""Method 4, anchored contrast (CLFA, 2024): every answer known in advance.

Shapes: N utterances, D = width.
"""

import math

import pytest
import torch
from torch.nn.functional import cosine_similarity, cross_entropy

from msa_core.modules.alignment.measures import contrastive_alignment
from msa_core.modules.parts.similarity import info_nce

SEED = 4  # of `draw`


def direct(first, second, temperature):
    return contrastive_alignment(first, second, {"temperature": temperature})


@pytest.fixture(params=[info_nce, direct])
def contrast(request):
    return request.param


@pytest.mark.parametrize("temperature", [0.05, 0.1, 0.5, 1.0])
def test_identical_rows_give_the_logarithm_of_their_number(contrast, draw, temperature):
    rows = draw(1, 5).expand(8, 5)
    assert math.log(8) == pytest.approx(2.079442, abs=5e-7)
    assert contrast(rows, rows, temperature).item() == pytest.approx(math.log(8), abs=1e-12)


@pytest.mark.parametrize(("temperature", "known"), [(1.0, 0.313262), (0.1, 4.54e-5)])
def test_two_orthonormal_matched_rows_give_the_known_value(contrast, temperature, known):
    rows = torch.eye(2, 3, dtype=torch.float64)
    found = contrast(rows, rows, temperature).item()
    assert found == pytest.approx(math.log1p(math.exp(-1 / temperature)), rel=1e-9)
    assert found == pytest.approx(known, rel=1e-4)


def test_it_is_the_mean_cross_entropy_of_both_ways_of_looking_for_the_partner(contrast, draw):
    first, second = draw(6, 4), draw(6, 4)
    logits = cosine_similarity(first[:, None], second[None], dim=2) / 0.2
    wanted = torch.arange(6)
    expected = (cross_entropy(logits, wanted) + cross_entropy(logits.T, wanted)) / 2
    assert contrast(first, second, 0.2).item() == pytest.approx(expected.item(), rel=1e-12)


def test_both_sides_are_made_of_length_1(contrast, draw):
    first, second = draw(6, 4), draw(6, 4)
    whole = contrast(first, second, 0.1).item()
    scaled = contrast(3 * first, draw(6, 1).exp() * second, 0.1).item()
    assert scaled == pytest.approx(whole, rel=1e-9)


def test_false_negatives_two_utterances_that_are_alike_push_each_other_away():
    """Perfectly matched pairs of twins: each twin stays a negative, and ln 2 is left."""
    twins = torch.eye(3, dtype=torch.float64).repeat_interleave(2, dim=0)
    assert info_nce(twins, twins, 0.01).item() == pytest.approx(math.log(2), abs=1e-12)


def test_modalities_that_never_meet_align_because_their_anchors_do(draw):
    """Each follows anchors of its own; the two sets of anchors lie in one space."""
    anchors = torch.eye(4, 6, dtype=torch.float64)
    started = draw(2, 4, 6)
    moved = []
    for start, own_anchors in zip(started, (anchors, anchors + 0.05 * draw(4, 6)), strict=True):
        rows = start.clone().requires_grad_()
        for _ in range(100):
            (slope,) = torch.autograd.grad(info_nce(rows, own_anchors, 0.5), rows)
            rows = (rows - 2.0 * slope).detach().requires_grad_()
        moved.append(rows.detach())
    assert cosine_similarity(*started).max() < 0.7
    assert cosine_similarity(*moved).min() > 0.9
