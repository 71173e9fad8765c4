"""The written report, attached to the study's run in MLflow."""

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from search.results.folder import Manifest, read_manifest
from search.results.layout import REPORT
from search.tracking.background import attach_in_process
from search.tracking.marker import mark_report, read_marker
from search.tracking.store import open_client
from search.tracking.sync_loop import TrackingError, describe_error

MOST_SECONDS = 60.0  # for attaching a report at the end of a run


def attach_report(folder: Path, tracking_uri: str | None = None) -> Exception | None:
    """Attach the report of a results folder to the study's run, if it is not there.

    Where MLflow is behind the ledger, nothing is attached: `triptych sync` does that later.

    Args:
        folder: Results folder with a written report.
        tracking_uri: Server, with its password if it has one; None = that of the folder.

    Returns:
        The error, within a minute; None if there was none.
    """
    try:
        manifest = read_manifest(folder)
        if tracking_uri is not None:
            manifest = replace(manifest, tracking_uri=tracking_uri)
        if not _is_due(folder, manifest):
            return None
        if not _attach_by_copy(folder, manifest):  # the server must be asked, through mlflow
            attach_in_process(folder, manifest.tracking_uri, MOST_SECONDS)
    except Exception as error:  # no report is worth a failed run
        return TrackingError(describe_error(error))
    return None


def attach_to_server(folder: Path, manifest: Manifest) -> None:
    """Attach the report through mlflow, in this process.

    Raises:
        Exception: whatever a server or its client raises.
    """
    marker = read_marker(folder, manifest)
    if marker is None or not _is_due(folder, manifest):
        return
    client = open_client(manifest.tracking_uri)
    for file in _report_files(folder):
        within = file.parent.relative_to(folder).as_posix()
        client.log_artifact(marker.study_run, str(file), within)
    mark_report(folder, manifest, _report_digest(folder))


def _attach_by_copy(folder: Path, manifest: Manifest) -> bool:
    """Attach the report by copying its files; False where the artifacts are not files here."""
    # Importing mlflow would take seconds, at the end of every run.
    marker = read_marker(folder, manifest)
    artifacts = urlsplit(marker.artifacts) if marker is not None else None
    if artifacts is None or artifacts.scheme != "file":
        return False
    there = Path(url2pathname(artifacts.path)) / REPORT
    files = {file.relative_to(folder / REPORT): file for file in _report_files(folder)}
    for name, file in files.items():
        (there / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, there / name)
    # A figure of an earlier report must not stay beside the new one.
    for old in [path for path in there.rglob("*") if path.is_file()]:
        if old.relative_to(there) not in files:
            old.unlink()
    mark_report(folder, manifest, _report_digest(folder))
    return True


def _is_due(folder: Path, manifest: Manifest) -> bool:
    """Check whether there is a report, and a study's run that lacks it."""
    marker = read_marker(folder, manifest)
    return (
        marker is not None
        and bool(_report_files(folder))
        and marker.report != _report_digest(folder)
    )


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
