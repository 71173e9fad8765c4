"""What a person sees while a study runs: a live table, plain lines, or events for a program."""

import os
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from rich.console import Console
from rich.live import Live

from search.console import AUTO, JSON, say
from search.ledger.record import CellRecord
from search.results.events import Event, sentence
from search.results.snapshot import (
    DONE,
    ENDED,
    PAUSED,
    RUNNING,
    STOPPING,
    FlightSnapshot,
    Snapshot,
    write_live,
)
from search.schedule.in_flight import Flight, Flights
from search.schedule.schedule import Schedule
from search.screen.forecast import cells_behind, seconds_left
from search.screen.live_table import draw, line
from search.screen.meter import Meter, by_node
from search.screen.tally import ArmTally, all_failures

LOOK_SECONDS = 2.0  # between two signs of life in `live.json`
LINE_SECONDS = 10.0  # plain lines come no faster than this,
LINE_SHARE = 1 / 30  # nor than this share of the time that the run has taken,
MOST_LINE_SECONDS = 600.0  # but then as often
FAILURES_SAID = 3  # one by one; the others are counted


def failure_line(record: CellRecord) -> str:
    """A failed cell in one line."""
    kind = f"{record.kind}: " if record.kind else ""
    return (
        f"failed: {record.arm}, {record.phase} candidate {record.candidate}, "
        f"seed {record.seed}: {kind}{record.reason}"
    )


