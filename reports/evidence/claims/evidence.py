"""What paired differences say of one claim: which answer they point to, and how strongly.

Every claim has two answers, *supported* and *refuted*, and exactly one of them is true. The
measured difference points to one; its test and its interval decide whether it is shown.
"""

from dataclasses import dataclass
from typing import Literal

from reports.evidence.statistics.paired import ALPHA, equivalence_p, sign_flip_p
from reports.evidence.statistics.resampling import Interval
from reports.numerals import MINUS
from reports.results import Claim, FloatArray

ClaimVerdict = Literal["supported", "refuted", "undecided"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Evidence:
    """The evidence on one claim.

    Attributes:
        claim: which.
        differences: arm - other, one a shared seed; at least one.
        interval: two-level, of their mean.
        sign: +1 or -1, so that `sign * difference` is what the claim's amount bounds: positive in
            the claimed direction; for an equivalence positive where the measured difference lies.
        p: of the answer that the differences point to, uncorrected: sign-flip against the bound,
            two-sided; for an equivalence that they point to, two one-sided t tests.
    """

    claim: Claim
    differences: FloatArray
    interval: Interval
    sign: int
    p: float

    @property
    def delta(self) -> float:
        """Mean of arm - other."""
        return float(self.differences.mean())

    @property
    def equivalence(self) -> bool:
        """Whether the claim says that nothing differs."""
        return self.claim.relation == "equivalent"

    @property
    def gap(self) -> float:
        """How far the measured difference lies from the bound; positive where the claim holds."""
        beyond = self.sign * self.delta - self.claim.amount
        return -beyond if self.equivalence else beyond

    @property
    def points_to(self) -> Literal["supported", "refuted"]:
        """The answer that the measured difference gives."""
        return "supported" if self.gap > 0 else "refuted"

    @property
    def clear(self) -> bool:
        """Whether the interval lies wholly on the measured side of the bound."""
        amount, interval = self.claim.amount, self.interval
        low, high = sorted((self.sign * interval.low, self.sign * interval.high))
        if self.equivalence and self.points_to == "supported":
            return -amount < interval.low_90 and interval.high_90 < amount
        if self.equivalence:
            return low > amount
        return low >= amount if self.points_to == "supported" else high < amount

    def verdict(self, p_holm: float) -> ClaimVerdict:
        """The answer, once the p is corrected over the study's claims."""
        return self.points_to if self.clear and p_holm <= ALPHA else "undecided"

    def why_undecided(self) -> str:
        """What is missing for a verdict."""
        amount = self.claim.amount
        if self.clear:
            return "the corrected p is above .05"
        if not self.equivalence:
            bound = f"{self.sign * amount:+g}".replace("-", MINUS) if amount else "0"
            return f"the interval does not lie on one side of {bound}"
        if self.points_to == "supported":
            return f"the 90 % interval reaches beyond ±{amount:g}"
        return f"the interval reaches into ±{amount:g}"


def weigh(
    claim: Claim,
    differences: FloatArray,
    interval: Interval,
    *,
    higher_is_better: bool,
    seed: int,
) -> Evidence:
    """The evidence of some paired differences on one claim.

    Args:
        claim: which.
        differences: arm - other on its metric, one a shared seed; at least one.
        interval: two-level, of their mean.
        higher_is_better: the direction of its metric.
        seed: of sampled sign flips.
    """
    if claim.relation == "equivalent":
        sign = -1 if differences.mean() < 0 else 1
    else:
        sign = 1 if (claim.relation == "better") == higher_is_better else -1
    pointed = Evidence(claim=claim, differences=differences, interval=interval, sign=sign, p=1.0)
    if pointed.equivalence and pointed.points_to == "supported":
        p = equivalence_p(differences, claim.amount)
    else:
        p = sign_flip_p(differences - sign * claim.amount, seed)
    return Evidence(
        claim=claim,
        differences=differences,
        interval=interval,
        sign=sign,
        p=1.0 if p is None else p,
    )
