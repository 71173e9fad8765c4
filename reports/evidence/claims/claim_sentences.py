"""Sentences for the paper that answer claims."""

from reports.evidence.claims.claim_evidence import ClaimEvidence
from reports.evidence.statistics.paired import EXACT_UP_TO
from reports.evidence.verdicts import ClaimVerdict
from reports.numerals import format_count, format_number, format_p
from reports.results import StatedClaim


def refused_sentence(claim: StatedClaim, label: str, reason: str) -> str:
    """Write the sentence where there is no evidence."""
    return f"“{claim.arm}” against “{claim.other}” on {label} cannot be judged yet: {reason}."


def weighed_sentence(
    evidence: ClaimEvidence,
    verdict: ClaimVerdict,
    *,
    p_holm: float,
    claims: int,
    label: str,
    decimals: int,
    example: str,
    outlook: str,
) -> str:
    """Write the sentence where there is evidence.

    Args:
        evidence: Evidence on the claim.
        verdict: Answer to the claim.
        p_holm: P, Holm-corrected over the claims.
        claims: Number of claims in the study.
        label: Name of the metric for readers.
        decimals: Decimals of the metric.
        example: Word for one example of the data.
        outlook: End of the sentence of an undecided claim: what would decide it.
    """
    pairs = format_count(evidence.differences.size, "paired seed")
    resampled = "seeds only" if evidence.interval.seeds_only else f"seeds and {example}s"
    found = (
        f"{_difference_phrase(evidence, label, decimals)} "
        f"({_interval_phrase(evidence, decimals)} over {resampled}; {pairs}, "
        f"{_test_phrase(evidence, p_holm, claims)})"
    )
    if verdict == ClaimVerdict.UNDECIDED:
        return (
            f"{found}: whether {_claim_phrase(evidence.claim)} is undecided, because "
            f"{evidence.why_undecided()}; {outlook}."
        )
    return f"{found}: {_conclusion_phrase(evidence.claim, verdict)}."


def _difference_phrase(evidence: ClaimEvidence, label: str, decimals: int) -> str:
    arm, other = f"“{evidence.claim.arm}”", f"“{evidence.claim.other}”"
    size = format_number(abs(evidence.delta), decimals)
    # "0.000 higher" would claim a direction that the digits do not show.
    if float(size) == 0:
        return f"With {arm}, {label} was the same to {decimals} decimals as with {other}"
    direction = "higher" if evidence.delta > 0 else "lower"
    return f"With {arm}, {label} was {size} {direction} than with {other}"


def _interval_phrase(evidence: ClaimEvidence, decimals: int) -> str:
    interval = evidence.interval
    ends = (interval.low, interval.high)
    if not evidence.is_equivalence and all(end * evidence.delta > 0 for end in ends):
        # All on the side of the difference, which the sentence names: sizes are enough.
        low, high = (format_number(end, decimals) for end in sorted(abs(end) for end in ends))
        return f"95 % interval {low} to {high}"
    text = f"95 % interval of the difference {_signed_ends(ends, decimals)}"
    if evidence.is_equivalence:
        text += f", 90 % {_signed_ends((interval.low_90, interval.high_90), decimals)}"
    return text


def _signed_ends(ends: tuple[float, float], decimals: int) -> str:
    low, high = (format_number(end, decimals, signed=True) for end in ends)
    return f"{low} to {high}"


def _test_phrase(evidence: ClaimEvidence, p_holm: float, claims: int) -> str:
    p = f"p {'' if p_holm < 0.001 else '= '}{format_p(p_holm)}"
    amount = evidence.claim.amount
    if evidence.points_to_equivalence:
        text = f"two one-sided tests {p}"
    else:
        exact = "exact" if evidence.differences.size <= EXACT_UP_TO else "sampled"
        against = f" against a difference of {amount:g}" if amount else ""
        text = f"{exact} sign-flip {p}{against}"
    return text + (f", Holm-corrected over {format_count(claims, 'claim')}" if claims > 1 else "")


def _claim_phrase(claim: StatedClaim) -> str:
    if claim.relation == "equivalent":
        return f"they are equivalent within ±{claim.amount:g}"
    return f"it is {_amount_phrase(claim)}{claim.relation}"


def _amount_phrase(claim: StatedClaim) -> str:
    return f"at least {claim.amount:g} " if claim.amount else ""


def _conclusion_phrase(claim: StatedClaim, verdict: ClaimVerdict) -> str:
    supported = verdict == ClaimVerdict.SUPPORTED
    if claim.relation == "equivalent":
        if supported:
            return f"equivalent within ±{claim.amount:g}, as claimed"
        return f"they differ by more than {claim.amount:g}, contrary to the claim"
    if supported:
        return f"{_amount_phrase(claim)}{claim.relation}, as claimed"
    if claim.amount:
        return f"not {_amount_phrase(claim)}{claim.relation}, contrary to the claim"
    opposite = "better" if claim.relation == "worse" else "worse"
    return f"{opposite}, contrary to the claim"