class Progress:
    """Shows a run, and keeps `live.json`.

    What it shows is counted from cell to cell: a look costs the same after ten thousand of them.
    """

    def __init__(self, console: Console, mode: str = AUTO) -> None:
        """Nothing is shown yet.

        Args:
            console: where a person reads.
            mode: `auto` = a live table on a terminal and else lines; `plain` = lines; `json` = each
                event as a line of JSON on standard output, and lines on the console.
        """
        self.console = console
        self.mode = mode
        self._live: Live | None = None
        self._schedule: Schedule | None = None
        self._folder: Path | None = None
        self._flights = Flights()
        self._workers = 0
        self._arms: dict[str, ArmTally] = {}
        self._study = self._metric = ""
        self._earlier_seconds = 0.0
        self._failed = 0  # in this run
        self._meter = Meter()
        self._state, self._reason = RUNNING, ""
        self._started = self._line_at = time.monotonic()
        self._looked = float("-inf")
        self._unsaid = False

    def say(self, message: str) -> None:
        """One line, now."""
        say(self.console, message)

    def hear(self, event: Event) -> None:
        """Something happened."""
        if self.mode == JSON:
            sys.stdout.write(event.line() + "\n")
            sys.stdout.flush()
        self._workers = event.details.get("workers", self._workers)
        match event.what:
            case "paused":
                self._state, self._reason = PAUSED, event.details["reason"]
            case "went on":
                self._state, self._reason = RUNNING, ""
            case "stopping":
                self._state, self._reason = STOPPING, event.details["reason"]
            case "run ended":
                self._state, self._reason = ENDED, event.details["ended"]
        if said := sentence(event):
            self.say(said)
        if event.what in ("paused", "went on", "stopping", "run ended"):
            self._write()

    def start(
        self, schedule: Schedule, flights: Flights, workers: int, folder: Path | None = None
    ) -> None:
        """Begin to show a run.

        Args:
            schedule: of the study.
            flights: the packs on workers.
            workers: packs trained at once.
            folder: of the results, for `live.json`; None = it is not written.
        """
        self._schedule, self._flights = schedule, flights
        self._workers, self._folder = workers, folder
        self._started = self._line_at = time.monotonic()
        self._arms = {key: ArmTally(arm) for key, arm in schedule.arms.items()}
        self._earlier_seconds = sum(tally.seconds for tally in self._arms.values())
        for arm in schedule.arms.values():
            self._study, self._metric = arm.plan.study.name, arm.objective.metric
        if self.mode == AUTO and self.console.is_terminal:
            self._live = Live(
                console=self.console,
                refresh_per_second=2,
                get_renderable=lambda: draw(self.snapshot(), self.console.height),
            )
            self._live.start()
        self.look()

    def update(self, records: Sequence[CellRecord]) -> None:
        """Some cells are finished, and the schedule knows."""
        by_arm: dict[str, list[CellRecord]] = {}
        for record in records:
            by_arm.setdefault(record.arm_key, []).append(record)
        for key, own in by_arm.items():
            self._arms[key].take_in(own)
        self._meter.take_in(records)
        self._unsaid = self._unsaid or bool(records)
        for record in records:
            self._failed += record.status == "failed"
            if record.status == "failed" and self._failed <= FAILURES_SAID:
                self.say(failure_line(record))
        self.look()

    def look(self) -> None:
        """See where the workers are; called now and then by the driver, in its own thread."""
        now = time.monotonic()
        if self._schedule is None or now - self._looked < LOOK_SECONDS:
            return
        self._looked = now
        for tally in self._arms.values():
            if tally.phase != DONE:
                tally.look()
        flights = list(self._flights)
        behind = sum(cells_behind(flight, self._arms[flight.pack.arm_key]) for flight in flights)
        self._meter.look(now, flights, self._workers, behind)
        self._write()
        wait = min(MOST_LINE_SECONDS, max(LINE_SECONDS, LINE_SHARE * (now - self._started)))
        if self._live is None and now - self._line_at >= wait:
            self._say_line()

    def stop(self) -> None:
        """Show the last state and end."""
        if self._schedule is None:
            return
        for tally in self._arms.values():
            tally.look()
        if self._live is not None:
            self._live.stop()
        elif self._unsaid:
            self._say_line()
        self._live = None
        self._state = ENDED
        self._write()

    def snapshot(self) -> Snapshot:
        """The run at this moment. Asks the schedule nothing, so any thread may ask for it."""
        assert self._schedule is not None
        now = time.monotonic()
        flights = list(self._flights) if self._state != ENDED else []
        running: dict[str, int] = {}
        for flight in flights:
            key = flight.pack.arm_key
            left = len(flight.pack.cells) - len(flight.finished)
            running[key] = running.get(key, 0) + left
        paused = self._state in (PAUSED, STOPPING, ENDED)
        return Snapshot(
            study=self._study,
            metric=self._metric,
            time=time.time(),
            host=socket.gethostname(),
            process=os.getpid(),
            state=self._state,
            reason=self._reason,
            seconds=now - self._started,
            arms=tuple(arm.snapshot(running.get(key, 0)) for key, arm in self._arms.items()),
            failures=all_failures(arm.failures for arm in self._arms.values()),
            trained=self._meter.trained,
            cells_a_minute=self._meter.cells_a_minute,
            seconds_left=None
            if paused
            else seconds_left(self._arms, flights, self._workers, self._meter.share),
            workers=self._workers,
            busy=min(len(flights), self._workers),
            share=self._meter.share,
            device_seconds=self._meter.device_seconds,
            earlier_seconds=self._earlier_seconds,
            nodes=by_node(flights),
            flights=tuple(_flight(flight, now) for flight in flights),
        )

    def _write(self) -> None:
        if self._folder is not None and self._schedule is not None:
            with suppress(OSError):  # a full disk; the ledger is what must not miss anything
                write_live(self._folder, self.snapshot())

    def _say_line(self) -> None:
        self._unsaid = False
        self._line_at = time.monotonic()
        self.say(line(self.snapshot()))


def _flight(flight: Flight, now: float) -> FlightSnapshot:
    training = [
        flight.epochs.get(cell.key, 0)
        for cell in flight.pack.cells
        if cell.key not in flight.finished
    ]
    return FlightSnapshot(
        pack=flight.number,
        arm=flight.pack.arm,
        phase=flight.pack.phase,
        cells=len(flight.pack.cells),
        finished=len(flight.finished),
        epoch=min(training, default=flight.most_epochs),
        most_epochs=flight.most_epochs,
        node=flight.node,
        seconds=now - flight.started,
        silent=now - flight.heard,
    )
