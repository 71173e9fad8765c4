"""Pareto fronts of two objectives: the candidates of an arm that no other one dominates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from reports.results import METRIC, CellPhase, MetricDefinition, Results, select_complete

PARAMETERS = "parameters"  # number of a model's: a second objective that is no metric of the data


@dataclass(frozen=True, kw_only=True)
class FrontPoint:
    """Candidate on the Pareto front of its arm.

    Attributes:
        first, second: Means of the primary and the second metric over the tuning seeds.
        second_label: Name of the second metric for readers.
        confirmed: Whether the candidate was the one to be tested.
    """

    arm: str
    candidate: int
    first: float
    second: float
    second_label: str
    confirmed: bool


def pareto_fronts(
    results: Results, metrics: Mapping[str, MetricDefinition]
) -> tuple[FrontPoint, ...]:
    """Find the fronts of all arms, within an arm by the primary metric; empty with one objective.

    Args:
        results: Results of the study.
        metrics: Name -> definition.
    """
    facts = results.facts
    columns = [_metric_column(name) for name in (facts.primary, facts.second_metric)]
    if not facts.second_metric or not set(columns) <= set(results.cells.columns):
        return ()
    signs = [
        -1.0 if name in metrics and metrics[name].higher_is_better else 1.0
        for name in (facts.primary, facts.second_metric)
    ]
    label = metrics[facts.second_metric].label if facts.second_metric in metrics else "Parameters"
    points = []
    rows = results.cells.groupby("arm", sort=False).indices
    for arm in facts.arms:
        own = results.cells.iloc[rows.get(arm, [])]
        confirmed = set(own[own["phase"] == CellPhase.CONFIRM]["candidate"])
        means = _mean_by_candidate(own, columns, len(facts.tune_seeds))
        front = [
            (candidate, values)
            for candidate, values in means.items()
            if not any(_dominates(other, values, signs) for other in means.values())
        ]
        for candidate, (first, second) in sorted(front, key=lambda item: signs[0] * item[1][0]):
            points.append(
                FrontPoint(
                    arm=arm,
                    candidate=candidate,
                    first=first,
                    second=second,
                    second_label=label,
                    confirmed=candidate in confirmed,
                )
            )
    return tuple(points)


def _metric_column(metric: str) -> str:
    return f"{METRIC}{metric}" if metric == PARAMETERS else f"{METRIC}valid.{metric}"


def _mean_by_candidate(
    cells: pd.DataFrame, columns: Sequence[str], seeds: int
) -> dict[int, tuple[float, float]]:
    """Return the means of each candidate whose tuning seeds are all complete."""
    # Sorted: a mean depends on the order, a report must not depend on that of the cells.
    tuning = select_complete(cells, CellPhase.TUNE).dropna(subset=list(columns)).sort_values("seed")
    rows: dict[int, list[tuple[float, float]]] = {}
    for number, *values in zip(*(tuning[name] for name in ("candidate", *columns)), strict=True):
        rows.setdefault(int(number), []).append((float(values[0]), float(values[1])))
    return {
        number: (float(np.mean([v[0] for v in own])), float(np.mean([v[1] for v in own])))
        for number, own in sorted(rows.items())
        if len(own) == seeds
    }


def _dominates(other: tuple[float, float], own: tuple[float, float], signs: list[float]) -> bool:
    """Check whether the other is better in one objective and not worse in the other one."""
    gains = [sign * (mine - its) for sign, mine, its in zip(signs, own, other, strict=True)]
    return min(gains) >= 0 and max(gains) > 0
