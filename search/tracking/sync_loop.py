"""The loop that keeps a tracking server up to date with a ledger, whatever fails meanwhile."""

import random
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from search.ledger.ledger import read_full_records, read_ledger
from search.ledger.lines import LEDGER
from search.ledger.record import CellRecord
from search.redaction import without_secrets
from search.results.folder import Manifest, select_cells
from search.tracking.tracker import Tracker, WriteFailed

FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0  # seconds between attempts while the server is away
PATIENCE = 20.0  # seconds without success after which a study that has ended waits no longer
SOONER = 3.0  # seconds between attempts at most, once a study has ended
# Before the ledger is read again, so many times what reading it took: of a study with thousands of
# cells that is seconds of a core on which something trains.
REST_FACTOR = 5.0
MOST_MESSAGE = 300  # characters; MLflow puts whole HTML pages into its errors
HOPELESS = ("INVALID_PARAMETER_VALUE", "UNAUTHENTICATED", "PERMISSION_DENIED")
NO_ENTRY = re.compile(r"\b40[13]\b|authentication|password")
UNREACHED = re.compile(r"ConnectionPool\(host='([^']+)', port=(\d+)\)")
ASKS = (
    "passwords are not kept with the results: set MLFLOW_TRACKING_USERNAME and "
    "MLFLOW_TRACKING_PASSWORD, or give --tracking-uri"
)


class TrackingError(RuntimeError):
    """MLflow is behind the ledger."""


