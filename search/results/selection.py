"""The choice of an arm's best candidate, and of the ledger's cells that belong to a plan."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from msa_core.config.paths import Value
from msa_core.config.schema import METRICS_LOWER_IS_BETTER
from msa_core.training.outcomes import Status
from search.ledger.record import CellRecord
from spaces.plan.plan import Phase
from spaces.study_file.file_shape import PARAMETERS

# Share of its device-seconds by which an arm may overspend: packs are stopped between two epochs,
# so the last one can end an epoch late.
OVERSPENT = 0.05


def higher_is_better(metric: str) -> bool:
    """Check the direction of a metric, or of the number of parameters."""
    return metric not in METRICS_LOWER_IS_BETTER and metric != PARAMETERS


@dataclass(frozen=True, kw_only=True, slots=True)
class Objective:
    """The objective that candidates are tuned for.

    Attributes:
        metric: Primary metric, on validation.
        second: Second metric, or `parameters`; empty = none.
        margin: Difference of the primary metric below which the second decides.
    """

    metric: str
    second: str = ""
    margin: float = 0.0

    @classmethod
    def from_metrics(cls, metric: str, second: str, margins: Mapping[str, float]) -> "Objective":
        """Create the objective of a study from its metrics and their margins."""
        return cls(metric=metric, second=second, margin=margins.get(metric, 0.0))

    @property
    def higher_is_better(self) -> bool:
        """The direction of the primary metric."""
        return higher_is_better(self.metric)

    def best_candidate(
        self, cells: "ArmCells", candidates: int, seeds: Sequence[int]
    ) -> int | None:
        """Choose the candidate to confirm, the earlier one of equals; None if all failed.

        With a second metric: of those within the margin of the best, the best by the second.
        """
        values = self._known_values(cells, self.metric, candidates, seeds)
        seconds = self._known_values(cells, self.second, candidates, seeds) if self.second else {}
        return self.choose_candidate(values, seconds)

    def choose_candidate(
        self, values: Mapping[int, float], seconds: Mapping[int, float]
    ) -> int | None:
        """Choose the candidate to confirm, as `best_candidate`, from known values.

        Args:
            values: Candidate -> the primary metric.
            seconds: Candidate -> the second metric.
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
                # A candidate without the second metric loses to every one that has it.
                second_sign * seconds[number] if number in seconds else float("inf"),
                sign * values[number],
                number,
            ),
        )

    def pareto_front(self, cells: "ArmCells", candidates: int, seeds: Sequence[int]) -> list[int]:
        """Return the candidates that no other one beats in one metric at no loss in the other."""
        first = self._known_values(cells, self.metric, candidates, seeds)
        second = self._known_values(cells, self.second, candidates, seeds)
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
    def _known_values(
        cells: "ArmCells", metric: str, candidates: int, seeds: Sequence[int]
    ) -> dict[int, float]:
        values = cells.validation_values(candidates, seeds, metric)
        return {number: value for number, value in values.items() if value is not None}


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

    def validation_values(
        self, candidates: int, seeds: Sequence[int], metric: str
    ) -> dict[int, float | None]:
        """Return each candidate's mean validation value; None if it failed or is not finished."""
        return {
            number: candidate_value(
                self.finished_cells(Phase.TUNE, number, seeds), metric, len(seeds)
            )
            for number in range(candidates)
        }

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


class Ranking:
    """The best candidate of an arm, kept without comparing all of them after each cell.

    Invariant: `best` is `Objective.best_candidate` of the same cells and as many candidates.
    """

    def __init__(self, objective: Objective, cells: ArmCells, seeds: Sequence[int]) -> None:
        """Create a ranking without candidates.

        Args:
            objective: Objective by which candidates are compared.
            cells: Cells of the arm; read when `update_candidate` is called.
            seeds: Seeds for tuning.
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
            self._best = self._objective.choose_candidate(self._values, self._seconds)
            self._is_known = True
        return self._best

    def update_candidate(self, candidate: int) -> None:
        """Read a candidate's value: it is new, or a tuning cell of it is finished."""
        objective, seeds = self._objective, self._seeds
        found = self._cells.finished_cells(Phase.TUNE, candidate, seeds)
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
        # A value that changed may have been the best one, and the margin of a second metric begins
        # at the best: then all are compared again when `best` is next read.
        if before is not None or objective.second:
            self._is_known = False
        elif self._is_known:
            rivals = {candidate, candidate if self._best is None else self._best}
            self._best = objective.choose_candidate(
                {number: self._values[number] for number in rivals}, {}
            )


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
