"""How fast a run is: recent cells per minute, and the share of its workers' time in training."""

from collections import Counter, deque
from collections.abc import Iterable, Sequence

from search.ledger.record import CellRecord
from search.results.selection import seconds_of
from search.schedule.in_flight import InFlightPack

WINDOW_SECONDS = 300.0  # over which cells per minute are counted
LEAST_SECONDS = 5.0  # a shorter time gives a wild number, which is not shown


class Meter:
    """Counters of a run's speed, as of the last `refresh`."""

    def __init__(self) -> None:
        self.trained = 0  # cells finished in this run
        self._trained_seconds = 0.0  # of them
        self._under_way = 0.0  # seconds that unfinished cells have trained
        self._worker_seconds = 0.0  # since the first sign of training
        self._before = 0.0  # device-seconds until then
        self._refreshed_at: float | None = None
        self._samples: deque[tuple[float, float]] = deque()  # time, and cells' worth of training
        self._landed: dict[str, float] = {}  # finished cell of a pack in flight -> its seconds

    def add_cells(self, records: Sequence[CellRecord]) -> None:
        """Count cells that were trained."""
        self.trained += len(records)
        self._trained_seconds += seconds_of(records)
        self._landed.update((record.key, seconds_of([record])) for record in records)

    def refresh(
        self, now: float, flights: Sequence[InFlightPack], workers: int, cells_behind: float
    ) -> None:
        """Measure what the workers have done until now.

        Args:
            now: Time on the clock of the flights, `time.monotonic`.
            flights: In-flight packs.
            workers: Number of workers.
            cells_behind: Training that unfinished cells have behind them, in cells.
        """
        landed = {key for flight in flights for key in flight.finished}
        self._landed = {key: self._landed[key] for key in landed & self._landed.keys()}
        self._under_way = sum(self._flight_seconds(flight, now) for flight in flights)
        if self._refreshed_at is not None:
            self._worker_seconds += workers * (now - self._refreshed_at)
        elif self.trained or any(flight.seconds for flight in flights):
            self._before = self.device_seconds  # until now workers were starting
        else:
            return
        self._refreshed_at = now
        self._samples.append((now, self.trained + cells_behind))
        while now - self._samples[0][0] > WINDOW_SECONDS:
            self._samples.popleft()

    @property
    def device_seconds(self) -> float:
        """Seconds of training in this run, with what is under way."""
        return self._trained_seconds + self._under_way

    @property
    def share(self) -> float | None:
        """Share of the workers' time since training began, 0 to 1; None until known."""
        if self._worker_seconds < LEAST_SECONDS:
            return None
        trained = self.device_seconds - self._before
        return min(1.0, max(0.0, trained / self._worker_seconds))

    @property
    def cells_per_minute(self) -> float | None:
        """Cells per minute over the last minutes; None until known."""
        if len(self._samples) < 2:
            return None
        (first, before), (last, after) = self._samples[0], self._samples[-1]
        if last - first < LEAST_SECONDS or after <= before:
            return None
        return 60.0 * (after - before) / (last - first)

    def _flight_seconds(self, flight: InFlightPack, now: float) -> float:
        """Return the seconds that the unfinished cells of a flight have trained.

        Between two reports of its worker they count as training.
        """
        if not flight.seconds and not self.trained:
            return 0.0  # its worker is being started
        since = flight.last_report if flight.seconds else flight.started
        finished = sum(self._landed.get(key, 0.0) for key in flight.finished)
        return max(0.0, flight.seconds + now - since - finished)


def packs_by_node(flights: Iterable[InFlightPack]) -> dict[str, int]:
    """Count the packs on each node, of those whose node is known."""
    return dict(sorted(Counter(flight.node for flight in flights if flight.node).items()))
