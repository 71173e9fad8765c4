"""Statistics of differences paired by seed: pure functions of a vector of differences [n].

`scipy.stats` and `statsmodels` have all of them under other names, and the tests compare the two. A
report of many arms calls them by the thousand, so the parts that calls share are computed once.
"""

import warnings
from collections.abc import Mapping
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import special
from statsmodels.stats.power import TTestPower

from reports.evidence.statistics.exact import round_to_grid
from reports.results import FloatArray

ALPHA = 0.05
POWER = 0.80
EXACT_UP_TO = 16  # seeds; the 2^16 sign patterns are enumerated, those of more seeds are sampled
SIGN_DRAWS = 100_000
BCA_DRAWS = 10_000
_TIE = 1e-12  # share of the sum of sizes: sums that differ by less are equal but for rounding


def sign_flip_p(differences: FloatArray, seed: int) -> float | None:
    """Compute the two-sided sign-flip p, exact for n <= 16. Five positive differences give .0625.

    The same as `scipy.stats.permutation_test(permutation_type="samples")` of the mean.

    Args:
        differences: Arm - baseline, one per seed.
        seed: Seed of sampled sign patterns, for more than 16 differences.

    Returns:
        p, or None without a difference.
    """
    n = differences.size
    if n == 0:
        return None
    gridded = round_to_grid(differences, n)
    least = abs(float(gridded.sum())) - _TIE * float(np.abs(gridded).sum())
    if n <= EXACT_UP_TO:
        # One sign may stay: the other half of the patterns is the mirror image of this one.
        return float(np.mean(np.abs(_all_signs(n) @ gridded) >= least))
    # Sampled patterns count the observed one too, so that p is never 0.
    reached = int(np.count_nonzero(_draw_signs(n, seed) @ gridded >= least))
    return min(1.0, 2 * (reached + 1) / (SIGN_DRAWS + 1))


@lru_cache(maxsize=4)
def _all_signs(n: int) -> FloatArray:
    """Return all patterns of n signs whose first is +: [2^(n - 1), n]."""
    bits = (np.arange(2 ** (n - 1))[:, None] >> np.arange(n)) & 1
    return _as_signs(bits[:, ::-1])


@lru_cache(maxsize=2)
def _draw_signs(n: int, seed: int) -> FloatArray:
    return _as_signs(np.random.default_rng(seed).integers(0, 2, (SIGN_DRAWS, n)))


def _as_signs(bits: NDArray[np.int64]) -> FloatArray:
    """Return +1 for 0 and -1 for 1."""
    return np.where(bits == 0, 1.0, -1.0)


def p_floor(n: int) -> float:
    """Return the smallest two-sided sign-flip p that n seeds can give: 2 / 2^n while exact."""
    return min(1.0, 2 / 2**n) if n <= EXACT_UP_TO else 2 / (SIGN_DRAWS + 1)


def seeds_needed(arms: int) -> int:
    """Return the fewest seeds with which Holm over `arms` arms can give p <= .05: 9 for 7 arms."""
    n = 1
    while max(arms, 1) * 2 / 2**n > ALPHA:
        n += 1
    return n


def holm_correction(p_values: list[float]) -> list[float]:
    """Correct p values by Holm's step-down method: (.01, .04, .03) gives (.03, .06, .06)."""
    order = np.argsort(p_values, kind="stable")
    steps = np.array(p_values, dtype=np.float64)[order] * np.arange(order.size, 0, -1)
    corrected = np.empty(order.size)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return [float(p) for p in corrected]


def holm_by_name(p_values: Mapping[str, float | None]) -> dict[str, float]:
    """Correct a family of p values; one that is missing stays in the family as p = 1.

    So an arm that failed does not ease the correction of the others. Returns those that are known.
    """
    corrected = holm_correction([1.0 if p is None else p for p in p_values.values()])
    known = zip(p_values.items(), corrected, strict=True)
    return {name: holm for (name, p), holm in known if p is not None}


def bca_interval(differences: FloatArray, seed: int) -> tuple[float, float] | None:
    """Compute the 95 % BCa interval of the mean difference over seeds; None if undefined.

    Source: Efron 1987; the same draws, and so the same digits, as `scipy.stats.bootstrap`.
    """
    n = differences.size
    if n < 2:
        return None
    mean = float(differences.mean())
    if is_constant(differences):  # BCa divides 0 by 0; every resample has this one mean
        return mean, mean
    gridded = round_to_grid(differences, n)
    sums = _draw_counts(n, seed) @ gridded
    # Resamples that tie with the estimate count half: scipy counts them as below or above it by
    # rounding, which moves the ends by about 1e-3 at n = 10.
    own, tie = float(gridded.sum()), _TIE * float(np.abs(gridded).sum())
    below, not_above = np.count_nonzero(sums < own - tie), np.count_nonzero(sums <= own + tie)
    bias = special.ndtri((below + not_above) / (2 * sums.size))
    influence = differences - mean  # of each seed on the mean, up to a factor
    cubes, squares = float(np.sum(influence**3)), float(np.sum(influence**2))
    acceleration = cubes / (6 * squares**1.5)
    shifted = bias + special.ndtri([ALPHA / 2, 1 - ALPHA / 2])
    with np.errstate(invalid="ignore"):
        shares = special.ndtr(bias + shifted / (1 - acceleration * shifted))
    if not np.isfinite(shares).all():
        return None
    low, high = np.quantile(sums / n, shares)
    return float(low), float(high)


@lru_cache(maxsize=4)
def _draw_counts(n: int, seed: int) -> FloatArray:
    """Count how often each of n is drawn in every resample: [BCA_DRAWS, n]; rows sum to n."""
    picked = np.random.default_rng(seed).integers(0, n, (BCA_DRAWS, n))
    counts = np.zeros((BCA_DRAWS, n))
    np.add.at(counts, (np.arange(BCA_DRAWS)[:, None], picked), 1.0)
    return counts


def share_of_wins(gains: FloatArray) -> float | None:
    """Compute the share of seeds with a positive gain; a tie counts half."""
    if gains.size == 0:
        return None
    return float(np.mean((gains > 0) + 0.5 * (gains == 0)))


def hedges_g(differences: FloatArray) -> float | None:
    """Divide mean by sd of paired differences, times the small-sample factor 1 - 3 / (4 df - 1)."""
    if differences.size < 2 or is_constant(differences):
        return None
    d_z = differences.mean() / differences.std(ddof=1)
    return float(d_z * (1 - 3 / (4 * (differences.size - 1) - 1)))


def equivalence_p(differences: FloatArray, margin: float) -> float | None:
    """Compute the p of two one-sided paired t tests of |mean difference| < margin.

    Without variance there is no t: the answer is then 0 inside the margin and 1 outside.
    """
    if differences.size < 2:
        return None
    if is_constant(differences):
        return 0.0 if abs(float(differences.mean())) < margin else 1.0
    n = differences.size
    error = differences.std(ddof=1) / np.sqrt(n)
    # Of the two tests, that of the nearer bound has the larger p.
    return float(special.stdtr(n - 1, (abs(float(differences.mean())) - margin) / error))


def detectable_effect(n: int) -> float | None:
    """Compute the smallest |mean| / sd that a two-sided paired t test finds with 80 % power.

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
    """Check whether all differences are one number, up to rounding."""
    return bool(np.ptp(differences) <= 1e-12 * np.abs(differences).max(initial=0.0))
