"""The loop that keeps a tracking server up to date with a ledger, whatever fails meanwhile."""

import random
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from search.ledger.ledger import read_full_records, read_ledger
from search.ledger.record import CellRecord
from search.redaction import without_secrets
from search.results.folder import Manifest, select_cells
from search.tracking.marker import ledger_size
from search.tracking.tracker import Tracker, WriteFailed

FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0  # seconds between attempts while the server is away
PATIENCE = 20.0  # seconds without success after which a study that has ended waits no longer
SOONER = 3.0  # seconds between attempts at most, once a study has ended
# Before the ledger is read again, so many times what reading it took: of a study with thousands of
# cells that is seconds of a core on which something trains.
REST_FACTOR = 5.0
POLL_SECONDS = 0.5  # between two looks at the size of the ledger
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


class DriverView:
    """The driver of a study as far as tracking depends on it; by itself one that has ended.

    Then what there is is written, and no more. `search.tracking.process.PipedDriver` is one that
    runs.

    Attributes:
        complete: Whether the study is complete; known once `closing`.
        written: Number of cells that are written so far.
    """

    def __init__(self, complete: bool) -> None:
        self.complete = complete
        self.written = 0

    @property
    def closing(self) -> bool:
        """Whether no more cells will come, so that the tracking is to end."""
        return True

    @property
    def abandoned(self) -> bool:
        """Whether the driver has gone without waiting for an end: stop at once."""
        return False

    def pause(self, seconds: float) -> None:
        """Return after some seconds, or as soon as the driver is closing or gone."""
        time.sleep(seconds)

    def report_progress(self, written: int) -> None:
        """Take the number of cells that are written so far."""
        self.written = written


class LedgerSource:
    """The source of the cells: the ledger of a results folder."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self._folder, self._manifest = folder, manifest

    def read_planned(self) -> list[CellRecord]:
        """Read the plan's finished cells as they are now, without curves."""
        return select_cells(self._manifest, read_ledger(self._folder))

    def read_whole_cells(self, cells: list[CellRecord]) -> Iterator[CellRecord]:
        """Read given cells once more, with curves and predictions."""
        light = {cell.key: cell for cell in cells}
        for found in read_full_records(self._folder, list(light)):
            yield replace(light[found.key], curve=found.curve, predictions=found.predictions)

    def ledger_bytes(self) -> int:
        """Return the size of the ledger now, in bytes."""
        return ledger_size(self._folder)


class SyncLoop:
    """The loop that writes what the server lacks until the driver closes, with back-off.

    After a failure it begins again with what the server has: so each cell ends up there once,
    whole, after any sequence of failures.

    Attributes:
        written: Number of cells written so far.
        ledger_bytes: Size of the ledger when it was last read.
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
        self.ledger_bytes = 0

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
        self.ledger_bytes = self._source.ledger_bytes()
        planned = self._source.read_planned()
        took = self._clock() - began
        if self._tracker is None:
            self._tracker = self._make_tracker()
            self._tracker.refused = self._refused  # what it refused before, it would refuse again
        tracker = self._tracker
        # Test metrics become visible once the study is complete, all at once.
        tracker.embargoed = not (closing and self._driver.complete)
        if missing := [cell for cell in planned if tracker.needs_writing(cell)]:
            self._write_missing(tracker, missing)
            if any(map(tracker.needs_writing, missing)) and not self._driver.abandoned:
                raise TrackingError("the ledger changed while it was read")
            return None
        if closing:
            tracker.close_runs(planned, self._driver.complete)
            return tracker
        self._driver.pause(min(LONGEST_WAIT, REST_FACTOR * took))
        self._wait_for_cells()
        return None

    def _wait_for_cells(self) -> None:
        """Wait until the ledger has grown, or the driver is closing or gone."""
        while not (self._driver.closing or self._driver.abandoned):
            if self._source.ledger_bytes() != self.ledger_bytes:
                return
            self._driver.pause(POLL_SECONDS)

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
