"""Exact Shapley values of the modules of a full factorial."""

import itertools
from math import factorial

import numpy as np

from reports.evidence.factorial.factors import TwoLevelDesign
from reports.evidence.statistics.paired import bca_interval
from reports.evidence.values import ShapleyValue
from reports.evidence.verdicts import Declined
from reports.results import FloatArray

MOST_FACTORS = 6  # 64 arms


def shapley_values(design: TwoLevelDesign, seed: int) -> tuple[ShapleyValue, ...] | Declined:
    """Compute each factor's share of v(all on) - v(all off).

    v(S) is the mean test metric of the arm in which exactly S is on, in the metric's own direction.
    A factor's value is the mean, over all orders in which the factors could be switched on, of what
    it adds; the values sum to v(all) - v(none). Intervals are BCa over seeds, the same draws of
    seeds for all arms.

    Args:
        design: Full factorial of at most six factors.
        seed: Seed of the resampling.

    Source: Shapley 1953.
    """
    if len(design.factors) > MOST_FACTORS:
        return Declined(
            f"{len(design.factors)} factors; exact Shapley values are made for up to {MOST_FACTORS}"
        )
    if not design.is_full:
        lacking = f": {', '.join(design.missing)} has no value" if design.missing else ""
        return Declined(
            f"not every combination was measured ({len(design.arms)} of "
            f"{2 ** len(design.factors)}){lacking}"
        )
    on = {
        frozenset(np.flatnonzero(row > 0).tolist()): values
        for row, values in zip(design.signs, design.values, strict=True)
    }
    found = []
    for index, factor in enumerate(design.factors):
        of_seeds = _value_by_seed(index, len(design.factors), on)
        low, high = bca_interval(of_seeds, seed) or (None, None)
        found.append(ShapleyValue(factor=factor, value=float(of_seeds.mean()), low=low, high=high))
    return tuple(found)


def _value_by_seed(index: int, count: int, on: dict[frozenset[int], FloatArray]) -> FloatArray:
    """Return a factor's value on each seed."""
    # The value is linear in v, so the mean of the values by seed is the value of the means.
    others = [other for other in range(count) if other != index]
    total = np.zeros_like(on[frozenset()])
    for size in range(count):
        weight = factorial(size) * factorial(count - size - 1) / factorial(count)
        for chosen in itertools.combinations(others, size):
            total += weight * (on[frozenset({*chosen, index})] - on[frozenset(chosen)])
    return total
