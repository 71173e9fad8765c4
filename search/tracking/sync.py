"""Synchronising a tracking server with a results folder: during a run, or afterwards."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from search.ledger.errors import LedgerError
from search.ledger.ledger import read_ledger
from search.ledger.lock import Lock
from search.redaction import without_password
from search.results.folder import Manifest, measure_completion, read_manifest
from search.tracking.marker import Marker, read_marker, state_digest, write_marker
from search.tracking.report import attach_report
from search.tracking.sync_loop import (
    PATIENCE,
    DriverView,
    LedgerSource,
    SyncLoop,
    TrackingError,
    describe_error,
)
from search.tracking.tracker import Tracker

LOCK_FOLDER = "tracking"
POLL_SECONDS = 0.5  # between two tries to take the lock


@dataclass(frozen=True, kw_only=True, slots=True)
class SyncResult:
    """What `triptych sync` did.

    Attributes:
        tracking_uri: Address of the server, without a password.
        written: Number of cells that the server lacked.
        there: Number of cells that it had.
        failure: Reason why it is still behind the ledger; empty if it is not.
    """

    tracking_uri: str
    written: int
    there: int
    failure: str = ""


def sync_study(
    folder: Path,
    tracking_uri: str | None = None,
    *,
    patience: float = PATIENCE,
) -> SyncResult:
    """Write to a tracking server whatever it lacks of a results folder, and the report.

    Args:
        folder: Results folder.
        tracking_uri: Server; None = that of the run.
        patience: Time without success after which it gives up, in seconds.

    Raises:
        ResultsError: no results there.
        LedgerError: the ledger cannot be read.
    """
    manifest = read_manifest(folder)
    if tracking_uri is not None:
        manifest = replace(manifest, tracking_uri=tracking_uri)
    standing = measure_completion(manifest, read_ledger(folder))
    driver = DriverView(standing.complete)
    failure = ""
    try:
        write_missing_cells(folder, manifest, driver, patience)
        attach_report(folder, manifest)
    except Exception as error:  # of a server, its client, or a full disk
        failure = describe_error(error)
    return SyncResult(
        tracking_uri=without_password(manifest.tracking_uri),
        written=driver.written,
        there=max(0, len(standing.cells) - driver.written),
        failure=failure,
    )


def write_missing_cells(
    folder: Path, manifest: Manifest, driver: DriverView, patience: float = PATIENCE
) -> None:
    """Write what the server lacks until the driver closes, and remember that it has everything.

    Args:
        folder: Results folder.
        manifest: Manifest with the plan and the server.
        driver: Driver, which determines when to end.
        patience: Time without success after which it gives up once the driver closes, in seconds.

    Raises:
        TrackingError: the server was away at the end, or refused cells.
    """
    with _hold_write_lock(folder, driver):
        loop = SyncLoop(
            lambda: Tracker(manifest, folder),
            LedgerSource(folder, manifest),
            driver,
            patience=patience,
        )
        tracker = loop.run()
        if tracker is None:
            return
        known = read_marker(folder, manifest)
        marker = Marker(
            state=state_digest(manifest, loop.ledger_bytes, tracker.files),
            complete=driver.complete,
            study_run=tracker.study_run,
            artifacts=tracker.artifact_uri(),
        )
        # Where nothing was missing, the report that is there is remembered.
        if known is None or replace(known, report="") != marker:
            write_marker(folder, marker)


@contextmanager
def _hold_write_lock(folder: Path, driver: DriverView) -> Iterator[None]:
    """Wait until no other process writes the cells of this folder, and keep others out."""
    # The writer of a killed run may still be at its last cell. Two at once would both find a cell
    # missing, and make two runs of it.
    waited = 0.0
    while True:
        try:
            lock = Lock(folder / LOCK_FOLDER)
            break
        except LedgerError as error:
            if driver.abandoned or (driver.closing and waited > PATIENCE):
                raise TrackingError(
                    f"another process is writing the cells of {folder} ({error})"
                ) from None
            driver.pause(POLL_SECONDS)
            waited += POLL_SECONDS if driver.closing else 0.0
    try:
        yield
    finally:
        lock.release()
