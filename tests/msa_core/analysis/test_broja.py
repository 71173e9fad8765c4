"""The solver behind the decomposition: its certificate, and answers by slower ways."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from msa_core.analysis import broja
from msa_core.analysis.broja import NotConvergedError, least_predictable

LAW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
TOLERANCE = 1e-9


@st.composite
def joints(draw, largest=4):
    """Tables with empty rows, forced cells and probabilities of all sizes."""
    shape = tuple(draw(st.integers(1, largest)) for _ in range(3))
    size = int(np.prod(shape))
    weights = draw(
        st.lists(
            st.sampled_from([0.0, 0.0, 1e-9, 1e-4, 0.1, 1.0, 2.0, 7.0]),
            min_size=size,
            max_size=size,
        ).filter(any)
    )
    table = np.array(weights).reshape(shape)
    return table / table.sum()


def conditional_entropy(joint):
    """H(Y | X1, X2) in bits, written out."""
    total = 0.0
    for cells in joint.reshape(-1, joint.shape[2]):
        for cell in cells[cells > 0]:
            total -= cell * np.log2(cell / cells.sum())
    return total


def another_joint(joint, rng):
    """A random corner of all tables with the same p(x1, y) and p(x2, y)."""
    x, z, y = joint.shape
    other = np.zeros_like(joint)
    for label in range(y):
        rows, columns = joint[:, :, label].sum(axis=1), joint[:, :, label].sum(axis=0)
        for row in rng.permutation(x):
            for column in rng.permutation(z):
                moved = min(rows[row], columns[column])
                other[row, column, label] += moved
                rows[row] -= moved
                columns[column] -= moved
    return other


@LAW
@given(joints())
def test_the_answer_has_the_tables_and_the_entropy_that_it_says(joint):
    found = least_predictable(joint[np.newaxis], TOLERANCE)
    answer = found.joints[0]
    assert (answer >= 0).all()
    np.testing.assert_allclose(answer.sum(axis=1), joint.sum(axis=1), atol=1e-12)
    np.testing.assert_allclose(answer.sum(axis=0), joint.sum(axis=0), atol=1e-12)
    assert found.entropy[0] == pytest.approx(conditional_entropy(answer), abs=1e-12)
    assert 0 <= found.gap[0] <= 10 * TOLERANCE


@LAW
@given(joints(), st.integers(0, 2**31))
def test_no_other_table_is_less_predictable_than_the_certificate_allows(joint, seed):
    found = least_predictable(joint[np.newaxis], TOLERANCE)
    highest = found.entropy[0] + found.gap[0] + 1e-9
    assert conditional_entropy(joint) <= highest
    other = another_joint(joint, np.random.default_rng(seed))
    np.testing.assert_allclose(other.sum(axis=1), joint.sum(axis=1), atol=1e-12)
    np.testing.assert_allclose(other.sum(axis=0), joint.sum(axis=0), atol=1e-12)
    for share in (1.0, 0.5, 1e-3):
        # On the way from the answer to another table too, where a bad answer could be improved.
        mixed = share * other + (1 - share) * found.joints[0]
        assert conditional_entropy(mixed) <= highest


def test_two_bits_and_a_binary_label_agree_with_a_grid():
    """There the tables leave one degree of freedom for each label."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        joint = rng.dirichlet(np.full(8, 0.5)).reshape(2, 2, 2)
        swap = np.array([[1.0, -1.0], [-1.0, 1.0]])
        grids = []
        for label in range(2):
            corner = joint[:, :, label]
            low = -min(corner[0, 0], corner[1, 1])
            high = min(corner[0, 1], corner[1, 0])
            grids.append(np.linspace(low, high, 401))
        moves = np.stack(np.meshgrid(*grids, indexing="ij"), axis=-1)
        tables = joint + moves[:, :, np.newaxis, np.newaxis] * swap[:, :, np.newaxis]
        tables = np.maximum(tables, 0.0)
        pairs = tables.sum(axis=-1, keepdims=True)
        safe = np.where(tables > 0, tables / np.where(pairs > 0, pairs, 1.0), 1.0)
        entropies = -(tables * np.log2(safe)).sum(axis=(2, 3, 4))
        found = least_predictable(joint[np.newaxis], TOLERANCE)
        assert entropies.max() <= found.entropy[0] + found.gap[0] + 1e-9
        assert entropies.max() == pytest.approx(found.entropy[0], abs=1e-3)


def test_twenty_by_twenty_by_seven_cells_are_certified():
    rng = np.random.default_rng(0)
    sparse = rng.multinomial(686, rng.dirichlet(np.full(2800, 0.05))) / 686
    dense = rng.dirichlet(np.full(2800, 1.0))
    found = least_predictable(np.stack([sparse, dense]).reshape(2, 20, 20, 7), TOLERANCE)
    assert (found.gap <= 10 * TOLERANCE).all()


def test_tables_solved_together_are_solved_as_if_alone(monkeypatch):
    rng = np.random.default_rng(0)
    tables = np.stack([rng.dirichlet(np.full(18, 0.3)).reshape(3, 3, 2) for _ in range(7)])
    tables[3] = 0.0
    tables[3, 0, 0, 0] = 1.0
    together = least_predictable(tables, TOLERANCE)
    for row, table in enumerate(tables):
        alone = least_predictable(table[np.newaxis], TOLERANCE)
        assert together.entropy[row] == pytest.approx(alone.entropy[0], abs=1e-8)
    monkeypatch.setattr(broja, "CHUNK_NUMBERS", 1)
    apart = least_predictable(tables, TOLERANCE)
    np.testing.assert_allclose(apart.entropy, together.entropy, atol=1e-8)


def test_tiny_probabilities_do_not_stop_the_method():
    rng = np.random.default_rng(0)
    tables = np.exp(-rng.uniform(0, 40, (40, 4, 4, 5)))
    tables /= tables.sum(axis=(1, 2, 3), keepdims=True)
    assert (least_predictable(tables, TOLERANCE).gap <= 10 * TOLERANCE).all()


def test_an_answer_without_its_certificate_is_refused(monkeypatch):
    rng = np.random.default_rng(0)
    tables = rng.dirichlet(np.full(27, 0.5), 3).reshape(3, 3, 3, 3)
    monkeypatch.setattr(broja, "MAX_STEPS", 3)
    with pytest.raises(NotConvergedError, match=r"table \d of 3, of 3 x 3 x 3 values.*fewer bins"):
        least_predictable(tables, TOLERANCE)


def test_a_certificate_is_wrong_for_no_dual_point():
    """The bound from above holds wherever the method is, not only at the end."""
    rng = np.random.default_rng(0)
    joint = rng.dirichlet(np.full(24, 0.5)).reshape(1, 2, 3, 4)
    best = least_predictable(joint, TOLERANCE).entropy[0]
    problem = broja._Problem.from_joints(joint)
    for scale in (0.1, 1.0, 10.0):
        iterate = broja._Iterate.interior_start(problem)
        iterate.first = scale * rng.standard_normal(iterate.first.shape)
        iterate.second = scale * rng.standard_normal(iterate.second.shape)
        bound = broja._entropy_bound(problem, iterate)[0] / np.log(2)
        assert bound >= best - 1e-12
