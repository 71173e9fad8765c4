"""A claim's answer as a sentence for the paper."""

from reports.evidence.claims.evidence import ClaimVerdict, Evidence
from reports.evidence.statistics.paired import EXACT_UP_TO
from reports.numerals import count, show, show_p
from reports.results import Claim


def unanswered(claim: Claim, label: str, reason: str) -> str:
    """The sentence where there is no evidence."""
    return f"“{claim.arm}” against “{claim.other}” on {label} cannot be judged yet: {reason}."


def answered(
    evidence: Evidence,
    verdict: ClaimVerdict,
    *,
    p_holm: float,
    claims: int,
    label: str,
    decimals: int,
    outlook: str,
) -> str:
    """The sentence where there is evidence.

    Args:
        evidence: on the claim.
        verdict: its answer.
        p_holm: corrected over the claims.
        claims: in the study.
        label: of the metric.
        decimals: of the metric.
        outlook: what would decide it, where it is undecided.
    """
    pairs = count(evidence.differences.size, "paired seed")
    found = (
        f"{_difference(evidence, label, decimals)} ({_interval(evidence, decimals)} over seeds and "
        f"utterances; {pairs}, {_test(evidence, p_holm, claims)})"
    )
    if verdict == "undecided":
        return (
            f"{found}: whether {_claimed(evidence.claim)} is undecided, because "
            f"{evidence.why_undecided()}; {outlook}."
        )
    return f"{found}: {_conclusion(evidence.claim, verdict)}."


def _difference(evidence: Evidence, label: str, decimals: int) -> str:
    arm, other = f"“{evidence.claim.arm}”", f"“{evidence.claim.other}”"
    size = show(abs(evidence.delta), decimals)
    if float(size) == 0:
        return f"With {arm}, {label} was the same to {decimals} decimals as with {other}"
    direction = "higher" if evidence.delta > 0 else "lower"
    return f"With {arm}, {label} was {size} {direction} than with {other}"


def _interval(evidence: Evidence, decimals: int) -> str:
    interval = evidence.interval
    ends = (interval.low, interval.high)
    if not evidence.equivalence and all(end * evidence.delta > 0 for end in ends):
        # All on the side of the difference: sizes say it all.
        low, high = (show(end, decimals) for end in sorted(abs(end) for end in ends))
        return f"95 % interval {low} to {high}"
    text = f"95 % interval of the difference {_signed(ends, decimals)}"
    if evidence.equivalence:
        text += f", 90 % {_signed((interval.low_90, interval.high_90), decimals)}"
    return text


def _signed(ends: tuple[float, float], decimals: int) -> str:
    low, high = (show(end, decimals, signed=True) for end in ends)
    return f"{low} to {high}"


def _test(evidence: Evidence, p_holm: float, claims: int) -> str:
    p = f"p {'' if p_holm < 0.001 else '= '}{show_p(p_holm)}"
    amount = evidence.claim.amount
    if evidence.equivalence and evidence.points_to == "supported":
        text = f"two one-sided tests {p}"
    else:
        exact = "exact" if evidence.differences.size <= EXACT_UP_TO else "sampled"
        against = f" against a difference of {amount:g}" if amount else ""
        text = f"{exact} sign-flip {p}{against}"
    return text + (f", Holm-corrected over {count(claims, 'claim')}" if claims > 1 else "")


def _claimed(claim: Claim) -> str:
    if claim.relation == "equivalent":
        return f"they are equivalent within ±{claim.amount:g}"
    return f"it is {_amount(claim)}{claim.relation}"


def _amount(claim: Claim) -> str:
    return f"at least {claim.amount:g} " if claim.amount else ""


def _conclusion(claim: Claim, verdict: ClaimVerdict) -> str:
    supported = verdict == "supported"
    if claim.relation == "equivalent":
        if supported:
            return f"equivalent within ±{claim.amount:g}, as claimed"
        return f"they differ by more than {claim.amount:g}, contrary to the claim"
    if supported:
        return f"{_amount(claim)}{claim.relation}, as claimed"
    if claim.amount:
        return f"not {_amount(claim)}{claim.relation}, contrary to the claim"
    opposite = "better" if claim.relation == "worse" else "worse"
    return f"{opposite}, contrary to the claim"
