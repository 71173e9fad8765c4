"""Which candidate of an arm is the best, and which cells of a ledger a plan is made of."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from msa_core.config.paths import Value
from msa_core.config.schema import METRICS_LOWER_IS_BETTER
from search.ledger.record import CellRecord
from spaces.plan.plan import CONFIRM, TUNE
from spaces.study_file.study_fields import PARAMETERS

# An arm may spend more than its device-seconds by an epoch of its last pack.
OVERSPENT = 0.05


def higher_is_better(metric: str) -> bool:
    """The direction of a metric, or of the number of parameters."""
    return metric not in METRICS_LOWER_IS_BETTER and metric != PARAMETERS


@dataclass(frozen=True, kw_only=True, slots=True)
class Objective:
    """What candidates are tuned for.

    Attributes:
        metric: the primary metric, on validation.
        second: a second metric, or `parameters`; empty = none.
        margin: difference of the primary metric below which the second decides.
    """

    metric: str
    second: str = ""
    margin: float = 0.0

    @classmethod
    def of(cls, metric: str, second: str, margins: Mapping[str, float]) -> "Objective":
        """The objective of a study, as its file or its results have it."""
        return cls(metric=metric, second=second, margin=margins.get(metric, 0.0))

    @property
    def higher_is_better(self) -> bool:
        """The direction of the primary metric."""
        return higher_is_better(self.metric)

    def best(self, cells: "ArmCells", candidates: int, seeds: Sequence[int]) -> int | None:
        """The candidate to confirm, the earlier one of equals; None if all failed.

        With a second metric: of those within the margin of the best, the best by the second.
        """
        values = self._defined(cells, self.metric, candidates, seeds)
        seconds = self._defined(cells, self.second, candidates, seeds) if self.second else {}
        return self.choose(values, seconds)

    def choose(self, values: Mapping[int, float], seconds: Mapping[int, float]) -> int | None:
        """As `best`, of candidates whose values are known.

        Args:
            values: candidate -> the primary metric.
            seconds: candidate -> the second metric.
        """
        if not values:
            return None
        sign = -1.0 if self.higher_is_better else 1.0
        if not self.second:
            return min(values, key=lambda number: (sign * values[number], number))
        bound = min(sign * value for value in values.values()) + self.margin
        close = [number for number, value in values.items() if sign * value <= bound]
        second_sign = -1.0 if higher_is_better(self.second) else 1.0
        return min(
            close,
            key=lambda number: (
                second_sign * seconds[number] if number in seconds else float("inf"),
                sign * values[number],
                number,
            ),
        )

    def front(self, cells: "ArmCells", candidates: int, seeds: Sequence[int]) -> list[int]:
        """The candidates that no other one beats in one metric without losing in the other."""
        first = self._defined(cells, self.metric, candidates, seeds)
        second = self._defined(cells, self.second, candidates, seeds)
        sign = -1.0 if self.higher_is_better else 1.0
        second_sign = -1.0 if higher_is_better(self.second) else 1.0
        points = {
            number: (sign * first[number], second_sign * second[number])
            for number in first
            if number in second
        }
        return [
            number
            for number, point in points.items()
            if not any(
                other[0] <= point[0] and other[1] <= point[1] and other != point
                for other in points.values()
            )
        ]

    @staticmethod
    def _defined(
        cells: "ArmCells", metric: str, candidates: int, seeds: Sequence[int]
    ) -> dict[int, float]:
        values = cells.values(candidates, seeds, metric)
        return {number: value for number, value in values.items() if value is not None}


def candidate_value(cells: Sequence[CellRecord], metric: str, seeds: int) -> float | None:
    """Mean validation value over the tuning seeds; None unless every seed completed with one.

    Of `parameters`, which are no matter of validation, the mean of what the cells say.
    """
    name = metric if metric == PARAMETERS else f"valid.{metric}"
    values = [
        cell.metrics[name] for cell in cells if cell.status == "complete" and name in cell.metrics
    ]
    # Summed in the order of the seeds, so that the order of finishing changes no digit.
    return sum(values) / seeds if len(values) == seeds else None


class ArmCells:
    """The cells of one planned arm, by phase, candidate and seed."""

    def __init__(self, arm_key: str, records: Iterable[CellRecord]) -> None:
        self.arm_key = arm_key
        self._cells: dict[tuple[str, int, int], CellRecord] = {}
        self._params: dict[int, Mapping[str, Value]] = {}
        for record in records:
            self.add(record)

    def add(self, record: CellRecord) -> None:
        """Take in a cell; a cell of another arm is passed over."""
        if record.arm_key == self.arm_key:
            self._cells[record.phase, record.candidate, record.seed] = record
            if record.phase == TUNE:
                self._params[record.candidate] = record.params

    def get(self, phase: str, candidate: int, seed: int) -> CellRecord | None:
        """The cell, if it is finished."""
        return self._cells.get((phase, candidate, seed))

    def missing(self, phase: str, candidate: int, seeds: Sequence[int]) -> list[int]:
        """The seeds of a candidate that are not finished."""
        return [seed for seed in seeds if (phase, candidate, seed) not in self._cells]

    def finished(self, phase: str, candidate: int, seeds: Sequence[int]) -> list[CellRecord]:
        """The finished cells of a candidate, in the order of the seeds."""
        found = (self.get(phase, candidate, seed) for seed in seeds)
        return [record for record in found if record is not None]

    def values(self, candidates: int, seeds: Sequence[int], metric: str) -> dict[int, float | None]:
        """Candidate -> mean validation value; None where it failed or is not finished."""
        return {
            number: candidate_value(self.finished(TUNE, number, seeds), metric, len(seeds))
            for number in range(candidates)
        }

    def candidates(self) -> list[Mapping[str, Value]]:
        """What every candidate with a finished tuning cell was."""
        return list(self._params.values())

    def params(self, candidate: int) -> Mapping[str, Value] | None:
        """What a candidate was, if any tuning cell of it is finished."""
        return self._params.get(candidate)

    def tried(self) -> int:
        """One more than the highest candidate with a finished tuning cell."""
        return max(self._params, default=-1) + 1

    def tuning(self) -> list[CellRecord]:
        """Every finished tuning cell."""
        return [cell for cell in self._cells.values() if cell.phase == TUNE]


class Ranking:
    """The best candidate of an arm, known without looking at all of them after each cell.

    Law: `best` is `Objective.best` of the same cells and of as many candidates.
    """

    def __init__(self, objective: Objective, cells: ArmCells, seeds: Sequence[int]) -> None:
        """No candidate yet.

        Args:
            objective: by which they are compared.
            cells: of the arm; read when `look` is called.
            seeds: for tuning.
        """
        self._objective = objective
        self._cells = cells
        self._seeds = seeds
        self._values: dict[int, float] = {}
        self._seconds: dict[int, float] = {}
        self._best: int | None = None
        self._is_known = True

    @property
    def best(self) -> int | None:
        """The candidate to confirm; None if none has a value."""
        if not self._is_known:
            self._best = self._objective.choose(self._values, self._seconds)
            self._is_known = True
        return self._best

    def look(self, candidate: int) -> None:
        """See what a candidate is worth: it is new, or a tuning cell of it is finished."""
        objective, seeds = self._objective, self._seeds
        found = self._cells.finished(TUNE, candidate, seeds)
        value = candidate_value(found, objective.metric, len(seeds))
        before = self._values.pop(candidate, None)
        self._seconds.pop(candidate, None)
        if value is None and before is None:
            return
        if value is not None:
            self._values[candidate] = value
        if objective.second:
            second = candidate_value(found, objective.second, len(seeds))
            if second is not None:
                self._seconds[candidate] = second
        if before is not None or objective.second:
            self._is_known = False
        elif self._is_known:
            rivals = {candidate, candidate if self._best is None else self._best}
            self._best = objective.choose({number: self._values[number] for number in rivals}, {})


def seconds_of(cells: Iterable[CellRecord]) -> float:
    """Device-seconds of some cells, whatever their order."""
    return sum(sorted(cell.metrics.get("seconds", 0.0) for cell in cells))


def paid_candidates(cells: ArmCells, seeds: Sequence[int], device_seconds: float) -> int:
    """How many candidates, from the first on, an arm's device-seconds pay for.

    A ledger may hold more, of a larger budget.
    """
    spent, number = 0.0, 0
    while number < cells.tried() and spent < device_seconds:
        spent += seconds_of(cells.finished(TUNE, number, seeds))
        number += spent <= device_seconds * (1 + OVERSPENT)
    return number


def planned_cells(
    cells: ArmCells,
    *,
    candidates: int,
    tune_seeds: Sequence[int],
    confirm_seeds: Sequence[int],
    best: int | None,
) -> list[CellRecord]:
    """The cells of one arm that belong to the plan as it stands now.

    A ledger may hold more: candidates beyond a budget made smaller, or confirm cells of a
    candidate that a larger budget has since beaten.

    Args:
        cells: the arm's finished cells.
        candidates: that it is tuned with.
        tune_seeds: of the plan.
        confirm_seeds: of the plan.
        best: the candidate to confirm; None = there is none.
    """
    tuned = [cells.finished(TUNE, number, tune_seeds) for number in range(candidates)]
    confirmed = [] if best is None else cells.finished(CONFIRM, best, confirm_seeds)
    return [record for found in tuned for record in found] + confirmed
