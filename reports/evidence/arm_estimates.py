"""Estimate of one arm on one metric, paired by seed with the baseline, and its verdict.

A missing or undefined quantity is None here, never 0 and never NaN.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from reports.evidence.statistics.paired import (
    ALPHA,
    bca_interval,
    equivalence_p,
    hedges_g,
    holm_by_name,
    share_of_wins,
    sign_flip_p,
)
from reports.evidence.statistics.resampling import Interval
from reports.evidence.verdicts import Verdict

NO_RESULT = "no result"  # in place of a verdict


@dataclass(frozen=True, kw_only=True)
class MetricFacts:
    """Description of a metric for tables.

    Attributes:
        name, label, higher_is_better: As the metric has them.
        margin: Smallest difference that the author cares about; None where none is given.
        seeds_only: Whether intervals are over seeds only, for want of values on resamples.
    """

    name: str
    label: str
    higher_is_better: bool
    margin: float | None
    seeds_only: bool = False


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Estimate of one arm on one test metric; all after `sd` is against the baseline.

    Attributes:
        arm, metric: Names of both.
        n: Number of the arm's confirm seeds with a defined value.
        mean, sd: Mean and sd (ddof 1) over those seeds.
        pairs: Number of seeds shared with the baseline; all that follows is over these.
        delta: Mean of arm - baseline.
        delta_sd: Sd of arm - baseline.
        ci_low, ci_high: 95 % two-level interval of delta (new seeds and new utterances).
        bca_low, bca_high: 95 % BCa interval of delta (new seeds, these utterances).
        p: Sign-flip p, exact for up to 16 seeds.
        p_holm: Same p, Holm-corrected over the arms; on the primary metric only.
        p_better: Share of seeds where the arm beats the baseline; a tie counts half.
        hedges_g: Delta over the sd of the differences, corrected for small samples.
        p_equivalent: P of two one-sided tests within the margin, over seeds; None without a margin.
        within_margin: Whether the 90 % two-level interval lies inside the margin; None without one.
        verdict: Verdict on the arm; on the primary metric only.
    """

    arm: str
    metric: str
    n: int
    mean: float | None
    sd: float | None
    pairs: int = 0
    delta: float | None = None
    delta_sd: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    bca_low: float | None = None
    bca_high: float | None = None
    p: float | None = None
    p_holm: float | None = None
    p_better: float | None = None
    hedges_g: float | None = None
    p_equivalent: float | None = None
    within_margin: bool | None = None
    verdict: Verdict | None = None

    @property
    def no_result(self) -> bool:
        """Whether no confirm cell gave a value: such an arm is not undecided, but unknown."""
        return self.n == 0

    @property
    def outcome(self) -> str:
        """Verdict for readers; `no result` where no confirm cell gave a value."""
        return (
            NO_RESULT if self.no_result and self.verdict != Verdict.BASELINE else self.verdict or ""
        )


def estimate_arm(
    arm: str,
    metric: MetricFacts,
    own: Mapping[int, float],
    baseline: Mapping[int, float] | None,
    interval: Interval | None,
    seed: int,
) -> Estimate:
    """Estimate one arm on one metric, without a verdict yet.

    Args:
        arm: Name of the arm.
        metric: Description of the metric.
        own: Seed, ascending -> value of the arm, where defined.
        baseline: Seed -> value of the baseline; None for the baseline itself.
        interval: Two-level interval of the difference; None where there is none.
        seed: Seed of the resampling over seeds.
    """
    values = np.array(list(own.values()), dtype=np.float64)
    # Over all seeds of the arm: mean and sd describe it whether or not the baseline has them.
    alone = Estimate(
        arm=arm,
        metric=metric.name,
        n=values.size,
        mean=float(values.mean()) if values.size else None,
        sd=float(values.std(ddof=1)) if values.size > 1 else None,
    )
    shared = [s for s in own if s in baseline] if baseline is not None else []
    if baseline is None or not shared:
        return alone
    differences = np.array([own[s] - baseline[s] for s in shared], dtype=np.float64)
    margin = metric.margin
    bca_low, bca_high = bca_interval(differences, seed) or (None, None)
    return replace(
        alone,
        pairs=len(shared),
        delta=float(differences.mean()),
        delta_sd=float(differences.std(ddof=1)) if len(shared) > 1 else None,
        ci_low=interval.low if interval else None,
        ci_high=interval.high if interval else None,
        bca_low=bca_low,
        bca_high=bca_high,
        p=sign_flip_p(differences, seed),
        p_better=share_of_wins(differences if metric.higher_is_better else -differences),
        hedges_g=hedges_g(differences),
        p_equivalent=equivalence_p(differences, margin) if margin is not None else None,
        within_margin=(
            -margin < interval.low_90 and interval.high_90 < margin
            if margin is not None and interval
            else None
        ),
    )


def judge_arms(
    estimates: Sequence[Estimate], primary: MetricFacts, baseline: str
) -> list[Estimate]:
    """Add Holm's correction and the verdicts on the primary metric; the rest stays as it is."""
    p_holm = holm_by_name(
        {e.arm: e.p for e in estimates if e.metric == primary.name and e.arm != baseline}
    )
    judged = []
    for estimate in estimates:
        if estimate.metric == primary.name and estimate.arm == baseline:
            estimate = replace(estimate, verdict=Verdict.BASELINE)
        elif estimate.metric == primary.name:
            estimate = replace(estimate, p_holm=p_holm.get(estimate.arm))
            estimate = replace(
                estimate, verdict=_decide_verdict(estimate, primary.higher_is_better)
            )
        judged.append(estimate)
    return judged


def _decide_verdict(estimate: Estimate, higher_is_better: bool) -> Verdict:
    low, high = estimate.ci_low, estimate.ci_high
    if low is None or high is None:
        return Verdict.UNDECIDED
    if estimate.p_holm is not None and estimate.p_holm <= ALPHA and (low > 0 or high < 0):
        return Verdict.BETTER if (low > 0) == higher_is_better else Verdict.WORSE
    # The test over seeds says nothing of other utterances, so the two-level interval must agree: by
    # seeds alone an arm of MOSI was "equivalent" whose interval reached beyond the margin.
    over_seeds = estimate.p_equivalent is not None and estimate.p_equivalent <= ALPHA
    if over_seeds and estimate.within_margin:
        return Verdict.EQUIVALENT
    return Verdict.UNDECIDED
