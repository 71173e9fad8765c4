"""Two objectives: the candidates of an arm that none beats in one without losing in the other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from reports.results import METRIC, Metric, Results

PARAMETERS = "parameters"  # of a model: a second objective that is no metric of the data


@dataclass(frozen=True, kw_only=True)
class FrontPoint:
    """A candidate on the Pareto front of its arm.

    Attributes:
        first, second: means over the tuning seeds, of the primary metric and the second one.
        second_label: what the second one is called.
        confirmed: whether it was the one to be tested.
    """

    arm: str
    candidate: int
    first: float
    second: float
    second_label: str
    confirmed: bool


def pareto_fronts(results: Results, metrics: Mapping[str, Metric]) -> tuple[FrontPoint, ...]:
    """The fronts of all arms, within an arm by the primary metric; empty with one objective.

    Args:
        results: of the study.
        metrics: name -> its definition.
    """
    facts = results.facts
    columns = [_column(name) for name in (facts.primary, facts.second_metric)]
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
        confirmed = set(own[own["phase"] == "confirm"]["candidate"])
        means = _means(own, columns, len(facts.tune_seeds))
        front = [
            (candidate, values)
            for candidate, values in means.items()
            if not any(_beats(other, values, signs) for other in means.values())
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


def _column(metric: str) -> str:
    return f"{METRIC}{metric}" if metric == PARAMETERS else f"{METRIC}valid.{metric}"


def _means(
    cells: pd.DataFrame, columns: Sequence[str], seeds: int
) -> dict[int, tuple[float, float]]:
    """Candidate -> means over its tuning seeds, where every seed is complete."""
    tuning = cells[(cells["phase"] == "tune") & (cells["status"] == "complete")]
    tuning = tuning.dropna(subset=list(columns)).sort_values("seed")
    rows: dict[int, list[tuple[float, float]]] = {}
    for number, *values in zip(*(tuning[name] for name in ("candidate", *columns)), strict=True):
        rows.setdefault(int(number), []).append((float(values[0]), float(values[1])))
    return {
        number: (float(np.mean([v[0] for v in own])), float(np.mean([v[1] for v in own])))
        for number, own in sorted(rows.items())
        if len(own) == seeds
    }


def _beats(other: tuple[float, float], own: tuple[float, float], signs: list[float]) -> bool:
    gains = [sign * (mine - its) for sign, mine, its in zip(signs, own, other, strict=True)]
    return min(gains) >= 0 and max(gains) > 0
