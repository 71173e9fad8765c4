"""How many confirm seeds would decide a claim that is undecided."""

import math

from scipy import optimize, stats

from reports.evidence.claims.evidence import Evidence
from reports.evidence.statistics.paired import ALPHA, POWER, seeds_needed
from reports.numerals import count

MOST = 10_000  # seeds; beyond, the number is only called large


def seeds_to_decide(evidence: Evidence, claims: int) -> tuple[int | None, str]:
    """The fewest confirm seeds that would decide a claim with 80 % power, and a sentence's end.

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
    - n' >= the floor of sign flips (`seeds_needed`), and more than there are: these did not do.

    Args:
        evidence: on the claim.
        claims: in the study.

    Returns:
        The number, or None where none is known to do; and what to say.
    """
    n = evidence.differences.size
    if n < 2:
        return None, "one paired seed does not show how much seeds differ"
    if evidence.gap == 0:
        return None, "the measured difference lies on the bound itself"
    equivalent = evidence.equivalence and evidence.points_to == "supported"
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
    if of_utterances >= of_interval**2:
        return None, "the test set is too small to decide it, however many seeds"
    wanted = max(
        n * max(0.0, total - of_utterances) / (of_interval**2 - of_utterances),
        variance / of_test**2 + critical**2 / 2,
        2 if equivalent else seeds_needed(claims),
        n + 1,
    )
    if wanted > MOST:
        return None, f"more than {count(MOST, 'confirm seed')} would be needed to decide it"
    seeds = math.ceil(wanted)
    return seeds, (
        f"about {count(seeds, 'confirm seed')} would decide it with 80 % power if the difference "
        "stays as measured"
    )


def _largest_error(near: float, far: float, critical: float) -> float:
    """The largest standard error with which both bounds are cleared with 80 % power.

    Args:
        near: distance of the true value from the nearer bound.
        far: the same of the other; infinite where there is none.
        critical: half width of the interval in standard errors.
    """

    def power(error: float) -> float:
        both = stats.norm.cdf(near / error - critical) + stats.norm.cdf(far / error - critical)
        return float(both) - 1 - POWER

    if math.isinf(far):
        return near / (critical + float(stats.norm.ppf(POWER)))
    # Below, each bound alone is cleared with 90 %; above, the near one with less than 80 %.
    return float(optimize.brentq(power, near / (critical + 1.3), near / (critical + 0.8)))
