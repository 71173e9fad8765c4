"""The written report, attached to the study's run in MLflow."""

import hashlib
import shutil
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from search.results.folder import Manifest, read_manifest
from search.results.layout import REPORT
from search.tracking.marker import read_marker, write_marker
from search.tracking.store import open_client
from search.tracking.sync_loop import TrackingError, describe_error

MOST_SECONDS = 60.0  # for attaching a report at the end of a run


def attach_in_time(folder: Path, tracking_uri: str | None = None) -> Exception | None:
    """Attach the report of a results folder at the end of a run, within a minute.

    Args:
        folder: Results folder with a written report.
        tracking_uri: Server, with its password if it has one; None = that of the folder.

    Returns:
        The error; None if there was none.
    """
    failure: list[Exception] = []

    def attach() -> None:
        try:
            manifest = read_manifest(folder)
            if tracking_uri is not None:
                manifest = replace(manifest, tracking_uri=tracking_uri)
            attach_report(folder, manifest)
        except Exception as error:  # no report is worth a failed run
            failure.append(TrackingError(describe_error(error)))

    # A daemon: where a server hangs, the command ends all the same.
    thread = threading.Thread(target=attach, name="report", daemon=True)
    thread.start()
    thread.join(MOST_SECONDS)
    if thread.is_alive():
        return TrackingError("the tracking server did not take it in time")
    return failure[0] if failure else None


def attach_report(folder: Path, manifest: Manifest) -> None:
    """Attach the report of a results folder to the study's run, if it is not there.

    Where MLflow is behind the ledger, nothing is attached: `triptych sync` does that later.

    Raises:
        Exception: whatever a server or its client raises.
    """
    marker, digest = read_marker(folder, manifest), _report_digest(folder)
    files = _report_files(folder)
    if marker is None or not files or marker.report == digest:
        return
    artifacts = urlsplit(marker.artifacts)
    if artifacts.scheme == "file":  # importing mlflow would take seconds, at the end of every run
        _copy_files(files, folder / REPORT, Path(url2pathname(artifacts.path)) / REPORT)
    else:
        client = open_client(manifest.tracking_uri)
        for file in files:
            within = file.parent.relative_to(folder).as_posix()
            client.log_artifact(marker.study_run, str(file), within)
    write_marker(folder, replace(marker, report=digest))


def has_report(folder: Path, manifest: Manifest) -> bool:
    """Check the marker: whether the report as it is now is attached to the study's run."""
    marker = read_marker(folder, manifest)
    return marker is not None and marker.report == _report_digest(folder)


def _copy_files(files: Sequence[Path], here: Path, there: Path) -> None:
    for file in files:
        target = there / file.relative_to(here)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
    # A figure of an earlier report must not stay beside the new one.
    for old in [path for path in there.rglob("*") if path.is_file()]:
        if here / old.relative_to(there) not in files:
            old.unlink()


def _report_files(folder: Path) -> list[Path]:
    """List the files of the report and of the folders in it, but those that are being written."""
    return sorted(
        path
        for path in (folder / REPORT).rglob("*")
        if path.is_file() and not path.name.startswith(".")
    )


def _report_digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for file in _report_files(folder):
        name = file.relative_to(folder / REPORT).as_posix()
        digest.update(name.encode() + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:16]
