"""Between the schedule and the workers: packs assigned, results recorded, losses requeued.

Knows nothing of Ray. `search.engine.searcher` asks it for packs and reports what became of them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from search.engine.stopping import StopRequest
from search.ledger.record import CellRecord
from search.results.checkpoints import Checkpoints
from search.results.events import KINDS, Events
from search.results.history import RunEnd
from search.schedule.first_failures import FirstFailures
from search.schedule.in_flight import InFlightPack, InFlightPacks
from search.schedule.pack import Pack
from search.schedule.retries import packs_to_retry
from search.schedule.schedule import Schedule
from search.schedule.study_limit import StudyLimit
from search.worker.pack_work import failed_cells
from spaces.abilities import PackSize
from spaces.failures import FailureKind


@dataclass(frozen=True, kw_only=True, slots=True)
class Assignment:
    """A pack for a worker.

    Attributes:
        resume: Checkpoints to resume from, by the keys of their cells.
    """

    pack: Pack
    resume: Mapping[str, bytes]


@dataclass(kw_only=True)
class Dispatch:
    """Assigns the packs of a schedule until it is finished or the run is to end.

    Attributes:
        schedule: Schedule of the study.
        write_cells: Function that writes finished cells, and a measured pack size, durably, and
            returns the cells as the ledger has them; called before anything else uses them.
        announce: Function that is called with them after the schedule has them.
        workers: Number of workers; waiting cells are shared among those without a pack.
        study_limit: Limit of the study; None = it has none.
        stop: Request to stop the run, if there was one.
        first_failures: Check whether the first cells all fail alike.
        checkpoints: Store of checkpoints of cells that train long; None = none are kept.
        events: Log of the run's events.
        in_flight: Packs that workers have now, by trial.
        ended: Reason why no more packs are assigned: empty, or a `RunEnd`.
        why: The same as a sentence.
        refusal: Why a worker could not even begin; empty if all could.
        has_new_results: Whether there are results since the schedule last had no pack.
    """

    schedule: Schedule
    write_cells: Callable[[list[CellRecord], PackSize | None], list[CellRecord]]
    announce: Callable[[list[CellRecord]], None] = lambda records: None
    workers: int = 1
    study_limit: StudyLimit | None = None
    stop: StopRequest = field(default_factory=StopRequest)
    first_failures: FirstFailures = field(default_factory=lambda: FirstFailures(0))
    checkpoints: Checkpoints | None = None
    events: Events = field(default_factory=Events)
    in_flight: InFlightPacks = field(default_factory=InFlightPacks)
    ended: str = ""
    why: str = ""
    refusal: str = ""
    has_new_results: bool = False

    @property
    def is_over(self) -> bool:
        """Whether no more packs are assigned, now or later."""
        if not self.ended and not self.schedule.is_finished:
            self._end_if_due()
        return bool(self.ended) or self.schedule.is_finished

    def next_pack(self, trial: str) -> Assignment | None:
        """Assign a pack to a trial; None while it must wait for the results of others."""
        pack = self.schedule.next_pack(idle=self.workers - len(self.in_flight))
        if pack is None:
            self.has_new_results = False
            return None
        assigned = self.in_flight.add_pack(trial, pack)
        keys = [cell.key for cell in pack.cells]
        resume = self.checkpoints.load_for(keys) if self.checkpoints is not None else {}
        self.events.emit("pack started", **_pack_details(assigned), resumed=len(resume))
        return Assignment(pack=pack, resume=resume)

    def add_progress(
        self, trial: str, progress: Mapping[str, Any], saved: Mapping[str, bytes]
    ) -> None:
        """Record the progress of a trial, and the checkpoints that came with it."""
        self.in_flight.update_progress(trial, progress)
        if not saved or self.checkpoints is None or self.in_flight.get(trial) is None:
            return
        if fault := self.checkpoints.keep(saved):
            self.events.emit("no checkpoint", reason=fault)

    def add_cells(
        self, trial: str, records: list[CellRecord], measured: PackSize | None = None
    ) -> None:
        """Record finished cells of a trial's pack."""
        assigned = self.in_flight.get(trial)
        if assigned is None or not (records or measured):
            return
        self._record_cells(records, measured)
        assigned.finished.update(record.key for record in records)

    def end_trial(self, trial: str) -> None:
        """End a trial; cells of its pack that are not finished are requeued."""
        assigned = self.in_flight.remove_pack(trial)
        if assigned is None:
            return  # it was idle
        self.has_new_results = True
        if any(cell.key not in assigned.finished for cell in assigned.pack.cells):
            self.schedule.requeue(assigned.pack)

    def refuse(self, trial: str, reason: str) -> None:
        """End the run: a worker can't import what it needs, and no other one would do better.

        Cells of the trial's pack are requeued, for the next run.

        Args:
            trial: Trial that should have trained it.
            reason: Last line of the error.
        """
        self.refusal = self.refusal or reason
        self.end_trial(trial)

    def handle_loss(self, trial: str, kind: FailureKind, reason: str, log: str = "") -> None:
        """Requeue or give up a pack whose worker ended without an answer, or that raised an error.

        Args:
            trial: Trial that trained it.
            kind: Kind of the failure.
            reason: Reason, in a line.
            log: Last lines of the worker's output.
        """
        assigned = self.in_flight.remove_pack(trial)
        if assigned is None:
            return  # it was idle
        self.has_new_results = True
        parts = packs_to_retry(assigned.pack, kind, assigned.finished)
        if parts:
            self.schedule.requeue(assigned.pack, parts)
            again = _pack_details(assigned) | {"cells": sum(len(part.cells) for part in parts)}
            self.events.emit(
                "pack again",
                **again,
                kind=kind,
                reason=reason,
                node=assigned.node,
                parts=len(parts),
            )
        else:
            self._record_cells(
                failed_cells(assigned.pack, kind, reason, log, assigned.finished), None
            )

    def _record_cells(self, ended: list[CellRecord], measured: PackSize | None) -> None:
        records = self.write_cells(ended, measured)
        if self.study_limit is not None:
            self.study_limit.add_cells(records)
        self.first_failures.add_cells(records)
        self.schedule.add_results(records, measured)
        if self.checkpoints is not None:
            self.checkpoints.drop(record.key for record in records)
        for record in records:
            self.events.emit("cell finished", **_cell_details(record))
        self.announce(records)
        self.has_new_results = True

    def _refusal_sentence(self) -> str:
        if not self.refusal:
            return ""
        return (
            f"a worker can't begin: {self.refusal}; once that is mended, the same command goes on"
        )

    def _end_if_due(self) -> None:
        # In this order: a request explains an end better than a limit does.
        for ended, why in (
            (RunEnd.INTERRUPTED, self.stop.reason),
            (RunEnd.FAILING, self._refusal_sentence() or self.first_failures.stop_reason()),
            (
                RunEnd.BUDGET_LIMIT,
                self.study_limit.reached_limit() if self.study_limit is not None else "",
            ),
        ):
            if why:
                self.ended, self.why = ended, why
                self.has_new_results = True  # idle workers have nothing to wait for any more
                self.events.emit("stopping", reason=why, ended=ended)
                return


def _pack_details(assigned: InFlightPack) -> dict[str, Any]:
    pack = assigned.pack
    return {"pack": assigned.number, "arm": pack.arm, "phase": pack.phase, "cells": len(pack.cells)}


def _cell_details(record: CellRecord) -> dict[str, Any]:
    details = {name: getattr(record, name) for name in KINDS["cell finished"] if name != "seconds"}
    return details | {"seconds": round(record.metrics.get("seconds", 0.0), 3)}
