import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.evidence.statistics import paired


def test_five_positive_differences_give_the_floor() -> None:
    assert paired.sign_flip_p(np.array([0.1, 0.2, 0.15, 0.3, 0.05]), seed=0) == 0.0625
    assert paired.p_floor(5) == 0.0625


def test_sixteen_seeds_are_exact_and_seventeen_are_sampled() -> None:
    differences = np.linspace(0.5, 1.5, 17)
    assert paired.sign_flip_p(differences[:16], seed=0) == 2 / 2**16 == paired.p_floor(16)
    assert paired.sign_flip_p(differences, seed=0) == pytest.approx(paired.p_floor(17), abs=1e-4)


def test_sign_flip_equals_a_literal_enumeration() -> None:
    differences = np.array([0.4, -0.1, 0.3, 0.25, -0.2, 0.05])
    signs = 1 - 2 * ((np.arange(64)[:, None] >> np.arange(6)) & 1)
    means = (signs * differences).mean(axis=1)
    literal = np.mean(np.abs(means) >= abs(differences.mean()) - 1e-12)
    assert paired.sign_flip_p(differences, seed=0) == pytest.approx(literal)


def test_a_single_seed_says_nothing() -> None:
    one = np.array([0.3])
    assert paired.sign_flip_p(one, seed=0) == 1.0
    assert paired.bca_interval(one, seed=0) is None
    assert paired.hedges_g(one) is None
    assert paired.equivalence_p(one, 0.5) is None


def test_holm_known_answer() -> None:
    assert paired.holm_correction([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert paired.holm_correction([]) == []


@pytest.mark.parametrize(("arms", "seeds"), [(1, 6), (7, 9)])
def test_seeds_needed_for_a_corrected_p_of_five_percent(arms: int, seeds: int) -> None:
    assert paired.seeds_needed(arms) == seeds


@pytest.mark.parametrize(("n", "d_z"), [(5, 1.68), (10, 1.00), (20, 0.66)])
def test_detectable_effect_known_answers(n: int, d_z: float) -> None:
    assert paired.detectable_effect(n) == pytest.approx(d_z, abs=0.006)


def test_detectable_effect_needs_two_seeds() -> None:
    assert paired.detectable_effect(1) is None
    assert (paired.detectable_effect(2) or 0) > 3


@pytest.mark.parametrize(("shift", "p"), [(0.0, 0.0), (0.02, 0.0), (0.5, 1.0), (-0.5, 1.0)])
def test_equivalence_without_variance(shift: float, p: float) -> None:
    assert paired.equivalence_p(np.full(6, shift), 0.1) == p


def test_constant_differences_are_guarded() -> None:
    constant = np.full(8, 0.25)
    assert paired.bca_interval(constant, seed=0) == (0.25, 0.25)
    assert paired.hedges_g(constant) is None


def test_hedges_g_known_answer() -> None:
    differences = np.array([1.0, 2.0, 3.0])
    assert paired.hedges_g(differences) == pytest.approx(2.0 * (1 - 3 / 7))


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=8))
def test_ties_count_half_and_signs_mirror(values: list[float]) -> None:
    gains = np.array(values)
    better, worse = paired.share_of_wins(gains), paired.share_of_wins(-gains)
    assert better is not None and worse is not None
    assert better + worse == pytest.approx(1)
