"""What is counted while a study runs, from cell to cell, so that looking costs nothing.

Arms are looked at where their results come in, in the driver's own thread; a snapshot is made of
the numbers alone and asks the schedule nothing, so that any thread may make one.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from statistics import fmean, stdev

from search.ledger.record import CellRecord
from search.results.selection import ArmCells
from search.results.snapshot import (
    CONFIRMING,
    DONE,
    TUNING,
    WAITING,
    ArmSnapshot,
    Best,
    FailureCount,
)
from search.schedule.arm import ArmSchedule
from spaces.plan.plan import CONFIRM, TUNE

UNKNOWN_KIND = "failed"  # of a record that was written before failures had kinds


@dataclass(slots=True)
class Pace:
    """What the cells took that did not fail."""

    cells: int = 0
    seconds: float = 0.0
    epochs: int = 0

    def add(self, other: "Pace") -> None:
        """Take in what others took."""
        self.cells += other.cells
        self.seconds += other.seconds
        self.epochs += other.epochs

    @property
    def seconds_a_cell(self) -> float | None:
        """None until one is known."""
        return self.seconds / self.cells if self.cells and self.seconds else None

    @property
    def epochs_a_cell(self) -> float | None:
        """None until one is known."""
        return self.epochs / self.cells if self.cells and self.epochs else None


class ArmTally:
    """The counters of one arm."""

    def __init__(self, arm: ArmSchedule) -> None:
        """Count what is finished."""
        self.arm = arm
        self.name = arm.arm.name
        self.frozen = arm.arm.frozen
        self.most_seconds = arm.allowance.total if arm.allowance is not None else None
        self.confirm_total = len(arm.plan.confirm_seeds)
        self.paces = {TUNE: Pace(), CONFIRM: Pace()}
        self.failures = FailureTally()
        self.seconds = 0.0  # of training, of all finished cells
        self.tune_seconds = 0.0
        self._tuned_cells = 0
        for record in arm.cells.tuning():
            self._count(record)
        self.look()
        if self._number is not None:
            for record in arm.cells.finished(CONFIRM, self._number, arm.plan.confirm_seeds):
                self._count(record)

    def take_in(self, records: Iterable[CellRecord]) -> None:
        """Cells of this arm are finished, and the schedule knows."""
        for record in records:
            self._count(record)
        self.look()

    def look(self) -> None:
        """See what the schedule makes of the arm now. In the driver's thread alone."""
        arm = self.arm
        opened = arm.exhausted or arm.allowance is not None
        candidates = len(arm.candidates) if opened and arm.arm.space else arm.budget
        self.tune_total = candidates * len(arm.plan.tune_seeds)
        tuned, self._number = arm.tuned, arm.best
        self.phase = DONE if arm.finished else CONFIRMING if tuned else TUNING
        if self.frozen and not tuned:
            self.phase = WAITING
        confirmed = (
            arm.cells.finished(CONFIRM, self._number, arm.plan.confirm_seeds)
            if tuned and self._number is not None
            else []
        )
        self.confirm_done = len(confirmed)
        # An arm without a candidate that has a value ends there.
        self.confirm_planned = 0 if tuned and self._number is None else self.confirm_total
        self.best = best_of(
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

    def snapshot(self, running: int) -> ArmSnapshot:
        """The arm as it is now.

        Args:
            running: cells that workers have.
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
            failed=self.failures.count,
            best=self.best,
        )

    def _count(self, record: CellRecord) -> None:
        seconds = record.metrics.get("seconds", 0.0)
        self.seconds += seconds
        if record.phase == TUNE:
            self.tune_seconds += seconds
            self._tuned_cells += self.most_seconds is not None or record.candidate < self.arm.budget
        if record.status == "failed":
            self.failures.take_in([record])
        else:
            self.paces[record.phase].add(Pace(1, seconds, record.epochs))


class FailureTally:
    """Failed cells by kind."""

    def __init__(self) -> None:
        self._kinds: dict[str, tuple[int, str]] = {}

    def take_in(self, records: Iterable[CellRecord]) -> None:
        """Cells ended, some of them in failure."""
        for record in records:
            if record.status == "failed":
                kind = record.kind or UNKNOWN_KIND
                count, reason = self._kinds.get(kind, (0, record.reason))
                self._kinds[kind] = (count + 1, reason)

    @property
    def count(self) -> int:
        """Failed cells of any kind."""
        return sum(count for count, _ in list(self._kinds.values()))

    def counts(self) -> list[FailureCount]:
        """One a kind."""
        return [
            FailureCount(kind=kind, count=count, reason=reason)
            for kind, (count, reason) in list(self._kinds.items())
        ]


def all_failures(tallies: Iterable[FailureTally]) -> tuple[FailureCount, ...]:
    """The failures of several arms, the most frequent kind first."""
    found: dict[str, FailureCount] = {}
    for one in (one for tally in tallies for one in tally.counts()):
        before = found.get(one.kind)
        found[one.kind] = replace(before, count=before.count + one.count) if before else one
    return tuple(sorted(found.values(), key=lambda one: (-one.count, one.kind)))


def best_of(
    cells: ArmCells,
    candidate: int | None,
    tune_seeds: tuple[int, ...],
    confirm_seeds: tuple[int, ...],
    metric: str,
) -> Best | None:
    """How good an arm's best candidate is on validation, with its spread over the seeds.

    Over the confirm seeds once all of them are done, until then over the tuning seeds.

    Args:
        cells: of the arm.
        candidate: the best one; None if there is none.
        tune_seeds: of the plan.
        confirm_seeds: of the plan; empty while the arm is tuned.
        metric: that is tuned.
    """
    if candidate is None:
        return None
    for phase, seeds in ((CONFIRM, confirm_seeds), (TUNE, tune_seeds)):
        found = cells.finished(phase, candidate, seeds) if seeds else []
        values = [
            cell.metrics[f"valid.{metric}"]
            for cell in found
            if cell.status == "complete" and f"valid.{metric}" in cell.metrics
        ]
        if values and len(found) == len(seeds):
            return Best(
                mean=fmean(values),
                sd=stdev(values) if len(values) > 1 else None,
                seeds=len(values),
                confirmed=phase == CONFIRM,
            )
    return None
