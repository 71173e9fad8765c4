"""Method 7, interaction quantification (arXiv 2306.04539): every answer known in advance."""

import math

import numpy as np
import pytest

from msa_core.analysis.pid import PARTS, decompose_joint, measure_interactions
from msa_core.analysis.synergy import synergy_bounds

EXACT = 1e-7  # bits; the certificate of `decompose_joint`


def gate(rule):
    """Two fair bits and the label that a rule makes of them: [2, 2, labels]."""
    joint = np.zeros((2, 2, 2))
    for first in range(2):
        for second in range(2):
            joint[first, second, rule(first, second)] = 0.25
    return joint


XOR = gate(lambda first, second: first ^ second)
AND = gate(lambda first, second: first & second)
COPY_OF_FIRST = gate(lambda first, second: first)
ALL_EQUAL = np.zeros((2, 2, 2))
ALL_EQUAL[0, 0, 0] = ALL_EQUAL[1, 1, 1] = 0.5


def parts(joint):
    found = decompose_joint(joint)
    return [found.redundancy, found.unique_first, found.unique_second, found.synergy]


def bounds(joint):
    return synergy_bounds(joint.sum(axis=1), joint.sum(axis=0), joint.sum(axis=2))


def test_xor_is_one_bit_of_synergy():
    assert parts(XOR) == pytest.approx([0, 0, 0, 1], abs=EXACT)


def test_and_has_redundancy_and_half_a_bit_of_synergy():
    # I(X1; Y) = H(1/4) - H(1/2) / 2; neither input is unique, because they are alike.
    redundancy = -0.25 * math.log2(0.25) - 0.75 * math.log2(0.75) - 0.5
    assert redundancy == pytest.approx(0.3113, abs=5e-5)
    assert parts(AND) == pytest.approx([redundancy, 0, 0, 0.5], abs=EXACT)


def test_a_copy_of_the_first_is_one_bit_unique_to_the_first():
    assert parts(COPY_OF_FIRST) == pytest.approx([0, 1, 0, 0], abs=EXACT)


def test_three_equal_bits_are_one_bit_of_redundancy():
    assert parts(ALL_EQUAL) == pytest.approx([1, 0, 0, 0], abs=EXACT)


def test_uniqueness_belongs_to_the_modality_that_has_it():
    """The authors' repository stores the two under each other's name."""
    copy_of_second = COPY_OF_FIRST.swapaxes(0, 1)
    assert decompose_joint(COPY_OF_FIRST).unique_first == pytest.approx(1, abs=EXACT)
    assert decompose_joint(copy_of_second).unique_second == pytest.approx(1, abs=EXACT)
    assert bounds(COPY_OF_FIRST).unique_first == pytest.approx(1, abs=EXACT)
    assert bounds(copy_of_second).unique_second == pytest.approx(1, abs=EXACT)


@pytest.mark.parametrize("joint", [XOR, AND, COPY_OF_FIRST, ALL_EQUAL])
def test_the_solver_is_not_caught_where_a_general_one_gave_negative_redundancy(joint):
    assert min(parts(joint)) >= 0
    assert decompose_joint(joint).gap <= EXACT


def test_xor_bounds_are_zero_and_one():
    found = bounds(XOR)
    assert found.disagreement == pytest.approx(0, abs=EXACT)
    assert found.lower_shared == pytest.approx(0, abs=EXACT)
    assert found.released_disagreement == pytest.approx(0, abs=EXACT)
    assert found.upper == pytest.approx(1, abs=EXACT)


def test_and_bounds_are_a_quarter_by_disagreement_and_a_half():
    found = bounds(AND)
    assert found.disagreement == pytest.approx(0.25, abs=EXACT)
    assert found.released_disagreement == pytest.approx(0.25, abs=EXACT)
    assert found.upper == pytest.approx(0.5, abs=EXACT)
    # Only one joint table has AND's three pairwise ones: by them its synergy is known exactly.
    assert found.lower_shared == pytest.approx(0.5, abs=1e-6)


def test_the_disagreement_bound_is_vacuous_where_one_modality_says_all():
    found = bounds(COPY_OF_FIRST)
    assert found.disagreement == pytest.approx(0.5, abs=EXACT)
    assert found.released_disagreement == pytest.approx(-0.5, abs=EXACT)
    assert found.lower_disagreement < 0
    assert found.upper == pytest.approx(0, abs=EXACT)


def test_three_equal_bits_leave_no_room_for_synergy():
    found = bounds(ALL_EQUAL)
    assert found.redundancy == pytest.approx(1, abs=EXACT)
    assert found.upper == pytest.approx(0, abs=EXACT)
    assert found.lower_shared == pytest.approx(0, abs=1e-6)


def test_shuffled_labels_leave_nothing_after_bias_correction():
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 4, (2, 1000))
    labels = (first + second) % 3
    found = [
        measure_interactions(
            first, second, rng.permutation(labels), bins=4, rng=rng, permutations=1, draws=60
        )
        for _ in range(30)
    ]
    # (16 - 1) (3 - 1) / (2 N ln 2) bits are expected of labels that know nothing.
    plug_in = np.mean([one.total.plug_in for one in found])
    assert plug_in == pytest.approx(30 / (2000 * math.log(2)), rel=0.15)
    for part in PARTS:
        corrected = [getattr(one, part).corrected for one in found]
        assert np.mean(corrected) == pytest.approx(0, abs=0.1 * plug_in), part
        assert np.mean([getattr(one, part).low == 0.0 for one in found]) >= 0.9, part


def test_the_plug_in_bias_is_cells_less_one_over_twice_the_utterances():
    """(X Z - 1) (Y - 1) / (2 N ln 2) bits for independent labels, and less for one modality."""
    rng = np.random.default_rng(1)
    utterances = 1500
    first, second, labels = (rng.integers(0, bins, utterances) for bins in (3, 4, 3))
    found = measure_interactions(first, second, labels, bins=4, rng=rng, permutations=400, draws=2)
    unit = 1 / (2 * utterances * math.log(2))
    assert found.total.null_mean == pytest.approx((12 - 1) * (3 - 1) * unit, rel=0.1)
    of_first = found.redundancy.null_mean + found.unique_first.null_mean
    assert of_first == pytest.approx((3 - 1) * (3 - 1) * unit, rel=0.15)
