"""Candidates of every arm with their validation values, as tuning compares them."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from reports.evidence.values import Candidate, FieldValue
from reports.results import METRIC, PARAM, CellPhase, CellStatus, Results

PARAMETERS = "parameters"  # number of a model's: a second objective that is no metric of the data


def collect_candidates(results: Results) -> dict[str, tuple[Candidate, ...]]:
    """Collect the candidates of each arm by number; arms that tried none are left out."""
    cells, facts = results.cells, results.facts
    first, second = f"{METRIC}valid.{facts.primary}", _second_column(facts.second_metric)
    wanted = ["arm", "candidate", "seed", "status", *_needed_columns(results, first, second)]
    rows: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for row in cells.loc[cells["phase"] == CellPhase.TUNE, wanted].to_dict("records"):
        rows.setdefault((str(row["arm"]), int(row["candidate"])), []).append(
            {str(name): value for name, value in row.items()}
        )
    tested = cells[cells["phase"] == CellPhase.CONFIRM]
    confirmed = {
        (str(arm), int(number))
        for arm, number in zip(tested["arm"], tested["candidate"], strict=True)
    }
    found: dict[str, list[Candidate]] = {arm: [] for arm in facts.arms}
    for (arm, number), own in sorted(rows.items()):
        # A mean depends on the order of its terms, a report must not depend on that of the cells.
        own.sort(key=lambda row: int(row["seed"]))
        found[arm].append(
            Candidate(
                arm=arm,
                number=number,
                params=_searched_params(own[0], facts.searched.get(arm, ())),
                value=finite_mean(row.get(first) for row in own),
                # A mean over fewer seeds than that of the value would not be of the same models.
                second=finite_mean(row.get(second) for row in own)
                if all(len(_finite_values((row.get(first), row.get(second)))) == 2 for row in own)
                else None,
                status=_candidate_status(own, len(facts.tune_seeds)),
                seconds=_finite_sum(row.get(f"{METRIC}seconds") for row in own),
                confirmed=(arm, number) in confirmed,
            )
        )
    return {arm: tuple(own) for arm, own in found.items() if own}


def _second_column(second_metric: str) -> str:
    """Return the column of a study's second objective; empty if it has one objective."""
    if not second_metric:
        return ""
    return f"{METRIC}{'' if second_metric == PARAMETERS else 'valid.'}{second_metric}"


def _needed_columns(results: Results, *metrics: str) -> list[str]:
    searched = {f"{PARAM}{path}" for paths in results.facts.searched.values() for path in paths}
    needed = {*searched, *metrics, f"{METRIC}seconds"}
    return [str(name) for name in results.cells.columns if name in needed]


def _searched_params(row: Mapping[str, Any], searched: Iterable[str]) -> dict[str, FieldValue]:
    found: dict[str, FieldValue] = {}
    for path in searched:
        value = row.get(f"{PARAM}{path}")
        value = value.item() if isinstance(value, np.generic) else value
        # NaN is what a data frame has for a field without a meaning in this arm.
        if isinstance(value, bool | int | str) or (isinstance(value, float) and value == value):
            found[path] = value
    return found


def _candidate_status(rows: list[dict[str, Any]], seeds: int) -> str:
    statuses = {str(row["status"]) for row in rows}
    # The worst first: one failed seed is enough to leave the candidate without a fair mean.
    for status in (CellStatus.FAILED, CellStatus.PRUNED):
        if status in statuses:
            return status.value
    return (
        CellStatus.COMPLETE.value
        if len({int(row["seed"]) for row in rows}) >= seeds
        else "unfinished"
    )


def _finite_values(values: Iterable[Any]) -> list[float]:
    return [float(v) for v in values if v is not None and math.isfinite(float(v))]


def finite_mean(values: Iterable[Any]) -> float | None:
    """Average the defined values; None without one."""
    known = _finite_values(values)
    return float(np.mean(known)) if known else None


def _finite_sum(values: Iterable[Any]) -> float | None:
    known = _finite_values(values)
    return float(np.sum(known)) if known else None
