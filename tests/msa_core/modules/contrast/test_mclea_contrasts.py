"""Method 9, contrast with learned uncertainty (MCLEA, 2022), as modules.

Shapes: B utterances in N pairs, D = width, M modalities.
"""

import math

import pytest
import torch

from msa_core.config.fields import MODALITIES
from msa_core.modules.contrast.contrasts import pair_neighbours
from msa_core.modules.parts.similarity import ial, icl, unit_rows

SEED = 9  # of `draw`

# Two pairs: utterances 0 and 3 of one sentiment, 1 and 2 of another.
LABELS = torch.tensor([2.0, -1.0, -1.2, 1.9], dtype=torch.float64)
ORTHONORMAL = torch.eye(2, 3, dtype=torch.float64)[[0, 1, 1, 0]]


# Partners.


def test_partners_are_neighbours_in_sentiment_and_every_utterance_has_one():
    rows = {"text": torch.arange(6.0)[:, None]}
    labels = torch.tensor([3.0, -2.0, 0.1, 2.5, 0.0, -2.5])
    first, second = (side["text"].flatten().tolist() for side in pair_neighbours(rows, labels))
    assert list(zip(first, second, strict=True)) == [(5, 1), (4, 2), (3, 0)]


def test_of_an_odd_number_the_utterance_of_the_largest_label_has_no_partner():
    rows = {"text": torch.arange(5.0)[:, None]}
    first, second = pair_neighbours(rows, torch.tensor([0.0, 3.0, 1.0, -1.0, 2.0]))
    assert sorted(torch.cat([first["text"], second["text"]]).flatten().tolist()) == [0, 2, 3, 4]


def test_equal_labels_are_paired_in_the_order_of_the_batch():
    rows = {"text": torch.arange(4.0)[:, None]}
    first, second = pair_neighbours(rows, torch.tensor([1.0, 1.0, 1.0, 1.0]))
    assert (first["text"].flatten().tolist(), second["text"].flatten().tolist()) == ([0, 2], [1, 3])


# ICL.


def test_equal_rows_give_the_logarithm_of_2_n_less_1(contrasting, sized, seeing, draw):
    rows = dict.fromkeys(MODALITIES, draw(1, 4).expand(8, 4))
    seen = seeing(rows, labels=draw(8))
    found = contrasting("icl", sized(4), uncertainty=False)(seen).item()
    assert found == pytest.approx(math.log(2 * 4 - 1), abs=1e-12)
    assert found == pytest.approx(1.945910, abs=5e-7)


def test_two_orthonormal_pairs_at_temperature_1_give_the_known_value(contrasting, sized, seeing):
    seen = seeing(dict.fromkeys(MODALITIES, ORTHONORMAL), labels=LABELS)
    found = contrasting("icl", sized(3), uncertainty=False)(seen, temperature=1.0).item()
    assert found == pytest.approx(0.551445, abs=5e-7)


@pytest.mark.parametrize("kind", ["icl", "ial"])
@pytest.mark.parametrize("rows", [2, 3])
def test_of_a_single_pair_there_is_nothing_to_tell(contrasting, sized, seeing, draw, kind, rows):
    seen = seeing({name: draw(rows, 4) for name in MODALITIES}, labels=draw(rows))
    assert contrasting(kind, sized(4))(seen).item() == 0.0


# IAL.


@pytest.mark.parametrize("joint", ["equal", "learned"])
def test_modalities_that_are_the_joint_representation_have_no_ial(
    contrasting, sized, seeing, draw, joint
):
    """Equal up to a rotation and a scale: then the joint's cosines are each modality's."""
    text = draw(6, 4)
    turn, _ = torch.linalg.qr(draw(4, 4))
    rows = {"text": text, "audio": 3.0 * text @ turn, "vision": 0.1 * text @ turn.T}
    seen = seeing(rows, labels=draw(6))
    follow = contrasting("ial", sized(4), uncertainty=False, joint=joint)
    expected = 0.0
    if joint == "learned":  # with the joint's own contrast
        first, second = (side["text"] for side in pair_neighbours(rows, seen.labels))
        expected = icl(first, second, 0.1).item()
    assert follow(seen).item() == pytest.approx(expected, abs=1e-9)


def test_the_joint_is_the_modalities_of_length_1_by_their_learned_shares(
    contrasting, sized, seeing, draw
):
    rows, shares = {name: draw(6, 4) for name in MODALITIES}, torch.tensor([0.5, 0.3, 0.2]).double()
    follow = contrasting("ial", sized(4), uncertainty=False)
    follow.load({"shares": shares.log()})
    sides = pair_neighbours(rows, labels := draw(6))
    joints = [
        torch.cat(
            [share * unit_rows(side[name]) for name, share in zip(side, shares, strict=True)], dim=1
        )
        for side in sides
    ]
    terms = [ial(*(side[name] for side in sides), *joints, 1.0).item() for name in MODALITIES]
    expected = sum(terms) / 3 + icl(*joints, 0.1).item()
    assert follow(seeing(rows, labels=labels)).item() == pytest.approx(expected)


def test_the_shares_start_equal_and_are_moved_by_the_joint_s_own_contrast(
    contrasting, sized, seeing, draw
):
    """Text tells the pairs apart, audio and vision are noise: text's share rises."""
    rows = {"text": ORTHONORMAL, "audio": draw(4, 3), "vision": draw(4, 3)}
    follow = contrasting("ial", sized(3))
    assert not follow.tensors["shares"].any()
    seen = seeing(rows, labels=LABELS)
    (slope,) = torch.autograd.grad(follow(seen), follow.tensors["shares"])
    assert slope[0] < 0
    assert slope[0] < min(slope[1], slope[2])


# Learned uncertainty.


@pytest.mark.parametrize("kind", ["icl", "ial"])
def test_at_the_start_every_modality_has_the_weight_1(contrasting, sized, seeing, draw, kind):
    seen = seeing({name: draw(8, 4) for name in MODALITIES}, labels=draw(8))
    options = {} if kind == "icl" else {"joint": "equal"}
    learned = contrasting(kind, sized(4), **options)
    mean = contrasting(kind, sized(4), uncertainty=False, **options)
    assert not learned.tensors["log_variances"].any()
    assert learned(seen).item() == pytest.approx(3 * mean(seen).item())


def test_the_best_uncertainty_is_the_logarithm_of_each_modality_s_loss(
    contrasting, sized, seeing, draw
):
    rows, labels = {name: draw(8, 4) for name in MODALITIES}, draw(8)
    first, second = pair_neighbours(rows, labels)
    losses = [icl(first[name], second[name], 0.5).item() for name in MODALITIES]
    contrast = contrasting("icl", sized(4))
    contrast.load({"log_variances": torch.tensor(losses, dtype=torch.float64).log()})
    term = contrast(seeing(rows, labels=labels), temperature=0.5)
    (slope,) = torch.autograd.grad(term, contrast.tensors["log_variances"])
    assert slope.abs().max() < 1e-12
    assert term.item() == pytest.approx(sum(1 + math.log(loss) for loss in losses))


def test_the_term_may_be_negative_and_nothing_is_wrong(contrasting, sized, seeing):
    """Pairs told apart with certainty: the loss is 0, and -3 is left of s = -1."""
    contrast = contrasting("icl", sized(3))
    contrast.load({"log_variances": torch.full((3,), -1.0, dtype=torch.float64)})
    seen = seeing(dict.fromkeys(MODALITIES, ORTHONORMAL), labels=LABELS)
    assert contrast(seen, temperature=0.01).item() == pytest.approx(-3.0)
