"""The choice of an arm's best candidate, and of the ledger's cells that belong to a plan."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from search.ledger.record import CellRecord
from spaces.core import Status
from spaces.fields.declaration import Value
from spaces.plan.plan import Phase
from spaces.study_file.file_shape import PARAMETERS
from spaces.task import Task

# Share of its device-seconds by which an arm may overspend: packs are stopped between two epochs,
# so the last one can end an epoch late.
OVERSPENT = 0.05


@dataclass(frozen=True, kw_only=True, slots=True)
class Objective:
    """The objective that candidates are tuned for.

    Attributes:
        metric: Primary metric, on validation.
        second: Second metric, or `parameters`; empty = none.
        margin: Difference of the primary metric below which the second decides.
        rising: Those of the metrics of which a larger value is a better one.
    """

    metric: str
    second: str = ""
    margin: float = 0.0
    rising: frozenset[str] = frozenset()

    @classmethod
    def from_metrics(
        cls, task: Task, metric: str, second: str, margins: Mapping[str, float]
    ) -> "Objective":
        """Create the objective of a study from its task, its metrics and their margins."""
        # The number of parameters is no metric of a task, and the fewer the better.
        rising = frozenset(name for name, known in task.items() if known.higher_is_better)
        return cls(
            metric=metric,
            second=second,
            margin=margins.get(metric, 0.0),
            rising=rising.intersection((metric, second)),
        )

    @property
    def higher_is_better(self) -> bool:
        """The direction of the primary metric."""
        return self.metric in self.rising

    @property
    def metrics(self) -> tuple[str, ...]:
        """The primary metric, and the second one where there is one."""
        return (self.metric, self.second) if self.second else (self.metric,)

    def best_candidate(
        self, cells: "ArmCells", candidates: int, seeds: Sequence[int]
    ) -> int | None:
        """Choose the candidate to confirm, the earlier one of equals; None if all failed.

        With a second metric: of those within the margin of the best, the best by the second.
        """
        values = self._losses(self.metric, cells, candidates, seeds)
        if not values:
            return None
        if not self.second:
            return min(values, key=lambda number: (values[number], number))
        bound = min(values.values()) + self.margin
        close = [number for number, value in values.items() if value <= bound]
        seconds = self._losses(self.second, cells, candidates, seeds)
        # A candidate without the second metric loses to every one that has it.
        return min(
            close,
            key=lambda number: (seconds.get(number, float("inf")), values[number], number),
        )

    def _losses(
        self, metric: str, cells: "ArmCells", candidates: int, seeds: Sequence[int]
    ) -> dict[int, float]:
        """Return each candidate's mean validation value, turned so that lower is better."""
        sign = -1.0 if metric in self.rising else 1.0
        tuned = (cells.finished_cells(Phase.TUNE, number, seeds) for number in range(candidates))
        values = (candidate_value(found, metric, len(seeds)) for found in tuned)
        return {number: sign * value for number, value in enumerate(values) if value is not None}


def candidate_value(cells: Sequence[CellRecord], metric: str, seeds: int) -> float | None:
    """Return the mean validation value over the tuning seeds; None unless every seed has one."""
    # The number of parameters is no matter of validation, so its name has no split before it.
    name = metric if metric == PARAMETERS else f"valid.{metric}"
    values = [
        cell.metrics[name]
        for cell in cells
        if cell.status == Status.COMPLETE and name in cell.metrics
    ]
    # Summed in the order of the seeds, so that the order of finishing changes no digit.
    return sum(values) / seeds if len(values) == seeds else None


class ArmCells:
    """The finished cells of one planned arm, by phase, candidate and seed."""

    def __init__(self, arm_key: str, records: Iterable[CellRecord]) -> None:
        self.arm_key = arm_key
        self._cells: dict[tuple[str, int, int], CellRecord] = {}
        self._params: dict[int, Mapping[str, Value]] = {}
        for record in records:
            self.add(record)

    def add(self, record: CellRecord) -> None:
        """Add a finished cell; a cell of another arm is passed over."""
        if record.arm_key == self.arm_key:
            self._cells[record.phase, record.candidate, record.seed] = record
            if record.phase == Phase.TUNE:
                self._params[record.candidate] = record.params

    def get(self, phase: Phase, candidate: int, seed: int) -> CellRecord | None:
        """Return the cell, if it is finished."""
        return self._cells.get((phase, candidate, seed))

    def missing_seeds(self, phase: Phase, candidate: int, seeds: Sequence[int]) -> list[int]:
        """Return the seeds of a candidate that are not finished."""
        return [seed for seed in seeds if (phase, candidate, seed) not in self._cells]

    def finished_cells(
        self, phase: Phase, candidate: int, seeds: Sequence[int]
    ) -> list[CellRecord]:
        """Return the finished cells of a candidate, in the order of the seeds."""
        found = (self.get(phase, candidate, seed) for seed in seeds)
        return [record for record in found if record is not None]

    def tried_params(self) -> list[Mapping[str, Value]]:
        """Return the searched values of every candidate with a finished tuning cell."""
        return list(self._params.values())

    def params_of(self, candidate: int) -> Mapping[str, Value] | None:
        """Return the searched values of a candidate, if any tuning cell of it is finished."""
        return self._params.get(candidate)

    def count_tried(self) -> int:
        """Return one more than the highest candidate with a finished tuning cell."""
        return max(self._params, default=-1) + 1

    def tuning_cells(self) -> list[CellRecord]:
        """Return every finished tuning cell."""
        return [cell for cell in self._cells.values() if cell.phase == Phase.TUNE]


def seconds_of(cells: Iterable[CellRecord]) -> float:
    """Sum the device-seconds of some cells."""
    # Sorted, so that the order in which cells finished changes no digit.
    return sum(sorted(cell.metrics.get("seconds", 0.0) for cell in cells))


def paid_candidates(cells: ArmCells, seeds: Sequence[int], device_seconds: float) -> int:
    """Count the candidates, from the first on, that an arm's device-seconds pay for.

    A ledger may hold more, of a larger budget.
    """
    spent, number = 0.0, 0
    while number < cells.count_tried() and spent < device_seconds:
        spent += seconds_of(cells.finished_cells(Phase.TUNE, number, seeds))
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
    """Select the cells of one arm that belong to the plan as it is now.

    A ledger may hold more: candidates beyond a budget made smaller, or confirm cells of a
    candidate that a larger budget has since beaten.

    Args:
        cells: Finished cells of the arm.
        candidates: Number of candidates that it is tuned with.
        tune_seeds: Tuning seeds of the plan.
        confirm_seeds: Confirm seeds of the plan.
        best: Candidate to confirm; None = there is none.
    """
    tuned = [cells.finished_cells(Phase.TUNE, number, tune_seeds) for number in range(candidates)]
    confirmed = [] if best is None else cells.finished_cells(Phase.CONFIRM, best, confirm_seeds)
    return [record for found in tuned for record in found] + confirmed
