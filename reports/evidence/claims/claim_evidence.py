"""Evidence of paired differences on one claim: the answer that they point to, and its strength.

Every claim has two answers, *supported* and *refuted*, and exactly one of them is true. The
measured difference points to one; its test and its interval decide whether it is shown.
"""

from dataclasses import dataclass, replace

from reports.evidence.statistics.paired import ALPHA, equivalence_p, sign_flip_p
from reports.evidence.statistics.resampling import Interval
from reports.evidence.verdicts import ClaimVerdict
from reports.numerals import MINUS
from reports.results import FloatArray, StatedClaim


@dataclass(frozen=True, kw_only=True, eq=False)
class ClaimEvidence:
    """Evidence on one claim.

    Attributes:
        claim: Claim in question.
        differences: Arm - other, one per shared seed; at least one.
        interval: Two-level interval of their mean.
        sign: +1 or -1. The claim's amount bounds `sign * difference`, which is positive in the
            claimed direction; for an equivalence positive where the measured difference lies.
        p: P of the answer that the differences point to, uncorrected: two-sided sign-flip against
            the bound; for an equivalence that they point to, two one-sided t tests.
    """

    claim: StatedClaim
    differences: FloatArray
    interval: Interval
    sign: int
    p: float

    @property
    def delta(self) -> float:
        """Mean of arm - other."""
        return float(self.differences.mean())

    @property
    def is_equivalence(self) -> bool:
        """Whether the claim is that the two arms do not differ."""
        return self.claim.relation == "equivalent"

    @property
    def points_to_equivalence(self) -> bool:
        """Whether the claim is an equivalence and the measured difference lies within it."""
        return self.is_equivalence and self.points_to == ClaimVerdict.SUPPORTED

    @property
    def gap(self) -> float:
        """Distance of the measured difference from the bound; positive where the claim holds."""
        beyond = self.sign * self.delta - self.claim.amount
        return -beyond if self.is_equivalence else beyond

    @property
    def points_to(self) -> ClaimVerdict:
        """Answer that the measured difference gives."""
        return ClaimVerdict.SUPPORTED if self.gap > 0 else ClaimVerdict.REFUTED

    @property
    def is_clear(self) -> bool:
        """Whether the interval lies wholly on the measured side of the bound."""
        amount, interval = self.claim.amount, self.interval
        low, high = sorted((self.sign * interval.low, self.sign * interval.high))
        # Two one-sided tests at .05 go with a 90 % interval, all others with the 95 % one.
        if self.points_to_equivalence:
            return -amount < interval.low_90 and interval.high_90 < amount
        if self.is_equivalence:
            return low > amount
        return low >= amount if self.points_to == ClaimVerdict.SUPPORTED else high < amount

    def verdict_at(self, p_holm: float) -> ClaimVerdict:
        """Return the answer, given the p that is corrected over the study's claims."""
        return self.points_to if self.is_clear and p_holm <= ALPHA else ClaimVerdict.UNDECIDED

    def why_undecided(self) -> str:
        """Explain what is missing for a verdict."""
        amount = self.claim.amount
        if self.is_clear:
            return "the corrected p is above .05"
        if not self.is_equivalence:
            bound = f"{self.sign * amount:+g}".replace("-", MINUS) if amount else "0"
            return f"the interval does not lie on one side of {bound}"
        if self.points_to == ClaimVerdict.SUPPORTED:
            return f"the 90 % interval reaches beyond ±{amount:g}"
        return f"the interval reaches into ±{amount:g}"


def weigh_claim(
    claim: StatedClaim,
    differences: FloatArray,
    interval: Interval,
    *,
    higher_is_better: bool,
    seed: int,
) -> ClaimEvidence:
    """Weigh paired differences as evidence on one claim.

    Args:
        claim: Claim in question.
        differences: Arm - other on its metric, one per shared seed; at least one.
        interval: Two-level interval of their mean.
        higher_is_better: Direction of its metric.
        seed: Seed of sampled sign flips.
    """
    if claim.relation == "equivalent":
        sign = -1 if differences.mean() < 0 else 1
    else:
        sign = 1 if (claim.relation == "better") == higher_is_better else -1
    # The answer that the differences point to decides which test gives the p.
    pointed = ClaimEvidence(
        claim=claim, differences=differences, interval=interval, sign=sign, p=1.0
    )
    if pointed.points_to_equivalence:
        p = equivalence_p(differences, claim.amount)
    else:
        p = sign_flip_p(differences - sign * claim.amount, seed)
    return replace(pointed, p=1.0 if p is None else p)
