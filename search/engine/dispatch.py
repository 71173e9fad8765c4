"""Between the schedule and the workers: what is handed out, what came back, what was lost.

Knows nothing of Ray. `search.engine.searcher` asks it for work and tells it what became of it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from msa_core.vectorised.pack_key import PackSize
from search.engine.stopping import Stop
from search.ledger.record import CellRecord
from search.results.checkpoints import Checkpoints
from search.results.events import Events
from search.schedule.failures import FirstFailures
from search.schedule.in_flight import Flight, Flights
from search.schedule.pack import Pack
from search.schedule.retries import parts_after
from search.schedule.schedule import Schedule
from search.schedule.study_limit import Ceiling
from search.worker.pack_work import failed_cells

CEILING, FAILING, INTERRUPTED = "ceiling", "failing", "interrupted"


@dataclass(frozen=True, kw_only=True, slots=True)
class Handout:
    """A pack for a worker.

    Attributes:
        resume: key of a cell -> checkpoint from which it goes on.
    """

    pack: Pack
    resume: Mapping[str, bytes]


@dataclass(kw_only=True)
class Dispatch:
    """Hands out the packs of a schedule until it is finished or the run is to end.

    Attributes:
        schedule: what is to be trained.
        keep: makes finished cells, and a measured pack size, durable, and returns the cells as the
            ledger has them; called before anything else learns of them.
        announce: tells of them, once they are durable and the schedule knows.
        workers: that train at once; what waits is shared out among those without a pack.
        ceiling: of the study; None = it has none.
        stop: whether somebody asked the run to stop.
        first: watches whether everything fails.
        checkpoints: of cells that train long; None = none are kept.
        ended: why no more is handed out: empty, or one of `CEILING`, `FAILING`, `INTERRUPTED`.
        why: the same, for a person.
        has_news: results came in, and nobody has seen yet what to train after them.
    """

    schedule: Schedule
    keep: Callable[[list[CellRecord], PackSize | None], list[CellRecord]]
    announce: Callable[[list[CellRecord]], None] = lambda records: None
    workers: int = 1
    ceiling: Ceiling | None = None
    stop: Stop = field(default_factory=Stop)
    first: FirstFailures = field(default_factory=lambda: FirstFailures(0))
    checkpoints: Checkpoints | None = None
    events: Events = field(default_factory=Events)
    flights: Flights = field(default_factory=Flights)
    ended: str = ""
    why: str = ""
    has_news: bool = False

    @property
    def over(self) -> bool:
        """Whether no more is handed out, now or later."""
        if not self.ended and not self.schedule.finished:
            self._end_if_due()
        return bool(self.ended) or self.schedule.finished

    def next(self, trial: str) -> Handout | None:
        """A pack for a worker; None while it must wait for the results of others."""
        pack = self.schedule.next_pack(idle=self.workers - len(self.flights))
        if pack is None:
            self.has_news = False
            return None
        flight = self.flights.start(trial, pack)
        keys = [cell.key for cell in pack.cells]
        resume = self.checkpoints.of(keys) if self.checkpoints is not None else {}
        self.events.tell("pack started", **_named(flight), resumed=len(resume))
        return Handout(pack=pack, resume=resume)

    def hear(self, trial: str, said: Mapping[str, Any], saved: Mapping[str, bytes]) -> None:
        """A worker said how far it is, and perhaps how its cells can be gone on with."""
        self.flights.hear(trial, said)
        if not saved or self.checkpoints is None or self.flights.get(trial) is None:
            return
        if fault := self.checkpoints.keep(saved):
            self.events.tell("no checkpoint", reason=fault)

    def take_in(
        self, trial: str, records: list[CellRecord], measured: PackSize | None = None
    ) -> None:
        """Cells of a pack ended."""
        flight = self.flights.get(trial)
        if flight is None or not (records or measured):
            return
        self._keep(records, measured)
        flight.finished.update(record.key for record in records)

    def end(self, trial: str) -> None:
        """A worker is done with its pack; what it left waits for another one."""
        flight = self.flights.end(trial)
        if flight is None:
            return  # it rested
        self.has_news = True
        if any(cell.key not in flight.finished for cell in flight.pack.cells):
            self.schedule.give_back(flight.pack)

    def lost(self, trial: str, kind: str, reason: str, log: str = "") -> None:
        """A worker ended without an answer, or its pack with an error.

        Args:
            trial: that trained it.
            kind: one of `search.schedule.failures.KINDS`.
            reason: why, in a line.
            log: what the worker said last.
        """
        flight = self.flights.end(trial)
        if flight is None:
            return  # it rested
        self.has_news = True
        parts = parts_after(flight.pack, kind, flight.finished)
        if parts:
            self.schedule.give_back(flight.pack, parts)
            again = _named(flight) | {"cells": sum(len(part.cells) for part in parts)}
            self.events.tell(
                "pack again", **again, kind=kind, reason=reason, node=flight.node, parts=len(parts)
            )
        else:
            self._keep(failed_cells(flight.pack, kind, reason, log, flight.finished), None)

    def _keep(self, ended: list[CellRecord], measured: PackSize | None) -> None:
        records = self.keep(ended, measured)
        if self.ceiling is not None:
            self.ceiling.take_in(records)
        self.first.take_in(records)
        self.schedule.receive(records, measured)
        if self.checkpoints is not None:
            self.checkpoints.drop(record.key for record in records)
        for record in records:
            self.events.tell("cell finished", **_told(record))
        self.announce(records)
        self.has_news = True

    def _end_if_due(self) -> None:
        for ended, why in (
            (INTERRUPTED, self.stop.reason),
            (FAILING, self.first.verdict()),
            (CEILING, self.ceiling.reached() if self.ceiling is not None else ""),
        ):
            if why:
                self.ended, self.why = ended, why
                self.has_news = True  # for workers that rest: there is nothing to wait for
                self.events.tell("stopping", reason=why, ended=ended)
                return


def _named(flight: Flight) -> dict[str, Any]:
    pack = flight.pack
    return {"pack": flight.number, "arm": pack.arm, "phase": pack.phase, "cells": len(pack.cells)}


def _told(record: CellRecord) -> dict[str, Any]:
    told = {
        name: getattr(record, name)
        for name in ("key", "arm", "phase", "candidate", "seed", "status", "kind", "reason")
    }
    return told | {"seconds": round(record.metrics.get("seconds", 0.0), 3)}
