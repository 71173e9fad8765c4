"""How fast a run is: cells a minute of late, and what share of its workers' time is training."""

from collections import deque
from collections.abc import Iterable, Sequence

from search.ledger.record import CellRecord
from search.results.selection import seconds_of
from search.schedule.in_flight import Flight

WINDOW_SECONDS = 300.0  # over which cells a minute are counted
LEAST_SECONDS = 5.0  # less says nothing


class Meter:
    """Looked at now and then; what it says is as of the last look."""

    def __init__(self) -> None:
        self.trained = 0  # cells finished in this run
        self._trained_seconds = 0.0  # of them
        self._under_way = 0.0  # seconds that cells have trained which are not finished
        self._worker_seconds = 0.0  # since the first sign of training
        self._before = 0.0  # device-seconds until then
        self._looked: float | None = None
        self._looks: deque[tuple[float, float]] = deque()  # when, and cells' worth of training
        self._landed: dict[str, float] = {}  # finished cells, of packs still on their worker

    def take_in(self, records: Sequence[CellRecord]) -> None:
        """Cells were trained."""
        self.trained += len(records)
        self._trained_seconds += seconds_of(records)
        self._landed.update((record.key, seconds_of([record])) for record in records)

    def look(
        self, now: float, flights: Sequence[Flight], workers: int, cells_behind: float
    ) -> None:
        """See where the workers are.

        Args:
            now: on the clock of the flights, `time.monotonic`.
            flights: the packs on workers.
            workers: that there are.
            cells_behind: cells' worth of training that unfinished cells have behind them.
        """
        landed = {key for flight in flights for key in flight.finished}
        self._landed = {key: self._landed[key] for key in landed & self._landed.keys()}
        self._under_way = sum(self._seconds(flight, now) for flight in flights)
        if self._looked is not None:
            self._worker_seconds += workers * (now - self._looked)
        elif self.trained or any(flight.seconds for flight in flights):
            self._before = self.device_seconds  # until now workers were starting
        else:
            return
        self._looked = now
        self._looks.append((now, self.trained + cells_behind))
        while now - self._looks[0][0] > WINDOW_SECONDS:
            self._looks.popleft()

    @property
    def device_seconds(self) -> float:
        """Of training in this run, with what is under way."""
        return self._trained_seconds + self._under_way

    @property
    def share(self) -> float | None:
        """Of the workers' time since the first sign of training; None until something is known."""
        if self._worker_seconds < LEAST_SECONDS:
            return None
        trained = self.device_seconds - self._before
        return min(1.0, max(0.0, trained / self._worker_seconds))

    @property
    def cells_a_minute(self) -> float | None:
        """None until something is known."""
        if len(self._looks) < 2:
            return None
        (first, before), (last, after) = self._looks[0], self._looks[-1]
        if last - first < LEAST_SECONDS or after <= before:
            return None
        return 60.0 * (after - before) / (last - first)

    def _seconds(self, flight: Flight, now: float) -> float:
        """That the unfinished cells of a flight have trained; who falls silent goes on training."""
        if not flight.seconds and not self.trained:
            return 0.0  # its worker is being started
        since = flight.heard if flight.seconds else flight.started
        finished = sum(self._landed.get(key, 0.0) for key in flight.finished)
        return max(0.0, flight.seconds + now - since - finished)


def by_node(flights: Iterable[Flight]) -> dict[str, int]:
    """Node -> packs there, of those that have said where they are."""
    nodes: dict[str, int] = {}
    for flight in flights:
        if flight.node:
            nodes[flight.node] = nodes.get(flight.node, 0) + 1
    return dict(sorted(nodes.items()))
