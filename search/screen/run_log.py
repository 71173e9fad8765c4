"""What a run is watched for: how long it takes to start, what it trains, how it ends."""

import time
from collections.abc import Sequence

from search.ledger.record import CellRecord
from search.results.events import Event
from search.results.history import RunRecord, now
from search.results.selection import seconds_of
from search.schedule.in_flight import Flights

ENDS = 0.3  # seconds from the last line of a run to the end of its process


class RunLog:
    """Fills the record of one run."""

    def __init__(self, started: float | None = None) -> None:
        """Begin.

        Args:
            started: in seconds since 1970; the process's own start for its first run. None = now.
        """
        self._began = now()
        self._started = time.time() if started is None else started
        self._first_pack: float | None = None
        self._device_seconds = 0.0
        self._cells = 0
        self._training: tuple[float, float] | None = None  # its beginning and its last cell
        self.workers = 0
        self.flights = Flights()  # of the run, for when its training began

    def hear(self, event: Event) -> None:
        """Something happened."""
        if event.what == "pack started" and self._first_pack is None:
            self._first_pack = event.time

    def take_in(self, records: Sequence[CellRecord]) -> None:
        """Cells were trained."""
        self._cells += len(records)
        self._device_seconds += seconds_of(records)
        moment = time.monotonic()
        began = [
            max(flight.started, flight.heard - flight.seconds)
            for flight in self.flights
            if flight.seconds
        ]
        if self._training is not None:
            began.append(self._training[0])
        self._training = (min(began, default=moment), moment)

    def record(self, ended: str, estimate_seconds: float | None = None) -> RunRecord:
        """The run as it is now.

        Args:
            ended: one of `search.results.history.ENDINGS`.
            estimate_seconds: that were planned for it; None if nothing was.
        """
        return RunRecord(
            started=self._began,
            wall_seconds=time.time() - self._started + ENDS,
            startup_seconds=(self._first_pack - self._started) if self._first_pack else 0.0,
            device_seconds=self._device_seconds,
            cells=self._cells,
            workers=self.workers,
            ended=ended,
            estimate_seconds=estimate_seconds,
            training_seconds=self._training[1] - self._training[0] if self._training else 0.0,
        )
