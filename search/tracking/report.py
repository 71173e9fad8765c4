"""The written report, attached to the study's run in MLflow."""

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from search.folder import REPORT, Manifest, read_manifest
from search.tracking.background import ask_process
from search.tracking.marker import mark_report, read_marker
from search.tracking.tracker import open_client
from search.tracking.upkeep import TrackingError, one_line

MOST_SECONDS = 60.0  # for attaching a report at the end of a run


def attach_report(folder: Path, tracking_uri: str | None = None) -> Exception | None:
    """Attach the report of a results folder to the study's run, if it is not there.

    Where MLflow is behind the ledger, nothing is attached: `triptych sync` does that too.

    Args:
        folder: of the results, with a written report.
        tracking_uri: the server, with its password if it has one; None = as the folder knows it.

    Returns:
        What went wrong, within a minute; None if nothing did.
    """
    try:
        manifest = read_manifest(folder)
        if tracking_uri is not None:
            manifest = replace(manifest, tracking_uri=tracking_uri)
        if not _is_due(folder, manifest):
            return None
        if not _copied(folder, manifest):  # the server must be asked, through mlflow
            ask_process(folder, manifest.tracking_uri, MOST_SECONDS)
    except Exception as error:  # no report is worth a failed run
        return TrackingError(one_line(error))
    return None


def attach_to_server(folder: Path, manifest: Manifest) -> None:
    """The same, through mlflow and in this process.

    Raises:
        Exception: whatever a server or its client raises.
    """
    marker = read_marker(folder, manifest)
    if marker is None or not _is_due(folder, manifest):
        return
    client = open_client(manifest.tracking_uri)
    for file in _files(folder):
        client.log_artifact(marker.study_run, str(file), REPORT)
    mark_report(folder, manifest, _digest(_files(folder)))


def _copied(folder: Path, manifest: Manifest) -> bool:
    """Attach it by copying, where the artifacts are files here: importing mlflow takes seconds."""
    marker = read_marker(folder, manifest)
    artifacts = urlsplit(marker.artifacts) if marker is not None else None
    if artifacts is None or artifacts.scheme != "file":
        return False
    there = Path(url2pathname(artifacts.path)) / REPORT
    there.mkdir(parents=True, exist_ok=True)
    files = _files(folder)
    for file in files:
        shutil.copyfile(file, there / file.name)
    for old in {path.name for path in there.iterdir()} - {file.name for file in files}:
        (there / old).unlink()
    mark_report(folder, manifest, _digest(files))
    return True


def _is_due(folder: Path, manifest: Manifest) -> bool:
    """Whether there is a report, and a study's run without it."""
    marker, files = read_marker(folder, manifest), _files(folder)
    return marker is not None and bool(files) and marker.report != _digest(files)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in (folder / REPORT).glob("[!.]*") if path.is_file())


def _digest(files: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode() + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:16]
