"""The training of some members, each in a process of its own; one process computes at a time."""

import math
import time
from collections.abc import Collection, Iterator, Mapping, Sequence

from search.cores.cell_training import CellTraining
from search.cores.outcome import FunctionOutcome, Scoring, outcome_of, stopped_outcome
from spaces.failures import FailureKind


class FunctionTraining:
    """The training of some members; see `spaces.core.Training`."""

    def __init__(
        self, cells: Sequence[CellTraining], scoring: Scoring, epoch_limit: float | None
    ) -> None:
        """Begin the training.

        Args:
            cells: Training of each member.
            scoring: How predictions are scored.
            epoch_limit: Seconds without a report after which one counts as hung; None = never.
        """
        self._cells = list(cells)
        self._scoring = scoring
        self._limit = epoch_limit
        self._outcomes: dict[int, FunctionOutcome] = {}
        # Of resumed members some were saved later than others.
        self.epoch = min((len(cell.reports) for cell in self._cells), default=0)

    @property
    def finished(self) -> bool:
        """Whether no member is left to train."""
        return all(cell.ended is not None for cell in self._cells)

    @property
    def seconds(self) -> float:
        """Time of all members so far in seconds."""
        return sum(cell.seconds for cell in self._cells)

    @property
    def positions(self) -> range:
        """Positions of the members."""
        return range(len(self._cells))

    def train_for(self, seconds: float) -> None:
        """Train one member after another, to their ends or for about so many seconds."""
        until = None if math.isinf(seconds) else time.monotonic() + seconds
        for cell in self._running():
            while cell.ended is None:
                if not cell.advance(until, self._limit):
                    return
                self._check_report(cell)
                if until is not None and time.monotonic() >= until:
                    return
        self.epoch = max(self.epochs_trained(), default=0)

    def advance_epoch(self) -> tuple[int, Mapping[int, Mapping[str, float]]]:
        """Train each member to its next report; return its number and the metrics reported."""
        self.epoch += 1
        for cell in self._running():
            while cell.ended is None and len(cell.reports) < self.epoch:
                cell.advance(None, self._limit)
                self._check_report(cell)
        return self.epoch, self.metrics_after(self.epoch)

    def metrics_after(self, epoch: int) -> dict[int, Mapping[str, float]]:
        """Collect what was reported as each member's report of this number (from 1)."""
        return {
            place: cell.reports[epoch - 1][1]
            for place, cell in enumerate(self._cells)
            if len(cell.reports) >= epoch
        }

    def ended_positions(self) -> list[int]:
        """List the members that have ended."""
        return [place for place, cell in enumerate(self._cells) if cell.ended is not None]

    def epochs_trained(self) -> list[int]:
        """List the number of reports of each member."""
        return [len(cell.reports) for cell in self._cells]

    def stop_members(self, places: Collection[int]) -> None:
        """Stop members, unless they have ended already."""
        for place in places:
            self._cells[place].stop()

    def result(self, place: int) -> FunctionOutcome:
        """Return the outcome of a member; one that still runs counts as stopped now."""
        cell = self._cells[place]
        if cell.ended is None:
            return stopped_outcome(cell, self._scoring.task)
        if place not in self._outcomes:
            self._outcomes[place] = outcome_of(cell, self._scoring)
        return self._outcomes[place]

    def member_checkpoints(self, places: Collection[int] | None = None) -> dict[int, bytes]:
        """Return checkpoints of running members that have put something into `run.checkpoint`."""
        wanted = self.positions if places is None else places
        found = {
            place: self._cells[place].checkpoint()
            for place in wanted
            if self._cells[place].ended is None
        }
        return {place: content for place, content in found.items() if content is not None}

    def _running(self) -> Iterator[CellTraining]:
        return (cell for cell in self._cells if cell.ended is None)

    def _check_report(self, cell: CellTraining) -> None:
        """End a training whose metric is no number any more."""
        if cell.ended is not None or not cell.reports:
            return
        step, metrics = cell.reports[-1]
        needed = self._scoring.compared
        if needed and needed not in metrics:
            cell.fail(
                FailureKind.EXCEPTION,
                f"budget.scheduler compares by '{needed}', but step {step} reports "
                f"{', '.join(metrics)}; report it, or tune by one of these",
            )
            return
        wrong = [name for name, value in metrics.items() if not math.isfinite(value)]
        if wrong and (len(wrong) == len(metrics) or set(wrong) & set(self._scoring.task)):
            cell.fail(
                FailureKind.NOT_FINITE,
                f"{', '.join(wrong)} reported at step {step}: not finite",
            )
