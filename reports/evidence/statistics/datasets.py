"""Tests over several data sets: differences of ranks among arms, and between pairs of them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats

from reports.evidence.statistics.paired import ALPHA
from reports.evidence.verdicts import Declined

FEWEST = 6  # data sets; with fewer the test has next to no power


@dataclass(frozen=True, kw_only=True)
class DatasetTest:
    """Result of Friedman's test over data sets, with Nemenyi's critical difference.

    Attributes:
        datasets: Number of data sets.
        ranks: Arm -> mean rank over data sets; 1 is best, ties share.
        chi_square, p: Statistic and p of Friedman's test.
        critical_difference: Distance of mean ranks above which two arms differ at .05.
        groups: Largest groups of arms that are not told apart, best arm first.
    """

    datasets: int
    ranks: Mapping[str, float]
    chi_square: float
    p: float
    critical_difference: float
    groups: tuple[tuple[str, ...], ...]


def compare_over_datasets(
    means: Mapping[str, Mapping[str, float]], *, higher_is_better: bool
) -> DatasetTest | Declined:
    """Compare arms over data sets.

    Args:
        means: Data set -> arm -> mean of one metric.
        higher_is_better: Direction of the metric.

    Source: Demsar 2006.
    """
    names = sorted(means)
    # Ranks need every arm on every data set.
    arms = sorted(set.intersection(*(set(of_arms) for of_arms in means.values()))) if names else []
    if len(names) < FEWEST:
        return Declined(
            f"Friedman's test and critical differences need about {FEWEST} data sets; there "
            f"{'is' if len(names) == 1 else 'are'} {len(names)}"
        )
    if len(arms) < 3:
        return Declined(
            f"Friedman's test compares at least 3 arms; {len(arms)} have every data set"
        )
    values = np.array([[means[name][arm] for arm in arms] for name in names])
    if not np.isfinite(values).all():
        return Declined("some arm's mean is undefined")
    ranks = stats.rankdata(-values if higher_is_better else values, axis=1)
    # Friedman's statistic divides by the spread of ranks.
    if not np.ptp(ranks):
        return Declined("all arms are equal on every data set")
    tested = stats.friedmanchisquare(*values.T)
    size = len(arms)
    spread = np.sqrt(size * (size + 1) / (6 * len(names)))
    critical = float(stats.studentized_range.isf(ALPHA, size, np.inf) / np.sqrt(2) * spread)
    mean_ranks = {arm: float(rank) for arm, rank in zip(arms, ranks.mean(axis=0), strict=True)}
    return DatasetTest(
        datasets=len(names),
        ranks=mean_ranks,
        chi_square=float(tested.statistic),
        p=float(tested.pvalue),
        critical_difference=critical,
        groups=_group_arms(mean_ranks, critical),
    )


def _group_arms(ranks: Mapping[str, float], critical: float) -> tuple[tuple[str, ...], ...]:
    """Find runs of arms within one critical difference; none that lies inside another."""
    ordered = sorted(ranks, key=lambda arm: (ranks[arm], arm))
    found: list[tuple[str, ...]] = []
    last = -1
    for begin, first in enumerate(ordered):
        near = [i for i, arm in enumerate(ordered) if 0 <= ranks[arm] - ranks[first] <= critical]
        end = max(near)
        if end > last:
            found.append(tuple(ordered[begin : end + 1]))
            last = end
    return tuple(found)
