"""The study's claims, answered: supported, refuted or undecided.

Better or worse by at least d is *supported* where the 95 % two-level interval lies wholly at or
above d in the claimed direction, and *refuted* where it lies wholly below; both only where the
sign-flip p against d, Holm-corrected over the claims, is at most .05. Equivalent within m is
*supported* where two one-sided tests reject both bounds at a corrected p of at most .05 and the
90 % interval lies inside them, and *refuted* where the 95 % interval lies wholly outside and the
corrected sign-flip p against the nearer bound is at most .05. All else is *undecided*.

Each claim brings one p to Holm's correction, that of the answer it points to. Only one of a claim's
two answers is false, whatever the truth, so nothing is doubled: the false one needs its own p.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from reports.evidence.claims.evidence import ClaimVerdict, Evidence, weigh
from reports.evidence.claims.seeds_needed import seeds_to_decide
from reports.evidence.claims.wording import answered, unanswered
from reports.evidence.estimates import Estimate, MetricFacts
from reports.evidence.statistics.paired import holm
from reports.evidence.statistics.resampling import Interval
from reports.numerals import choose_decimals
from reports.results import Claim

Pair = tuple[str, str]  # arm, what it is compared with
SEALED = "test metrics are sealed until the study is finished"


@dataclass(frozen=True, kw_only=True)
class ClaimAnswer:
    """The answer to one claim.

    Attributes:
        claim: which.
        verdict: supported, refuted or undecided.
        delta: mean of arm - other over shared seeds.
        ci_low, ci_high: its 95 % two-level interval.
        p: uncorrected, of the answer that the difference points to; `p_holm` corrects it over the
            claims.
        pairs: shared seeds with a value.
        seeds_to_decide: confirm seeds that would decide an undecided claim with 80 % power; None
            where it is decided, or no number is known to do.
        sentence: for the paper.
        reason: why it is undecided; empty where it is not.
        decimals: of the metric, as in the table.
    """

    claim: Claim
    verdict: ClaimVerdict
    delta: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    p: float | None = None
    p_holm: float | None = None
    pairs: int = 0
    seeds_to_decide: int | None = None
    sentence: str
    reason: str
    decimals: int


def claimed_pairs(claims: Sequence[Claim]) -> list[Pair]:
    """What claims compare, each once."""
    return list(dict.fromkeys((claim.arm, claim.other) for claim in claims))


def answer_claims(
    claims: Sequence[Claim],
    *,
    metrics: Sequence[MetricFacts],
    estimates: Sequence[Estimate],
    values: Mapping[tuple[str, str], Mapping[int, float]],
    intervals: Mapping[Pair, Sequence[Interval | None]],
    seed: int,
    sealed: bool = False,
) -> tuple[ClaimAnswer, ...]:
    """Answer every claim.

    Args:
        claims: one Holm family.
        metrics: of the comparison.
        estimates: of the comparison, for the decimals of a metric.
        values: (arm, metric) -> seed, ascending -> value, where defined.
        intervals: (arm, other) -> two-level interval of arm - other, one a metric.
        seed: of sampled sign flips.
        sealed: test metrics are kept shut, so no claim can be answered.
    """
    known = {metric.name: (place, metric) for place, metric in enumerate(metrics)}

    weighed = [
        SEALED if sealed else _evidence_on(claim, known, values, intervals, seed)
        for claim in claims
    ]
    # A claim without a p stays in the family: a failed arm must not ease the correction.
    corrected = holm([1.0 if isinstance(found, str) else found.p for found in weighed])
    answers = []
    for claim, found, p_holm in zip(claims, weighed, corrected, strict=True):
        label = known[claim.metric][1].label if claim.metric in known else claim.metric
        decimals = choose_decimals(e.sd for e in estimates if e.metric == claim.metric)
        answers.append(
            _unanswered(claim, found, label, decimals)
            if isinstance(found, str)
            else _answered(found, p_holm, len(claims), label, decimals)
        )
    return tuple(answers)


def _evidence_on(
    claim: Claim,
    known: Mapping[str, tuple[int, MetricFacts]],
    values: Mapping[tuple[str, str], Mapping[int, float]],
    intervals: Mapping[Pair, Sequence[Interval | None]],
    seed: int,
) -> Evidence | str:
    """The evidence on a claim, or why there is none."""
    if claim.metric not in known:
        return f"there is no test metric '{claim.metric}'"
    place, metric = known[claim.metric]
    own, others = (values.get((arm, metric.name)) for arm in (claim.arm, claim.other))
    if own is None or others is None:
        return f"this study has no arm “{claim.arm if own is None else claim.other}”"
    shared = [s for s in own if s in others]
    if not shared:
        return f"they share no complete confirm seed with a defined {metric.label}"
    if (claim.arm, claim.other) not in intervals:
        return "test predictions of their cells are missing, so there is no two-level interval"
    interval = intervals[claim.arm, claim.other][place]
    if interval is None:
        return f"{metric.label} is undefined in too many bootstrap draws for an interval"
    differences = np.array([own[s] - others[s] for s in shared], dtype=np.float64)
    higher = metric.higher_is_better
    return weigh(claim, differences, interval, higher_is_better=higher, seed=seed)


def _unanswered(claim: Claim, reason: str, label: str, decimals: int) -> ClaimAnswer:
    return ClaimAnswer(
        claim=claim,
        verdict="undecided",
        sentence=unanswered(claim, label, reason),
        reason=reason,
        decimals=decimals,
    )


def _answered(
    evidence: Evidence, p_holm: float, claims: int, label: str, decimals: int
) -> ClaimAnswer:
    verdict = evidence.verdict(p_holm)
    seeds, outlook = seeds_to_decide(evidence, claims) if verdict == "undecided" else (None, "")
    return ClaimAnswer(
        claim=evidence.claim,
        verdict=verdict,
        delta=evidence.delta,
        ci_low=evidence.interval.low,
        ci_high=evidence.interval.high,
        p=evidence.p,
        p_holm=p_holm,
        pairs=evidence.differences.size,
        seeds_to_decide=seeds,
        sentence=answered(
            evidence,
            verdict,
            p_holm=p_holm,
            claims=claims,
            label=label,
            decimals=decimals,
            outlook=outlook,
        ),
        reason=f"{evidence.why_undecided()}; {outlook}" if verdict == "undecided" else "",
        decimals=decimals,
    )
