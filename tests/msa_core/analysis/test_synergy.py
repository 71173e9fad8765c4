"""The bounds of synergy: they hold, are tight where they say so, and bad tables are refused."""

from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from msa_core.analysis.information import entropy_bits
from msa_core.analysis.pid import decompose_joint
from msa_core.analysis.synergy import least_coupled_entropy, synergy_bounds

LAW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
EXACT = 2e-7  # bits: two certificates of 1e-7


@st.composite
def counts(draw, smallest=0):
    shape = tuple(draw(st.integers(1, 4)) for _ in range(3))
    size = int(np.prod(shape))
    numbers = st.lists(st.integers(smallest, 9), min_size=size, max_size=size).filter(any)
    return np.array(draw(numbers)).reshape(shape)


def bounds(joint):
    return synergy_bounds(joint.sum(axis=1), joint.sum(axis=0), joint.sum(axis=2))


@LAW
@given(counts())
def test_synergy_lies_between_its_bounds(table):
    found, exact = bounds(table), decompose_joint(table)
    assert found.lower_shared <= exact.synergy + EXACT
    assert found.lower_disagreement <= exact.synergy + EXACT
    assert found.upper >= exact.synergy - EXACT


@LAW
@given(counts())
def test_redundancy_and_uniqueness_need_no_joint_table(table):
    found, exact = bounds(table), decompose_joint(table)
    assert found.redundancy == pytest.approx(exact.redundancy, abs=EXACT)
    assert found.unique_first == pytest.approx(exact.unique_first, abs=EXACT)
    assert found.unique_second == pytest.approx(exact.unique_second, abs=EXACT)


@LAW
@given(counts())
def test_no_true_lower_bound_is_above_the_one_from_all_three_tables(table):
    found = bounds(table)
    assert found.lower_disagreement <= found.lower_shared + EXACT
    assert found.lower_shared >= -EXACT


@LAW
@given(counts())
def test_swapping_the_modalities_swaps_what_is_unique_and_nothing_else(table):
    found, swapped = asdict(bounds(table)), asdict(bounds(table.swapaxes(0, 1)))
    swapped["unique_first"], swapped["unique_second"] = (
        swapped["unique_second"],
        swapped["unique_first"],
    )
    assert swapped == pytest.approx(found, abs=2e-6)


@settings(LAW, max_examples=20)
@given(counts(smallest=1))
def test_the_lower_bound_is_the_synergy_of_the_most_even_joint_table(table):
    """That table, by proportional fitting of all three, is one that the pairs can't rule out."""
    joint = table / table.sum()
    even = np.full(joint.shape, 1 / joint.size)
    for _ in range(2000):
        even *= (joint.sum(axis=1) / even.sum(axis=1))[:, np.newaxis]
        even *= joint.sum(axis=0) / even.sum(axis=0)
        even *= (joint.sum(axis=2) / even.sum(axis=2))[:, :, np.newaxis]
    assert bounds(table).lower_shared == pytest.approx(decompose_joint(even).synergy, abs=1e-6)


def test_the_disagreement_bound_of_the_released_code_is_too_high_for_some_tables():
    """Its constant of 1 has no proof, and here is less synergy than it says."""
    joint = np.array([[[16, 188], [63, 142]], [[39, 100], [368, 83]]])
    found, exact = bounds(joint), decompose_joint(joint)
    assert found.released_disagreement > exact.synergy + 0.03
    assert found.lower_disagreement <= found.lower_shared <= exact.synergy


def test_many_cells_are_bounded_too():
    rng = np.random.default_rng(0)
    table = rng.multinomial(686, rng.dirichlet(np.full(2800, 0.1))).reshape(20, 20, 7)
    found, exact = bounds(table), decompose_joint(table)
    assert found.lower_shared <= exact.synergy <= found.upper
    assert found.redundancy == pytest.approx(exact.redundancy, abs=EXACT)


def test_the_least_entropy_of_a_coupling_known_answer():
    # Partial sums (.5, 1, 1) and (.5, .75, 1), the smaller ones: steps of (.5, .25, .25).
    assert least_coupled_entropy([0.5, 0.5], [0.25, 0.5, 0.25]) == pytest.approx(1.5)
    # Partial sums (.6, 1) and (.5, .8, 1): steps of (.5, .3, .2), as (.5, .3, .2) is more even.
    assert least_coupled_entropy([0.6, 0.4], [0.5, 0.3, 0.2]) == pytest.approx(
        entropy_bits(np.array([0.5, 0.3, 0.2]))
    )
    # Neither is more even than the other: (.6, .7, 1) and (.5, .9, 1) give (.5, .2, .3).
    assert least_coupled_entropy([0.6, 0.1, 0.3], [0.5, 0.4, 0.1]) == pytest.approx(
        entropy_bits(np.array([0.5, 0.4, 0.1]))
    )


@LAW
@given(st.integers(0, 2**31), st.integers(1, 5), st.integers(1, 5))
def test_no_coupling_has_less_entropy_than_the_least(seed, rows, columns):
    rng = np.random.default_rng(seed)
    first, second = rng.dirichlet(np.full(rows, 0.5)), rng.dirichlet(np.full(columns, 0.5))
    least = least_coupled_entropy(first, second)
    assert least >= max(entropy_bits(first), entropy_bits(second)) - 1e-12
    # Greedily: the largest to the largest, a coupling of low entropy.
    left, right, cells = first.copy(), second.copy(), []
    while left.max() > 1e-14 and right.max() > 1e-14:
        row, column = left.argmax(), right.argmax()
        moved = min(left[row], right[column])
        left[row] -= moved
        right[column] -= moved
        cells.append(moved)
    assert entropy_bits(np.array(cells)) >= least - 1e-9


@pytest.mark.parametrize(
    ("tables", "match"),
    [
        (([[1, 0], [0, 1]], [[3, 0], [0, 1]], np.ones((2, 2))), r"p\(y\).*differ by up to 0.25"),
        (([[3, 0], [0, 1]], [[3, 0], [0, 1]], np.ones((2, 2))), r"p\(x1\)"),
        (([[1, 1], [1, 1]], [[3, 3], [1, 1]], np.ones((2, 2))), r"p\(x2\).*same utterances"),
        ((np.ones((2, 2)), np.ones((2, 2)), np.ones((3, 2))), r"p\(x1\).*2 values.*has 3"),
        ((np.ones((2, 2)), np.ones(2), np.ones((2, 2))), "second_label must have 2 axes"),
        # Both are the label, so they are equal; but they are independent.
        ((np.eye(2), np.eye(2), np.ones((2, 2))), "no joint table"),
        ((np.eye(2), np.eye(2), [[0, 1], [1, 0]]), "no joint table"),
    ],
)
def test_tables_that_do_not_belong_together_are_refused(tables, match):
    with pytest.raises(ValueError, match=match):
        synergy_bounds(*(np.array(table, float) for table in tables))
