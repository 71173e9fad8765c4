import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from reports.evidence.statistics.exact import fits_float32, round_to_grid

NUMBERS = st.floats(-1e6, 1e6).map(lambda value: round(value, 9))


@given(st.lists(NUMBERS, min_size=1, max_size=40), st.randoms(use_true_random=False))
def test_no_order_of_adding_changes_a_digit(values: list[float], random: object) -> None:
    gridded = round_to_grid(np.array(values), len(values))
    rng = np.random.default_rng(0)
    total = sum(gridded.tolist())
    for _ in range(3):
        assert sum(gridded[rng.permutation(len(values))].tolist()) == total
    assert float(gridded.sum()) == total


@given(st.lists(NUMBERS, min_size=1, max_size=40))
def test_the_grid_is_finer_than_anyone_can_see(values: list[float]) -> None:
    array = np.array(values)
    error = np.abs(round_to_grid(array, array.size) - array).max()
    assert error <= array.size * 2.0**-52 * np.abs(array).max()


def test_a_column_has_its_own_grid_and_keeps_its_gaps() -> None:
    values = np.array([[1e9, 0.1, np.nan], [-2e9, 0.3, 1.0], [3e9, -0.7, 2.0]])
    gridded = round_to_grid(values, 3)
    np.testing.assert_array_equal(gridded[:, 1], round_to_grid(values[:, 1], 3))
    np.testing.assert_array_equal(np.isnan(gridded), np.isnan(values))
    np.testing.assert_allclose(gridded, values, rtol=1e-14)
    np.testing.assert_array_equal(round_to_grid(np.zeros(4), 4), np.zeros(4))


def test_products_of_different_shapes_agree_to_the_last_digit() -> None:
    rng = np.random.default_rng(1)
    terms = round_to_grid(rng.normal(size=(200, 30)), 200)
    counts = rng.integers(0, 4, (50, 200)).astype(float)
    counts[:, 0] += 200 - counts.sum(axis=1).clip(max=200)
    together = counts @ terms
    for place in range(30):
        np.testing.assert_array_equal(together[:, place], counts @ terms[:, place].copy())


def test_whole_small_numbers_are_short() -> None:
    ones = np.array([0.0, 1.0, 1.0])
    assert fits_float32(ones, 686)
    assert not fits_float32(ones * 0.5, 686)
    assert not fits_float32(ones * 2.0**20, 686)
    assert not fits_float32(np.array([np.nan, 1.0]), 2)
