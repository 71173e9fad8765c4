"""The display of a run: a live table, plain lines, or events for a program."""

import os
import socket
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from rich.console import Console
from rich.live import Live

from search.console import AUTO, JSON, print_line
from search.ledger.record import CellRecord
from search.results.events import Event, event_sentence
from search.results.snapshot import (
    ArmPhase,
    FlightSnapshot,
    RunState,
    Snapshot,
    write_live,
)
from search.schedule.in_flight import InFlightPack, InFlightPacks
from search.schedule.schedule import Schedule
from search.screen.forecast import cells_behind, seconds_left
from search.screen.live_table import draw_snapshot, snapshot_line
from search.screen.meter import Meter, packs_by_node
from search.screen.tally import ArmTally, count_failures
from spaces.core import Status

REFRESH_SECONDS = 2.0  # between two writes of `live.json`
# Time between two plain lines: this share of the run's time so far, within these bounds. A log of
# days then has hundreds of lines, and a short run still shows that it moves.
LINE_SHARE = 1 / 30
LINE_SECONDS, MOST_LINE_SECONDS = 10.0, 600.0
FAILURES_SHOWN = 3  # one by one; the others are counted


def failure_line(record: CellRecord) -> str:
    """Describe a failed cell in one line."""
    kind = f"{record.kind}: " if record.kind else ""
    return (
        f"failed: {record.arm}, {record.phase} candidate {record.candidate}, "
        f"seed {record.seed}: {kind}{record.reason}"
    )


class Progress:
    """The display of a run, and the writer of `live.json`.

    What it shows is counted from cell to cell: a refresh costs the same after ten thousand of them.
    """

    def __init__(self, console: Console, mode: str = AUTO) -> None:
        """Create a display that shows nothing yet.

        Args:
            console: Console for lines and the table.
            mode: `auto` = a live table on a terminal and else lines; `plain` = lines; `json` = each
                event as a line of JSON on standard output, and lines on the console.
        """
        self.console = console
        self.mode = mode
        self._live: Live | None = None
        self._schedule: Schedule | None = None
        self._folder: Path | None = None
        self._flights = InFlightPacks()
        self._workers = 0
        self._arms: dict[str, ArmTally] = {}
        self._study = self._metric = ""
        self._earlier_seconds = 0.0
        self._failed = 0  # in this run
        self._meter = Meter()
        self._state, self._reason = RunState.RUNNING, ""
        self._started = self._line_at = time.monotonic()
        self._refreshed_at = float("-inf")
        self._has_news = False

    def print_line(self, message: str) -> None:
        """Print a line above the table."""
        print_line(self.console, message)

    def on_event(self, event: Event) -> None:
        """Show an event, if it is worth a line, and note what the run is at."""
        if self.mode == JSON:
            sys.stdout.write(event.to_json() + "\n")
            sys.stdout.flush()
        self._workers = event.details.get("workers", self._workers)
        match event.what:
            case "paused":
                self._state, self._reason = RunState.PAUSED, event.details["reason"]
            case "went on":
                self._state, self._reason = RunState.RUNNING, ""
            case "stopping":
                self._state, self._reason = RunState.STOPPING, event.details["reason"]
            case "run ended":
                self._state, self._reason = RunState.ENDED, event.details["ended"]
        if text := event_sentence(event):
            self.print_line(text)
        # At once, since a paused driver may not refresh for a long time.
        if event.what in ("paused", "went on", "stopping", "run ended"):
            self._write_live()

    def start(
        self, schedule: Schedule, flights: InFlightPacks, workers: int, folder: Path | None = None
    ) -> None:
        """Begin to show a run.

        Args:
            schedule: Schedule of the study.
            flights: In-flight packs of the run.
            workers: Number of packs trained at once.
            folder: Results folder for `live.json`; None = it is not written.
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
                get_renderable=lambda: draw_snapshot(self.take_snapshot(), self.console.height),
            )
            self._live.start()
        self.refresh()

    def update(self, records: Sequence[CellRecord]) -> None:
        """Show finished cells, which the schedule has already received."""
        by_arm: dict[str, list[CellRecord]] = {}
        for record in records:
            by_arm.setdefault(record.arm_key, []).append(record)
        for key, own in by_arm.items():
            self._arms[key].add_cells(own)
        self._meter.add_cells(records)
        self._has_news = self._has_news or bool(records)
        for record in records:
            self._failed += record.status == Status.FAILED
            if record.status == Status.FAILED and self._failed <= FAILURES_SHOWN:
                self.print_line(failure_line(record))
        self.refresh()

    def refresh(self) -> None:
        """Measure and show the run anew; called often by the driver, in its own thread."""
        now = time.monotonic()
        if self._schedule is None or now - self._refreshed_at < REFRESH_SECONDS:
            return
        self._refreshed_at = now
        for tally in self._arms.values():
            if tally.phase != ArmPhase.DONE:
                tally.refresh()
        flights = list(self._flights)
        behind = sum(cells_behind(flight, self._arms[flight.pack.arm_key]) for flight in flights)
        self._meter.refresh(now, flights, self._workers, behind)
        self._write_live()
        wait = min(MOST_LINE_SECONDS, max(LINE_SECONDS, LINE_SHARE * (now - self._started)))
        if self._live is None and now - self._line_at >= wait:
            self._print_status_line()

    def stop(self) -> None:
        """Show the last state and end."""
        if self._schedule is None:
            return
        for tally in self._arms.values():
            tally.refresh()
        if self._live is not None:
            self._live.stop()
        elif self._has_news:
            self._print_status_line()
        self._live = None
        self._state = RunState.ENDED
        self._write_live()

    def take_snapshot(self) -> Snapshot:
        """Return the run at this moment."""
        # The live table calls it in a thread of its own, so it asks the schedule nothing.
        assert self._schedule is not None
        now = time.monotonic()
        flights = list(self._flights) if self._state != RunState.ENDED else []
        running: Counter[str] = Counter()
        for flight in flights:
            running[flight.pack.arm_key] += len(flight.pack.cells) - len(flight.finished)
        paused = self._state in (RunState.PAUSED, RunState.STOPPING, RunState.ENDED)
        return Snapshot(
            study=self._study,
            metric=self._metric,
            time=time.time(),
            host=socket.gethostname(),
            process=os.getpid(),
            state=self._state,
            reason=self._reason,
            seconds=now - self._started,
            arms=tuple(arm.take_snapshot(running[key]) for key, arm in self._arms.items()),
            failures=count_failures(cell for arm in self._arms.values() for cell in arm.failed),
            trained=self._meter.trained,
            cells_a_minute=self._meter.cells_per_minute,
            seconds_left=None
            if paused
            else seconds_left(self._arms, flights, self._workers, self._meter.share),
            workers=self._workers,
            busy=min(len(flights), self._workers),
            share=self._meter.share,
            device_seconds=self._meter.device_seconds,
            earlier_seconds=self._earlier_seconds,
            nodes=packs_by_node(flights),
            flights=tuple(_flight_snapshot(flight, now) for flight in flights),
        )

    def _write_live(self) -> None:
        if self._folder is not None and self._schedule is not None:
            with suppress(OSError):  # a full disk; the ledger is what must not miss anything
                write_live(self._folder, self.take_snapshot())

    def _print_status_line(self) -> None:
        self._has_news = False
        self._line_at = time.monotonic()
        self.print_line(snapshot_line(self.take_snapshot()))


def _flight_snapshot(flight: InFlightPack, now: float) -> FlightSnapshot:
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
        silent=now - flight.last_report,
    )
