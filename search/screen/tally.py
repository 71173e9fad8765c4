"""Counters of a study's arms, kept from cell to cell, so that a snapshot costs nothing.

They are refreshed where results come in, in the driver's own thread; a snapshot is made of the
counters alone and asks the schedule nothing, so that any thread may make one.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean, stdev

from search.ledger.record import CellRecord
from search.results.selection import ArmCells
from search.results.snapshot import (
    ArmPhase,
    ArmSnapshot,
    BestValue,
    FailureCount,
)
from search.schedule.arm_schedule import ArmSchedule
from spaces.core import Status
from spaces.plan.plan import Phase

UNKNOWN_KIND = "failed"  # of a record that was written before failures had kinds


@dataclass(slots=True)
class Pace:
    """Cells that did not fail, with the seconds and epochs that they took."""

    cells: int = 0
    seconds: float = 0.0
    epochs: int = 0

    def add(self, other: "Pace") -> None:
        """Add what other cells took."""
        self.cells += other.cells
        self.seconds += other.seconds
        self.epochs += other.epochs

    @property
    def seconds_per_cell(self) -> float | None:
        """None until one is known."""
        return self.seconds / self.cells if self.cells and self.seconds else None

    @property
    def epochs_per_cell(self) -> float | None:
        """None until one is known."""
        return self.epochs / self.cells if self.cells and self.epochs else None


class ArmTally:
    """The counters of one arm."""

    def __init__(self, arm: ArmSchedule) -> None:
        """Create the counters from the cells that are finished."""
        self.arm = arm
        self.name = arm.arm.name
        self.frozen = arm.arm.frozen
        self.most_seconds = arm.remaining_budget.total if arm.remaining_budget is not None else None
        self.confirm_total = len(arm.plan.confirm_seeds)
        self.paces = {Phase.TUNE: Pace(), Phase.CONFIRM: Pace()}
        self.failed: list[CellRecord] = []
        self.seconds = 0.0  # of training, of all finished cells
        self.tune_seconds = 0.0
        self._tuned_cells = 0
        for record in arm.cells.tuning_cells():
            self._count_cell(record)
        self.refresh()
        # Only now is the confirmed candidate known. The ledger may hold confirm cells of others
        # that a larger budget has since beaten: they do not belong to the plan.
        if self._number is not None:
            for record in arm.cells.finished_cells(
                Phase.CONFIRM, self._number, arm.plan.confirm_seeds
            ):
                self._count_cell(record)

    def add_cells(self, records: Iterable[CellRecord]) -> None:
        """Count finished cells of this arm; what the schedule decides on them, `refresh` reads."""
        # Not here: the best candidate is chosen anew among all of the arm's, for each pack.
        for record in records:
            self._count_cell(record)

    def refresh(self) -> None:
        """Read the state of the arm from the schedule; in the driver's thread alone."""
        arm = self.arm
        # A space can have fewer candidates than the budget, and device-seconds pay for as many as
        # they do: then the total is what has been opened.
        opened = arm.exhausted or arm.remaining_budget is not None
        candidates = len(arm.candidates) if opened and arm.arm.space else arm.budget
        self.tune_total = candidates * len(arm.plan.tune_seeds)
        tuned, self._number = arm.is_tuned, arm.best_candidate
        self.phase = (
            ArmPhase.DONE if arm.is_finished else ArmPhase.CONFIRMING if tuned else ArmPhase.TUNING
        )
        if self.frozen and not tuned:
            self.phase = ArmPhase.WAITING
        confirmed = (
            arm.cells.finished_cells(Phase.CONFIRM, self._number, arm.plan.confirm_seeds)
            if tuned and self._number is not None
            else []
        )
        self.confirm_done = len(confirmed)
        # An arm without a candidate that has a value ends there.
        self.confirm_planned = 0 if tuned and self._number is None else self.confirm_total
        self.best = best_value(
            arm.cells,
            self._number,
            arm.plan.tune_seeds,
            arm.plan.confirm_seeds if tuned else (),
            arm.objective.metric,
        )

    @property
    def tune_done(self) -> int:
        """Tuning cells of the plan that are finished."""
        return min(self._tuned_cells, self.tune_total)

    def take_snapshot(self, running: int) -> ArmSnapshot:
        """Return the arm as it is now.

        Args:
            running: Number of its cells that are on workers.
        """
        return ArmSnapshot(
            name=self.name,
            phase=self.phase,
            frozen=self.frozen,
            tune_done=self.tune_done,
            tune_total=self.tune_total,
            tune_seconds=self.tune_seconds,
            most_seconds=self.most_seconds,
            confirm_done=self.confirm_done,
            confirm_total=self.confirm_planned,
            running=running,
            failed=len(self.failed),
            best=self.best,
        )

    def _count_cell(self, record: CellRecord) -> None:
        seconds = record.metrics.get("seconds", 0.0)
        self.seconds += seconds
        if record.phase == Phase.TUNE:
            self.tune_seconds += seconds
            self._tuned_cells += self.most_seconds is not None or record.candidate < self.arm.budget
        if record.status == Status.FAILED:
            self.failed.append(record)
        else:
            self.paces[record.phase].add(Pace(1, seconds, record.epochs))


def count_failures(records: Iterable[CellRecord]) -> tuple[FailureCount, ...]:
    """Count the failed cells among some by kind, the most frequent kind first."""
    by_kind: dict[str, list[CellRecord]] = {}
    for record in records:
        if record.status == Status.FAILED:
            by_kind.setdefault(record.kind or UNKNOWN_KIND, []).append(record)
    found = [
        FailureCount(kind=kind, count=len(failed), reason=failed[0].reason)
        for kind, failed in by_kind.items()
    ]
    return tuple(sorted(found, key=lambda one: (-one.count, one.kind)))


def best_value(
    cells: ArmCells,
    candidate: int | None,
    tune_seeds: tuple[int, ...],
    confirm_seeds: tuple[int, ...],
    metric: str,
) -> BestValue | None:
    """Return the value of an arm's best candidate on validation, with its spread over the seeds.

    Over the confirm seeds once all of them are done, until then over the tuning seeds.

    Args:
        cells: Finished cells of the arm.
        candidate: Number of the best one; None if there is none.
        tune_seeds: Tuning seeds of the plan.
        confirm_seeds: Confirm seeds of the plan; empty while the arm is tuned.
        metric: Name of the metric that is tuned.
    """
    if candidate is None:
        return None
    for phase, seeds in ((Phase.CONFIRM, confirm_seeds), (Phase.TUNE, tune_seeds)):
        found = cells.finished_cells(phase, candidate, seeds) if seeds else []
        values = [
            cell.metrics[f"valid.{metric}"]
            for cell in found
            if cell.status == Status.COMPLETE and f"valid.{metric}" in cell.metrics
        ]
        if values and len(found) == len(seeds):
            return BestValue(
                mean=fmean(values),
                sd=stdev(values) if len(values) > 1 else None,
                seeds=len(values),
                confirmed=phase == Phase.CONFIRM,
            )
    return None
