"""Answers to the study's claims: supported, refuted or undecided.

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

from reports.evidence.arm_estimates import Estimate, MetricFacts
from reports.evidence.claims.claim_evidence import ClaimEvidence, weigh_claim
from reports.evidence.claims.claim_sentences import refused_sentence, weighed_sentence
from reports.evidence.claims.seeds_to_decide import seeds_to_decide
from reports.evidence.statistics.paired import holm_correction
from reports.evidence.statistics.resampling import Interval
from reports.evidence.verdicts import ClaimVerdict, Declined
from reports.numerals import choose_decimals
from reports.results import StatedClaim

Pair = tuple[str, str]  # arm, and the arm that it is compared with
NO_PREDICTIONS = "test predictions of their cells are missing, so there is no two-level interval"
UNDER_EMBARGO = "test metrics are sealed until the study is finished"


@dataclass(frozen=True, kw_only=True)
class ClaimAnswer:
    """Answer to one claim.

    Attributes:
        claim: Claim that is answered.
        verdict: Supported, refuted or undecided.
        delta: Mean of arm - other over shared seeds.
        ci_low, ci_high: Ends of its 95 % two-level interval.
        p: P of the answer that the difference points to, uncorrected.
        p_holm: Same p, Holm-corrected over the claims.
        pairs: Number of shared seeds with a value.
        seeds_to_decide: Confirm seeds that would decide an undecided claim with 80 % power; None
            where it is decided, or no number is known to be enough.
        sentence: Sentence for the paper.
        reason: Reason why it is undecided; empty where it is decided.
        decimals: Decimals of the metric, as in the table.
    """

    claim: StatedClaim
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


def claimed_pairs(claims: Sequence[StatedClaim]) -> list[Pair]:
    """List the pairs of arms that claims compare, each once."""
    return list(dict.fromkeys((claim.arm, claim.other) for claim in claims))


def answer_claims(
    claims: Sequence[StatedClaim],
    *,
    metrics: Sequence[MetricFacts],
    estimates: Sequence[Estimate],
    values: Mapping[tuple[str, str], Mapping[int, float]],
    intervals: Mapping[Pair, Sequence[Interval | Declined | None]],
    seed: int,
    example: str = "utterance",
    embargoed: bool = False,
) -> tuple[ClaimAnswer, ...]:
    """Answer every claim.

    Args:
        claims: Claims of the study; together one Holm family.
        metrics: Metrics of the comparison.
        estimates: Estimates of the comparison, for the decimals of a metric.
        values: (arm, metric) -> seed, ascending -> value, where defined.
        intervals: (arm, other) -> interval of arm - other, one per metric, or the reason why there
            is none; None where too many draws are undefined.
        seed: Seed of sampled sign flips.
        example: Word for one example of the data.
        embargoed: Whether test metrics are under embargo, so that no claim can be answered.
    """
    known = {metric.name: (index, metric) for index, metric in enumerate(metrics)}
    weighed = [
        Declined(UNDER_EMBARGO)
        if embargoed
        else _evidence_on_claim(claim, known, values, intervals, seed)
        for claim in claims
    ]
    # A claim without a p stays in the family: a failed arm must not ease the correction.
    corrected = holm_correction(
        [1.0 if isinstance(found, Declined) else found.p for found in weighed]
    )
    answers = []
    for claim, found, p_holm in zip(claims, weighed, corrected, strict=True):
        # A claim may name a metric that this data does not have; it is then shown by its name.
        label = known[claim.metric][1].label if claim.metric in known else claim.metric
        decimals = choose_decimals(e.sd for e in estimates if e.metric == claim.metric)
        answers.append(
            _refuse_claim(claim, found.reason, label, decimals)
            if isinstance(found, Declined)
            else _settle_claim(found, p_holm, len(claims), label, decimals, example)
        )
    return tuple(answers)


def _evidence_on_claim(
    claim: StatedClaim,
    known: Mapping[str, tuple[int, MetricFacts]],
    values: Mapping[tuple[str, str], Mapping[int, float]],
    intervals: Mapping[Pair, Sequence[Interval | Declined | None]],
    seed: int,
) -> ClaimEvidence | Declined:
    """Gather the evidence on a claim."""
    # A claim is written before its results are there, so each part of it may be missing.
    if claim.metric not in known:
        return Declined(f"there is no test metric '{claim.metric}'")
    index, metric = known[claim.metric]
    own, others = (values.get((arm, metric.name)) for arm in (claim.arm, claim.other))
    if own is None or others is None:
        return Declined(f"this study has no arm “{claim.arm if own is None else claim.other}”")
    shared = [s for s in own if s in others]
    if not shared:
        return Declined(f"they share no complete confirm seed with a defined {metric.label}")
    if (claim.arm, claim.other) not in intervals:
        return Declined(NO_PREDICTIONS)
    interval = intervals[claim.arm, claim.other][index]
    if isinstance(interval, Declined):
        return interval
    if interval is None and metric.seeds_only:
        return Declined("one shared seed gives no interval over seeds")
    if interval is None:
        return Declined(f"{metric.label} is undefined in too many bootstrap draws for an interval")
    differences = np.array([own[s] - others[s] for s in shared], dtype=np.float64)
    higher = metric.higher_is_better
    return weigh_claim(claim, differences, interval, higher_is_better=higher, seed=seed)


def _refuse_claim(claim: StatedClaim, reason: str, label: str, decimals: int) -> ClaimAnswer:
    return ClaimAnswer(
        claim=claim,
        verdict=ClaimVerdict.UNDECIDED,
        sentence=refused_sentence(claim, label, reason),
        reason=reason,
        decimals=decimals,
    )


def _settle_claim(
    evidence: ClaimEvidence, p_holm: float, claims: int, label: str, decimals: int, example: str
) -> ClaimAnswer:
    verdict = evidence.verdict_at(p_holm)
    seeds, outlook, reason = None, "", ""
    if verdict == ClaimVerdict.UNDECIDED:
        seeds, outlook = seeds_to_decide(evidence, claims)
        reason = f"{evidence.why_undecided()}; {outlook}"
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
        sentence=weighed_sentence(
            evidence,
            verdict,
            p_holm=p_holm,
            claims=claims,
            label=label,
            decimals=decimals,
            example=example,
            outlook=outlook,
        ),
        reason=reason,
        decimals=decimals,
    )
