"""Statistics of differences paired by seed: pure functions of a vector of differences [n]."""

import warnings

import numpy as np
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower
from statsmodels.stats.weightstats import ttost_paired

from reports.results import FloatArray

ALPHA = 0.05
POWER = 0.80
EXACT_UP_TO = 16  # seeds: 2^16 sign patterns are enumerated, more are sampled
SIGN_DRAWS = 100_000
BCA_DRAWS = 10_000


def sign_flip_p(differences: FloatArray, seed: int) -> float | None:
    """Two-sided sign-flip permutation p; exact for n <= 16. Five positive differences give .0625.

    Args:
        differences: arm - baseline, one a seed.
        seed: used only where the sign patterns are too many to enumerate.

    Returns:
        p, or None without a difference.
    """
    if differences.size == 0:
        return None
    if differences.size == 1:
        return 1.0  # both signs are as extreme; scipy refuses a single observation
    result = stats.permutation_test(
        (differences,),
        np.mean,
        permutation_type="samples",
        vectorized=True,
        n_resamples=SIGN_DRAWS,  # >= 2^n for n <= 16: scipy then enumerates
        rng=np.random.default_rng(seed),
    )
    return float(result.pvalue)


def p_floor(n: int) -> float:
    """The smallest two-sided sign-flip p that n seeds can give: 2 / 2^n while exact."""
    return min(1.0, 2 / 2**n) if n <= EXACT_UP_TO else 2 / (SIGN_DRAWS + 1)


def seeds_needed(arms: int) -> int:
    """The fewest seeds with which Holm over `arms` arms can give p <= .05. Seven arms need 9."""
    n = 1
    while max(arms, 1) * 2 / 2**n > ALPHA:
        n += 1
    return n


def holm(p_values: list[float]) -> list[float]:
    """Holm's step-down correction: (.01, .04, .03) gives (.03, .06, .06)."""
    if not p_values:
        return []
    return [float(p) for p in multipletests(p_values, alpha=ALPHA, method="holm")[1]]


def bca_interval(differences: FloatArray, seed: int) -> tuple[float, float] | None:
    """95 % BCa bootstrap interval of the mean difference over seeds alone; None if undefined."""
    if differences.size < 2:
        return None
    if is_constant(differences):  # BCa divides 0 by 0; every resample has this one mean
        mean = float(differences.mean())
        return mean, mean
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        interval = stats.bootstrap(
            (differences,),
            np.mean,
            vectorized=True,
            n_resamples=BCA_DRAWS,
            method="BCa",
            rng=np.random.default_rng(seed),
        ).confidence_interval
    low, high = float(interval.low), float(interval.high)
    return (low, high) if np.isfinite([low, high]).all() else None


def share_better(gains: FloatArray) -> float | None:
    """Share of seeds with a positive gain; a tie counts half."""
    if gains.size == 0:
        return None
    return float(np.mean((gains > 0) + 0.5 * (gains == 0)))


def hedges_g(differences: FloatArray) -> float | None:
    """Mean over sd of the paired differences, times the small-sample factor 1 - 3 / (4 df - 1)."""
    if differences.size < 2 or is_constant(differences):
        return None
    d_z = differences.mean() / differences.std(ddof=1)
    return float(d_z * (1 - 3 / (4 * (differences.size - 1) - 1)))


def equivalence_p(differences: FloatArray, margin: float) -> float | None:
    """Two one-sided paired t tests of |mean difference| < margin.

    Without variance there is no t: the answer is then 0 inside the margin and 1 outside.
    """
    if differences.size < 2:
        return None
    if is_constant(differences):
        return 0.0 if abs(float(differences.mean())) < margin else 1.0
    return float(ttost_paired(differences, np.zeros_like(differences), -margin, margin)[0])


def detectable_effect(n: int) -> float | None:
    """Smallest |mean| / sd of the differences found with 80 % power by a two-sided paired t test.

    1.68 at n = 5, 1.00 at 10, .66 at 20.
    """
    if n < 2:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # the solver's start values may overflow; its end is checked
        solved = TTestPower().solve_power(
            effect_size=None, nobs=n, alpha=ALPHA, power=POWER, alternative="two-sided"
        )
    effect = float(np.squeeze(solved))
    return effect if np.isfinite(effect) and effect > 0 else None


def is_constant(differences: FloatArray) -> bool:
    """Whether all differences are one number, up to rounding."""
    return bool(np.ptp(differences) <= 1e-12 * np.abs(differences).max(initial=0.0))
