"""Keeps a tracking server up to date with a ledger, whatever befalls the server meanwhile."""

import random
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from search.ledger.ledger import LEDGER, read_ledger, read_whole
from search.ledger.record import CellRecord
from search.redaction import without_secrets
from search.results.folder import Manifest, select_cells
from search.tracking.tracker import Tracker, WriteFailed

FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0  # seconds between attempts while the server is away
PATIENCE = 20.0  # seconds without success after which a study that has ended waits no longer
SOONER = 3.0  # seconds: the longest wait then
REST = 5.0  # times what reading the ledger took, before it is read again
MOST_MESSAGE = 300
HOPELESS = ("INVALID_PARAMETER_VALUE", "UNAUTHENTICATED", "PERMISSION_DENIED")
NO_ENTRY = re.compile(r"\b40[13]\b|authentication|password")
UNREACHED = re.compile(r"ConnectionPool\(host='([^']+)', port=(\d+)\)")
ASKS = (
    "passwords are not kept with the results: set MLFLOW_TRACKING_USERNAME and "
    "MLFLOW_TRACKING_PASSWORD, or give --tracking-uri"
)


class TrackingError(RuntimeError):
    """MLflow is behind the ledger."""


class Orders(Protocol):
    """What whoever runs the study wants of its tracking."""

    @property
    def closing(self) -> bool:
        """Whether no more cells will come."""

    @property
    def complete(self) -> bool:
        """Whether the study is; known once `closing`."""

    @property
    def gone(self) -> bool:
        """Whether nobody waits for an end any more: stop where you are."""

    def rest(self, seconds: float) -> None:
        """Return after that time, or as soon as it is closing or gone."""

    def wait_for_news(self) -> None:
        """Return when there are new cells, or it is closing or gone."""

    def progress(self, written: int) -> None:
        """Hear how many cells are written."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """Where the cells come from.

    Attributes:
        planned: the plan's finished cells as the ledger has them now; without curves.
        whole: the same cells with curves and predictions, of the keys given.
        size: bytes of the ledger now.
    """

    planned: Callable[[], list[CellRecord]]
    whole: Callable[[list[CellRecord]], Iterator[CellRecord]]
    size: Callable[[], int]

    @classmethod
    def of(cls, folder: Path, manifest: Manifest) -> "Source":
        """The ledger of a results folder."""

        def whole(cells: list[CellRecord]) -> Iterator[CellRecord]:
            light = {cell.key: cell for cell in cells}
            for found in read_whole(folder, list(light)):
                yield replace(light[found.key], curve=found.curve, predictions=found.predictions)

        path = folder / LEDGER
        return cls(
            planned=lambda: select_cells(manifest, read_ledger(folder)),
            whole=whole,
            size=lambda: path.stat().st_size if path.exists() else 0,
        )


class Upkeep:
    """Writes what the server lacks until it is told to close, and waits where it is away.

    Whatever failed, it begins again with what the server says it has: so each cell ends up there
    once, whole, after any sequence of failures.

    Attributes:
        written: cells, so far.
        planned: cells of the plan, when the ledger was last read.
        ledger_size: bytes of it, then.
    """

    def __init__(
        self,
        make_tracker: Callable[[], Tracker],
        source: Source,
        orders: Orders,
        *,
        patience: float = PATIENCE,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Begin with the first call of `run`.

        Args:
            make_tracker: finds out what the server has.
            source: the ledger.
            orders: when to end.
            patience: seconds without success after which it gives up once it is closing.
            clock: in seconds.
            jitter: a number in [0, 1) for each wait, so that many studies do not come at once.
        """
        self._make_tracker = make_tracker
        self._source = source
        self._orders = orders
        self._patience = patience
        self._clock = clock
        self._jitter = jitter
        self._tracker: Tracker | None = None
        self._refused: dict[str, str] = {}
        self._failures: Counter[str] = Counter()
        self._wait = FIRST_WAIT
        self._last_success: float | None = None
        self.written = 0
        self.planned = 0
        self.ledger_size = 0

    def run(self) -> Tracker | None:
        """Work until it is told to close.

        Returns:
            The tracker that closed the study's runs; None if nobody waits for that any more.

        Raises:
            TrackingError: the server was away at the end, or refused cells.
        """
        closing_since: float | None = None
        while not self._orders.gone:
            closing = self._orders.closing
            if closing and closing_since is None:
                closing_since = self._clock()
            try:
                tracker = self._catch_up(closing)
            except Exception as error:  # whatever a server, its client or a disk raises
                self._tracker = None
                since = max(self._last_success or 0.0, closing_since or 0.0)
                late = self._clock() - since > self._patience or _is_hopeless(error)
                if closing_since is not None and late:
                    raise TrackingError(one_line(error)) from error
                self._rest(closing)
                continue
            if tracker is not None:
                self._check_all_taken()
                return tracker
        return None

    def _catch_up(self, closing: bool) -> Tracker | None:
        """Write what the server lacks; the tracker once all is done, None before."""
        began = self._clock()
        self.ledger_size = self._source.size()  # before it is read: what comes after is news
        planned = self._source.planned()
        took = self._clock() - began
        self.planned = len(planned)
        if self._tracker is None:
            self._tracker = self._make_tracker()
        tracker = self._tracker
        # Test metrics are shown once the study is finished, all at once.
        tracker.sealed = not (closing and self._orders.complete)
        if missing := self._missing(tracker, planned):
            self._write(tracker, missing)
            if self._missing(tracker, missing) and not self._orders.gone:
                raise TrackingError("the ledger changed while it was read")
            return None
        if closing:
            tracker.finish(planned, self._orders.complete)
            return tracker
        self._orders.rest(min(LONGEST_WAIT, REST * took))
        self._orders.wait_for_news()
        return None

    def _missing(self, tracker: Tracker, cells: Iterable[CellRecord]) -> list[CellRecord]:
        """What the server lacks and may yet take."""
        return [cell for cell in cells if tracker.lacks(cell) and cell.key not in self._refused]

    def _write(self, tracker: Tracker, missing: list[CellRecord]) -> None:

        def goes_on(newly: int) -> bool:
            if newly:
                self.written += newly
                self._last_success = self._clock()
                self._wait = FIRST_WAIT
                self._orders.progress(self.written)
            return not self._orders.gone

        # What failed comes last, so that a cell that always fails holds up no other.
        by_failures: dict[int, list[CellRecord]] = {}
        for cell in missing:
            by_failures.setdefault(self._failures[cell.key], []).append(cell)
        try:
            for _, cells in sorted(by_failures.items()):
                tracker.write(self._source.whole(cells), goes_on)
        except WriteFailed as error:
            self._failures.update(error.keys)
            raise
        finally:
            self._refused |= tracker.refused

    def _rest(self, closing: bool) -> None:
        seconds = self._wait * (1 + self._jitter()) / 2
        self._wait = min(LONGEST_WAIT, 2 * self._wait)
        self._orders.rest(min(SOONER, seconds) if closing else seconds)

    def _check_all_taken(self) -> None:
        if self._refused:
            why = next(iter(self._refused.values()))
            raise TrackingError(f"the server refuses {len(self._refused)} of the cells: {why}")


def _is_hopeless(error: Exception) -> bool:
    """Whether waiting helps nothing: a wrong address or password, or no driver installed."""
    code = getattr(error, "error_code", "")
    return isinstance(error, ImportError) or code in HOPELESS


def one_line(error: Exception) -> str:
    """What went wrong with a server, in one line without secrets."""
    if server := UNREACHED.search(str(error)):
        what = "did not answer in time" if "timed out" in str(error) else "does not answer"
        return f"the tracking server at {server[1]}:{server[2]} {what}"
    lines = str(error).strip().splitlines() or [type(error).__name__]
    said = without_secrets(lines[0])[:MOST_MESSAGE]
    return f"{said}; {ASKS}" if NO_ENTRY.search(said) else said
