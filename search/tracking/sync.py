"""Bring a tracking server up to date with a results folder: during a run, or afterwards."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from search.ledger.errors import LedgerError
from search.ledger.ledger import read_ledger
from search.ledger.lock import Lock
from search.redaction import without_password
from search.results.folder import Manifest, read_manifest, standing_of
from search.tracking.marker import Marker, plan_digest, read_marker, write_marker
from search.tracking.report import attach_to_server
from search.tracking.tracker import Tracker
from search.tracking.upkeep import PATIENCE, Orders, Source, TrackingError, Upkeep, one_line

LOCK_FOLDER = "tracking"
POLL = 0.5  # seconds


@dataclass(frozen=True, kw_only=True, slots=True)
class Synced:
    """What `triptych sync` did.

    Attributes:
        tracking_uri: the server.
        written: cells that it did not have.
        there: cells that it had.
        failure: why it is still behind the ledger; empty if it is not.
    """

    tracking_uri: str
    written: int
    there: int
    failure: str = ""


def sync_study(
    folder: Path,
    tracking_uri: str | None = None,
    *,
    progress: Callable[[int], None] = lambda _: None,
    patience: float = PATIENCE,
) -> Synced:
    """Write to a tracking server whatever it lacks of a results folder, and the report.

    Args:
        folder: of the results.
        tracking_uri: the server; None = the one of the run.
        progress: hears how many cells are written.
        patience: seconds without success after which it gives up.

    Raises:
        ResultsError: no results there.
        LedgerError: the ledger cannot be read.
    """
    manifest = read_manifest(folder)
    if tracking_uri is not None:
        manifest = replace(manifest, tracking_uri=tracking_uri)
    standing = standing_of(manifest, read_ledger(folder))
    orders = AtOnce(standing.complete, progress)
    failure = ""
    try:
        write_all(folder, manifest, orders, patience)
        attach_to_server(folder, manifest)
    except Exception as error:  # a server's, its client's, or that of a full disk
        failure = one_line(error)
    return Synced(
        tracking_uri=without_password(manifest.tracking_uri),
        written=orders.written,
        there=max(0, len(standing.cells) - orders.written),
        failure=failure,
    )


def write_all(folder: Path, manifest: Manifest, orders: Orders, patience: float = PATIENCE) -> None:
    """Write what the server lacks until the orders end it, and remember that it has everything.

    Args:
        folder: of the results.
        manifest: the plan and the server.
        orders: when to end.
        patience: seconds without success after which it gives up once it is to end.

    Raises:
        TrackingError: the server was away at the end, or refused cells.
    """
    with _alone(folder, orders):
        upkeep = Upkeep(
            lambda: Tracker(manifest, folder),
            Source.of(folder, manifest),
            orders,
            patience=patience,
        )
        tracker = upkeep.run()
        if tracker is None:
            return
        known = read_marker(folder, manifest)
        same_run = known is not None and known.study_run == tracker.study_run
        marker = Marker(
            plan=plan_digest(manifest),
            ledger_bytes=upkeep.ledger_size,
            complete=orders.complete,
            study_run=tracker.study_run,
            artifacts=tracker.artifact_uri(),
            report=known.report if known is not None and same_run else "",
            files=tracker.files,
        )
        write_marker(folder, manifest, marker)


class AtOnce:
    """Orders to write what there is, and no more."""

    closing, gone = True, False

    def __init__(self, complete: bool, heard: Callable[[int], None]) -> None:
        self.complete = complete
        self.written = 0
        self._heard = heard

    def rest(self, seconds: float) -> None:
        """As in `Orders`."""
        time.sleep(seconds)

    def wait_for_news(self) -> None:
        """There is none to come."""

    def progress(self, written: int) -> None:
        """As in `Orders`."""
        self.written = written
        self._heard(written)


@contextmanager
def _alone(folder: Path, orders: Orders) -> Iterator[None]:
    """One writer at a time: that of a killed run may still be at its last cell."""
    waited = 0.0
    while True:
        try:
            lock = Lock(folder / LOCK_FOLDER)
            break
        except LedgerError as error:
            if orders.gone or (orders.closing and waited > PATIENCE):
                raise TrackingError(
                    f"another process is writing the cells of {folder} ({error})"
                ) from None
            orders.rest(POLL)
            waited += POLL if orders.closing else 0.0
    try:
        yield
    finally:
        lock.release()