class DriverView(Protocol):
    """The driver as far as the tracking depends on it."""

    @property
    def closing(self) -> bool:
        """Whether no more cells will come, so that the tracking is to end."""

    @property
    def complete(self) -> bool:
        """Whether the study is complete; known once `closing`."""

    @property
    def abandoned(self) -> bool:
        """Whether the driver has gone without waiting for an end: stop at once."""

    def pause(self, seconds: float) -> None:
        """Return after some seconds, or as soon as the driver is closing or gone."""

    def wait_for_cells(self) -> None:
        """Return when there are new cells, or the driver is closing or gone."""

    def report_progress(self, written: int) -> None:
        """Take the number of cells that are written so far."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LedgerSource:
    """The source of the cells.

    Attributes:
        read_planned: Reader of the plan's finished cells as they are now, without curves.
        read_whole_cells: Reader of given cells once more, with curves and predictions.
        ledger_bytes: Size of the ledger now, in bytes.
    """

    read_planned: Callable[[], list[CellRecord]]
    read_whole_cells: Callable[[list[CellRecord]], Iterator[CellRecord]]
    ledger_bytes: Callable[[], int]

    @classmethod
    def from_folder(cls, folder: Path, manifest: Manifest) -> "LedgerSource":
        """Return the source that reads the ledger of a results folder."""

        def read_whole_cells(cells: list[CellRecord]) -> Iterator[CellRecord]:
            light = {cell.key: cell for cell in cells}
            for found in read_full_records(folder, list(light)):
                yield replace(light[found.key], curve=found.curve, predictions=found.predictions)

        path = folder / LEDGER
        return cls(
            read_planned=lambda: select_cells(manifest, read_ledger(folder)),
            read_whole_cells=read_whole_cells,
            ledger_bytes=lambda: path.stat().st_size if path.exists() else 0,
        )


class SyncLoop:
    """The loop that writes what the server lacks until the driver closes, with back-off.

    After a failure it begins again with what the server has: so each cell ends up there once,
    whole, after any sequence of failures.

    Attributes:
        written: Number of cells written so far.
        planned: Number of the plan's finished cells when the ledger was last read.
        ledger_size: Size of the ledger then, in bytes.
    """

    def __init__(
        self,
        make_tracker: Callable[[], Tracker],
        source: LedgerSource,
        driver: DriverView,
        *,
        patience: float = PATIENCE,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Create the loop, which begins with `run`.

        Args:
            make_tracker: Maker of a tracker that knows what the server has.
            source: Source of the cells.
            driver: Driver, which determines when to end.
            patience: Time without success after which it gives up once the driver closes, in
                seconds.
            clock: Clock in seconds.
            jitter: Source of a number in [0, 1) for each wait, so that many studies do not come
                back to a server at the same moment.
        """
        self._make_tracker = make_tracker
        self._source = source
        self._driver = driver
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
        """Write until the driver closes.

        Returns:
            The tracker that closed the study's runs; None if the driver did not wait for that.

        Raises:
            TrackingError: the server was away at the end, or refused cells.
        """
        closing_since: float | None = None
        while not self._driver.abandoned:
            closing = self._driver.closing
            if closing and closing_since is None:
                closing_since = self._clock()
            try:
                tracker = self._catch_up(closing)
            except Exception as error:  # whatever a server, its client or a disk raises
                # What the server has is read anew: a request that failed may have arrived.
                self._tracker = None
                since = max(self._last_success or 0.0, closing_since or 0.0)
                late = self._clock() - since > self._patience or _is_hopeless(error)
                if closing_since is not None and late:
                    raise TrackingError(describe_error(error)) from error
                self._back_off(closing)
                continue
            if tracker is not None:
                self._check_all_taken()
                return tracker
        return None

    def _catch_up(self, closing: bool) -> Tracker | None:
        """Write what the server lacks; return the tracker once all is done, None before."""
        began = self._clock()
        # Before the ledger is read: the marker must not count what is appended meanwhile.
        self.ledger_size = self._source.ledger_bytes()
        planned = self._source.read_planned()
        took = self._clock() - began
        self.planned = len(planned)
        if self._tracker is None:
            self._tracker = self._make_tracker()
        tracker = self._tracker
        # Test metrics become visible once the study is complete, all at once.
        tracker.embargoed = not (closing and self._driver.complete)
        if missing := self._missing_cells(tracker, planned):
            self._write_missing(tracker, missing)
            if self._missing_cells(tracker, missing) and not self._driver.abandoned:
                raise TrackingError("the ledger changed while it was read")
            return None
        if closing:
            tracker.close_runs(planned, self._driver.complete)
            return tracker
        self._driver.pause(min(LONGEST_WAIT, REST_FACTOR * took))
        self._driver.wait_for_cells()
        return None

    def _missing_cells(self, tracker: Tracker, cells: Iterable[CellRecord]) -> list[CellRecord]:
        """List the cells that the server lacks and has not refused."""
        lacking = (cell for cell in cells if tracker.needs_writing(cell))
        return [cell for cell in lacking if cell.key not in self._refused]

    def _write_missing(self, tracker: Tracker, missing: list[CellRecord]) -> None:
        def keep_going(newly: int) -> bool:
            if newly:
                self.written += newly
                self._last_success = self._clock()
                self._wait = FIRST_WAIT
                self._driver.report_progress(self.written)
            return not self._driver.abandoned

        # What failed comes last, so that a cell that always fails holds up no other.
        by_failures: dict[int, list[CellRecord]] = {}
        for cell in missing:
            by_failures.setdefault(self._failures[cell.key], []).append(cell)
        try:
            for _, cells in sorted(by_failures.items()):
                tracker.write_cells(self._source.read_whole_cells(cells), keep_going)
        except WriteFailed as error:
            self._failures.update(error.keys)
            raise
        finally:
            self._refused |= tracker.refused

    def _back_off(self, closing: bool) -> None:
        seconds = self._wait * (1 + self._jitter()) / 2
        self._wait = min(LONGEST_WAIT, 2 * self._wait)
        self._driver.pause(min(SOONER, seconds) if closing else seconds)

    def _check_all_taken(self) -> None:
        if self._refused:
            why = next(iter(self._refused.values()))
            raise TrackingError(f"the server refuses {len(self._refused)} of the cells: {why}")


def _is_hopeless(error: Exception) -> bool:
    """Check whether waiting helps nothing: a wrong address or password, or no driver installed."""
    code = getattr(error, "error_code", "")
    return isinstance(error, ImportError) or code in HOPELESS


def describe_error(error: Exception) -> str:
    """Describe an error of a server in one line without secrets."""
    if server := UNREACHED.search(str(error)):
        what = "did not answer in time" if "timed out" in str(error) else "does not answer"
        return f"the tracking server at {server[1]}:{server[2]} {what}"
    lines = str(error).strip().splitlines() or [type(error).__name__]
    said = without_secrets(lines[0])[:MOST_MESSAGE]
    return f"{said}; {ASKS}" if NO_ENTRY.search(said) else said
