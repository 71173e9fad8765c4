"""Claims, and the evidence on them, whose answers are known."""

from typing import Any

import numpy as np

from reports.evidence.claims.claim_evidence import ClaimEvidence, weigh_claim
from reports.evidence.statistics.resampling import Interval
from reports.results import StatedClaim


def claim_that(
    arm: str, relation: Any, amount: float = 0.0, other: str = "full", metric: str = "mae"
) -> StatedClaim:
    """`arm` is `relation` than (to) `other`."""
    return StatedClaim(
        text=f"{arm} is {relation} ({amount:g})",
        arm=arm,
        relation=relation,
        other=other,
        metric=metric,
        amount=amount,
    )


def normal_interval(mean: float, error: float, of_utterances: float = 0.0) -> Interval:
    """The interval of a normal distribution."""
    wide, narrow = 1.959964 * error, 1.644854 * error
    return Interval(mean - wide, mean + wide, mean - narrow, mean + narrow, of_utterances)


def weigh_normal(
    claim: StatedClaim, differences: Any, error: float, shared: float = 0.0, *, higher: bool = False
) -> ClaimEvidence:
    """The evidence of some differences with a normal interval around their mean."""
    found = np.asarray(differences, dtype=np.float64)
    interval = normal_interval(float(found.mean()), error, shared)
    return weigh_claim(claim, found, interval, higher_is_better=higher, seed=0)
