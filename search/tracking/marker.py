"""`tracking.json`: which tracking server has all of a results folder's cells. Imports no mlflow.

It is written only after the last cell is there, so it holds until the ledger, the plan or the
server's address changes. With it a finished study is run again without importing mlflow.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from reports.encoding import facts_to_json
from search.atomic_files import write_text_atomically
from search.ledger.lines import LEDGER
from search.redaction import without_password
from search.results.folder import Manifest
from search.tracking.run_contents import digest_files, late_files

MARKER = "tracking.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Marker:
    """What one server has.

    Attributes:
        plan: Digest of the plan and of its facts.
        ledger_bytes: Size of the ledger whose cells are all there, in bytes.
        complete: Whether the study was complete, so that no run of it is open there.
        study_run: MLflow's id of the study's run.
        artifacts: Address of that run's artifacts.
        report: Digest of the report that is attached to the run; empty if none is.
        files: Digest of the study's files that are there, see `run_contents.late_files`.
    """

    plan: str
    ledger_bytes: int
    complete: bool
    study_run: str
    artifacts: str
    report: str = ""
    files: str = ""


def is_synced(folder: Path, manifest: Manifest) -> bool:
    """Check the marker: whether the manifest's server has all of a finished study."""
    found = read_marker(folder, manifest)
    return (
        found is not None
        and found.complete
        and found.ledger_bytes == ledger_size(folder)
        and found.files == digest_files(late_files(folder, manifest))
    )


def ledger_size(folder: Path) -> int:
    """Return the size of a folder's ledger in bytes; 0 = there is none."""
    path = folder / LEDGER
    return path.stat().st_size if path.exists() else 0


def read_marker(folder: Path, manifest: Manifest) -> Marker | None:
    """Read what the manifest's server has of the manifest's plan; None if nothing is known."""
    # A deleted database is made anew by the next run: what it once had says nothing of the new one.
    if _is_lost(manifest.tracking_uri):
        return None
    try:
        found = Marker(**_read_markers(folder)[_server_key(manifest)])
    # An older version wrote other fields, or the file is damaged: the server is asked instead.
    except (KeyError, TypeError):
        return None
    return found if found.plan == plan_digest(manifest) else None


def write_marker(folder: Path, manifest: Manifest, marker: Marker) -> None:
    """Remember what the manifest's server has, by an atomic write."""
    content = {**_read_markers(folder), _server_key(manifest): asdict(marker)}
    write_text_atomically(folder / MARKER, json.dumps(content, indent=1))


def mark_report(folder: Path, manifest: Manifest, digest: str) -> None:
    """Remember which report is attached to the study's run."""
    marker = read_marker(folder, manifest)
    if marker is not None:
        write_marker(folder, manifest, replace(marker, report=digest))


def plan_digest(manifest: Manifest) -> str:
    """Return a digest of the plan and of its facts, which are kept with the study's run too."""
    text = facts_to_json(manifest.facts) + manifest.digest
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _server_key(manifest: Manifest) -> str:
    # A new password is not another server; and the file must hold no address with a password.
    uri = without_password(manifest.tracking_uri)
    return hashlib.sha256(uri.encode()).hexdigest()[:16]


def _is_lost(uri: str) -> bool:
    """Check whether the address is that of a database file that is gone."""
    return uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).exists()


def _read_markers(folder: Path) -> Mapping[str, dict[str, Any]]:
    try:
        content = json.loads((folder / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
