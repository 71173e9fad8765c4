"""Value of tuning: best so far against time, and expected best of n random candidates."""

from collections.abc import Mapping, Sequence
from math import comb

import numpy as np

from reports.evidence.values import AnytimeCurve, Candidate, ExpectedCurve
from reports.numerals import name_some

Candidates = Mapping[str, Sequence[Candidate]]


def anytime_curves(candidates: Candidates, *, higher_is_better: bool) -> tuple[AnytimeCurve, ...]:
    """Follow the best validation value so far over device-seconds, for arms whose cells have times.

    Args:
        candidates: Arm -> its candidates in the order of their numbers.
        higher_is_better: Direction of the metric.
    """
    curves = []
    for arm, own in candidates.items():
        if any(candidate.seconds is None for candidate in own if candidate.is_finished):
            continue
        spent, best = 0.0, None
        seconds, values = [], []
        for candidate in own:
            # The time of candidates that failed or were stopped was spent too; they give no point.
            spent += candidate.seconds or 0.0
            if not candidate.is_finished or candidate.value is None:
                continue
            if best is None or (candidate.value > best) == higher_is_better:
                best = candidate.value
            seconds.append(spent)
            values.append(best)
        if values:
            curves.append(AnytimeCurve(arm=arm, seconds=tuple(seconds), best=tuple(values)))
    return tuple(curves)


def expected_best(values: Sequence[float], *, higher_is_better: bool) -> tuple[float, ...]:
    """Compute the expected best of n = 1..N candidates: sum_i v_(i) C(i - 1, n - 1) / C(N, n).

    The mean over all subsets of n of the N candidates, so it is unbiased.

    Args:
        values: Values of N independent candidates.
        higher_is_better: Direction of the metric.

    Source: Dodge et al. 2019, in the form without replacement of Tang et al. 2020.
    """
    ordered = sorted(values, reverse=not higher_is_better)  # the best comes last
    total = len(ordered)
    return tuple(
        float(np.dot(ordered, [comb(i, n - 1) / comb(total, n) for i in range(total)]))
        for n in range(1, total + 1)
    )


def expected_curves(
    candidates: Candidates, sampler: str, *, higher_is_better: bool
) -> tuple[tuple[ExpectedCurve, ...], str]:
    """Compute the expected validation performance of every arm.

    Candidates must be independent, and none may be missing because it did badly.

    Args:
        candidates: Arm -> its candidates.
        sampler: Name of the sampler that drew them; empty if unknown.
        higher_is_better: Direction of the metric.

    Returns:
        Curves of the arms that have one, and the reason why others have none (empty if all do).
    """
    if not candidates:
        return (), "nothing was tuned"
    if sampler != "random":
        drawn = f"the sampler was '{sampler}'" if sampler else "their sampler is unknown"
        return (), f"candidates must be drawn independently (sampler: random); {drawn}"
    curves, without = [], []
    for arm, own in candidates.items():
        values = [c.value for c in own if c.is_finished and c.value is not None]
        if len(values) < 2 or any(c.status != "complete" for c in own):
            without.append(arm)
            continue
        curves.append(
            ExpectedCurve(arm=arm, values=expected_best(values, higher_is_better=higher_is_better))
        )
    if not without:
        return tuple(curves), ""
    return tuple(curves), (
        f"{name_some(without)}: fewer than two candidates, or some that were stopped, failed or "
        "are unfinished; those that did well are no fair sample"
    )
