"""Number of confirm seeds that would decide an undecided claim."""

import math

from scipy import optimize, stats

from reports.evidence.claims.claim_evidence import ClaimEvidence
from reports.evidence.statistics.paired import ALPHA, POWER, seeds_needed
from reports.numerals import format_count

MOST_SEEDS = 10_000  # a larger number is not given, only that it is larger


def seeds_to_decide(evidence: ClaimEvidence, claims: int) -> tuple[int | None, str]:
    """Estimate the fewest confirm seeds that would decide a claim with 80 % power.

    The difference is taken to stay as measured, and every quantity to be normal. The interval's
    variance is V = (half width / 1.96)^2; of it Vu, the covariance of two seeds' differences over
    test sets, stays however many seeds there are, and the rest shrinks as 1 / n. (A bootstrap of n
    seeds has (n - 1) / n of their variance s^2 / n; the missing s^2 / n^2 is added to V.) Then n'
    seeds must satisfy

    - for the interval: Vu + (V - Vu) n / n' <= e(1.96)^2, where e(z) is the largest standard error
      with which an interval of +-z of them clears the bound with 80 % power: gap / (z + 0.84). An
      equivalence must clear two bounds, with z = 1.64 as for its 90 % interval;
    - for the test: n' >= s^2 / e(z)^2 + z^2 / 2, with z at .05 over the number of claims, Holm's
      hardest step; the last term is for the t distribution (Guenther 1981);
    - n' >= the floor of sign flips (`seeds_needed`), and more than the seeds that there are.

    Args:
        evidence: Evidence on the claim.
        claims: Number of claims in the study.

    Returns:
        The number, or None where none is known to be enough; and the end of a sentence about it.
    """
    n = evidence.differences.size
    if n < 2:
        return None, "one paired seed does not show how much seeds differ"
    if evidence.gap == 0:
        return None, "the measured difference lies on the bound itself"
    equivalent = evidence.points_to_equivalence
    near = abs(evidence.gap)
    far = near + 2 * abs(evidence.delta) if equivalent else math.inf
    tail = ALPHA if equivalent else ALPHA / 2
    of_interval = _largest_error(near, far, float(stats.norm.isf(tail)))
    critical = float(stats.norm.isf(tail / claims))
    of_test = _largest_error(near, far, critical)
    variance = float(evidence.differences.var(ddof=1))
    low, high = evidence.interval.low, evidence.interval.high
    total = ((high - low) / 2 / float(stats.norm.isf(0.025))) ** 2 + variance / n**2
    of_utterances = evidence.interval.of_utterances
    # More seeds never shrink this part of the variance.
    if of_utterances >= of_interval**2:
        return None, "the test set is too small to decide it, however many seeds"
    wanted = max(
        n * max(0.0, total - of_utterances) / (of_interval**2 - of_utterances),
        variance / of_test**2 + critical**2 / 2,
        2 if equivalent else seeds_needed(claims),
        n + 1,
    )
    if wanted > MOST_SEEDS:
        number = format_count(MOST_SEEDS, "confirm seed")
        return None, f"more than {number} would be needed to decide it"
    seeds = math.ceil(wanted)
    return seeds, (
        f"about {format_count(seeds, 'confirm seed')} would decide it with 80 % power if the "
        "difference stays as measured"
    )


def _largest_error(near: float, far: float, critical: float) -> float:
    """Find the largest standard error with which both bounds are cleared with 80 % power.

    Args:
        near: Distance of the true value from the nearer bound.
        far: Distance from the other bound; infinite where there is none.
        critical: Half width of the interval in standard errors.
    """

    def excess_power(error: float) -> float:
        both = stats.norm.cdf(near / error - critical) + stats.norm.cdf(far / error - critical)
        return float(both) - 1 - POWER

    if math.isinf(far):
        return near / (critical + float(stats.norm.ppf(POWER)))
    # The ends enclose the root: at the lower one each bound alone is cleared with 90 %, at the
    # upper one the near bound with less than 80 %.
    return float(optimize.brentq(excess_power, near / (critical + 1.3), near / (critical + 0.8)))
