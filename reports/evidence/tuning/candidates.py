"""The candidates of every arm, as tuning saw them."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from reports.evidence.values import TuningPoint
from reports.results import METRIC, PARAM, Results

Param = bool | int | float | str


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One candidate of one arm.

    Attributes:
        arm, number: which.
        params: searched field -> value, of those that meant something.
        value: mean validation value of the primary metric over its tuning seeds; None without.
        status: `complete` where every tuning seed is, `failed` where one failed, `pruned` where one
            was stopped, else `unfinished`.
        seconds: of all its tuning cells; None where no cell says.
        confirmed: whether it was the one to be tested.
    """

    arm: str
    number: int
    params: Mapping[str, Param]
    value: float | None
    status: str
    seconds: float | None
    confirmed: bool

    @property
    def finished(self) -> bool:
        """Whether every seed is complete and the value is defined."""
        return self.status == "complete" and self.value is not None


def candidates_of(results: Results) -> dict[str, tuple[Candidate, ...]]:
    """Arm -> its candidates in the order of their numbers; arms that tried none are left out."""
    cells, facts = results.cells, results.facts
    wanted = ["arm", "candidate", "seed", "status", *_columns(results)]
    rows: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for row in cells.loc[cells["phase"] == "tune", wanted].to_dict("records"):
        rows.setdefault((str(row["arm"]), int(row["candidate"])), []).append(
            {str(name): value for name, value in row.items()}
        )
    tested = cells[cells["phase"] == "confirm"]
    confirmed = {
        (str(arm), int(number))
        for arm, number in zip(tested["arm"], tested["candidate"], strict=True)
    }
    found: dict[str, list[Candidate]] = {arm: [] for arm in facts.arms}
    for (arm, number), own in sorted(rows.items()):
        own.sort(key=lambda row: int(row["seed"]))  # a mean depends on the order, a report must not
        found[arm].append(
            Candidate(
                arm=arm,
                number=number,
                params=_params(own[0], facts.searched.get(arm, ())),
                value=_mean(row.get(f"{METRIC}valid.{facts.primary}") for row in own),
                status=_status(own, len(facts.tune_seeds)),
                seconds=_sum(row.get(f"{METRIC}seconds") for row in own),
                confirmed=(arm, number) in confirmed,
            )
        )
    return {arm: tuple(own) for arm, own in found.items() if own}


def tuning_points(candidates: Mapping[str, tuple[Candidate, ...]]) -> tuple[TuningPoint, ...]:
    """Every candidate, arms in their order."""
    return tuple(
        TuningPoint(
            arm=candidate.arm,
            candidate=candidate.number,
            params=candidate.params,
            value=candidate.value,
            status=candidate.status,
            confirmed=candidate.confirmed,
        )
        for own in candidates.values()
        for candidate in own
    )


def _columns(results: Results) -> list[str]:
    facts = results.facts
    searched = {f"{PARAM}{path}" for paths in facts.searched.values() for path in paths}
    metrics = {f"{METRIC}valid.{facts.primary}", f"{METRIC}seconds"}
    return [str(name) for name in results.cells.columns if name in searched | metrics]


def _params(row: Mapping[str, Any], searched: Iterable[str]) -> dict[str, Param]:
    found: dict[str, Param] = {}
    for path in searched:
        value = row.get(f"{PARAM}{path}")
        value = value.item() if isinstance(value, np.generic) else value
        if isinstance(value, bool | int | str) or (isinstance(value, float) and value == value):
            found[path] = value
    return found


def _status(rows: list[dict[str, Any]], seeds: int) -> str:
    statuses = {str(row["status"]) for row in rows}
    for status in ("failed", "pruned"):
        if status in statuses:
            return status
    return "complete" if len({int(row["seed"]) for row in rows}) >= seeds else "unfinished"


def _known(values: Iterable[Any]) -> list[float]:
    return [float(v) for v in values if v is not None and math.isfinite(float(v))]


def _mean(values: Iterable[Any]) -> float | None:
    known = _known(values)
    return float(np.mean(known)) if known else None


def _sum(values: Iterable[Any]) -> float | None:
    known = _known(values)
    return float(np.sum(known)) if known else None
