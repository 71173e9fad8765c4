"""Our statistics against independent implementations."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import ttost_paired

from reports.evidence.statistics import paired

TIGHT = 1e-9


def test_holm_is_that_of_statsmodels(monkeypatch: pytest.MonkeyPatch) -> None:
    # statsmodels collects garbage at every call, which takes longer than all the rest.
    monkeypatch.setattr("gc.collect", lambda *_: 0)
    rng = np.random.default_rng(0)
    for size in (1, 2, 3, 7, 31):
        for spread in (0.01, 0.2, 1.0):
            p_values = (spread * rng.random(size)).round(2).tolist()  # with ties
            wanted = multipletests(p_values, method="holm")[1]
            np.testing.assert_allclose(paired.holm_correction(p_values), wanted, atol=TIGHT)


@given(st.integers(0, 10_000), st.integers(2, 30), st.floats(0.01, 2))
def test_equivalence_is_that_of_statsmodels(seed: int, n: int, margin: float) -> None:
    differences = np.random.default_rng(seed).normal(0.1, 1, n)
    wanted = ttost_paired(differences, np.zeros(n), -margin, margin)[0]
    assert paired.equivalence_p(differences, margin) == pytest.approx(wanted, abs=TIGHT)


@given(st.integers(0, 10_000), st.integers(2, 10), st.booleans())
@settings(max_examples=30, deadline=None)
def test_sign_flip_is_that_of_scipy(seed: int, n: int, ties: bool) -> None:
    differences = np.random.default_rng(seed).normal(0.3, 1, n)
    if ties:  # sixteenths add without rounding, so equal sums are equal in scipy too
        differences = np.round(differences * 16) / 16
    wanted = stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", vectorized=True, n_resamples=np.inf
    ).pvalue
    assert paired.sign_flip_p(differences, 0) == pytest.approx(wanted, abs=TIGHT)


def test_sampled_sign_flip_is_that_of_scipy_within_its_error() -> None:
    differences = np.linspace(-1.0, 1.9, 20)
    wanted = stats.permutation_test(
        (differences,),
        np.mean,
        permutation_type="samples",
        vectorized=True,
        n_resamples=paired.SIGN_DRAWS,
        rng=np.random.default_rng(1),
    ).pvalue
    got = paired.sign_flip_p(differences, 0)
    error = np.sqrt(2 * wanted * (1 - wanted) / paired.SIGN_DRAWS) * np.sqrt(2)
    assert got is not None and 0.02 < got < 0.2
    assert abs(got - wanted) < 4 * error


@pytest.mark.parametrize("n", [2, 3, 5, 8, 10, 16, 20])
def test_bca_is_that_of_scipy_with_the_same_draws(n: int) -> None:
    # In sixty-fourths scipy's means round nothing, so it finds the ties that we find.
    differences = np.round(np.random.default_rng(n).normal(0.3, 1, n) * 64) / 64
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        wanted = stats.bootstrap(
            (differences,),
            np.mean,
            vectorized=True,
            n_resamples=paired.BCA_DRAWS,
            method="BCa",
            rng=np.random.default_rng(4),
        ).confidence_interval
    got = paired.bca_interval(differences, 4)
    assert got == pytest.approx((wanted.low, wanted.high), abs=TIGHT)


@pytest.mark.parametrize("n", [12, 17, 25])
def test_bca_is_that_of_arch_with_the_same_draws(n: int) -> None:
    bootstrap = pytest.importorskip("arch.bootstrap", reason="arch is not installed")
    differences = np.random.default_rng(n).normal(0.3, 1, n)
    resampled = bootstrap.IIDBootstrap(differences, seed=np.random.default_rng(4))
    wanted = resampled.conf_int(np.mean, reps=paired.BCA_DRAWS, method="bca").ravel()
    # arch counts no ties; an even n of this size has a few, of which none moves an end by much.
    np.testing.assert_allclose(paired.bca_interval(differences, 4), wanted, atol=TIGHT)


def test_share_better_is_the_mean_of_mann_whitney_over_seeds() -> None:
    rng = np.random.default_rng(2)
    own, others = rng.normal(size=12).round(1), rng.normal(size=12).round(1)
    own[3] = others[3]
    statistics = [
        stats.mannwhitneyu([a], [b], method="asymptotic").statistic
        for a, b in zip(own, others, strict=True)
    ]
    assert paired.share_of_wins(own - others) == pytest.approx(np.mean(statistics), abs=TIGHT)


def test_hedges_g_is_the_t_statistic_over_the_root_of_n() -> None:
    differences = np.random.default_rng(3).normal(0.5, 1, 9)
    t = stats.ttest_1samp(differences, 0).statistic
    wanted = t / np.sqrt(9) * (1 - 3 / (4 * 8 - 1))
    assert paired.hedges_g(differences) == pytest.approx(wanted, abs=TIGHT)


@given(st.integers(0, 1000), st.floats(0.1, 10))
@settings(deadline=None)
def test_units_and_mirrors_change_no_p(seed: int, factor: float) -> None:
    differences = np.random.default_rng(seed).normal(0.3, 1, 8)
    p = paired.sign_flip_p(differences, 0)
    assert paired.sign_flip_p(-differences, 0) == p
    assert paired.sign_flip_p(differences[::-1] * factor, 0) == p
    low, high = paired.bca_interval(differences, 0) or (0, 0)
    scaled = paired.bca_interval(differences * factor, 0)
    assert scaled == pytest.approx((low * factor, high * factor))
