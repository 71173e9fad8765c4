"""The record of a run in the making: when it starts, what it trains, how it ends."""

import time
from collections.abc import Sequence

from search.ledger.record import CellRecord
from search.results.events import Event
from search.results.history import RunRecord, utc_timestamp
from search.results.selection import seconds_of
from search.schedule.in_flight import InFlightPacks

EXIT_SECONDS = 0.3  # seconds from the last line of a run to the end of its process


class RunLog:
    """Collector of what goes into the record of one run."""

    def __init__(self, started: float | None = None) -> None:
        """Start the clock of a run.

        Args:
            started: Seconds since 1970; the process's own start for its first run. None = now.
        """
        self._began = utc_timestamp()
        self._started = time.time() if started is None else started
        self._first_pack: float | None = None
        self._device_seconds = 0.0
        self._cells = 0
        self._training: tuple[float, float] | None = None  # times of its beginning and last cell
        self.workers = 0
        self.flights = InFlightPacks()  # set by the engine; their reports tell when training began

    def on_event(self, event: Event) -> None:
        """Note when the first pack is handed out."""
        if event.what == "pack started" and self._first_pack is None:
            self._first_pack = event.time

    def add_cells(self, records: Sequence[CellRecord]) -> None:
        """Count cells that were trained."""
        self._cells += len(records)
        self._device_seconds += seconds_of(records)
        moment = time.monotonic()
        # Workers load Python and the data before they train: that is not training time. What they
        # report last says how long they have trained.
        began = [
            max(flight.started, flight.last_report - flight.seconds)
            for flight in self.flights
            if flight.seconds
        ]
        if self._training is not None:
            began.append(self._training[0])
        self._training = (min(began, default=moment), moment)

    def make_record(self, ended: str, estimate_seconds: float | None = None) -> RunRecord:
        """Make the record of the run as it is now.

        Args:
            ended: One of `search.results.history.RunEnd`.
            estimate_seconds: Wall time that was estimated for it; None if nothing was.
        """
        return RunRecord(
            started=self._began,
            wall_seconds=time.time() - self._started + EXIT_SECONDS,
            startup_seconds=(self._first_pack - self._started) if self._first_pack else 0.0,
            device_seconds=self._device_seconds,
            cells=self._cells,
            workers=self.workers,
            ended=ended,
            estimate_seconds=estimate_seconds,
            training_seconds=self._training[1] - self._training[0] if self._training else 0.0,
        )
