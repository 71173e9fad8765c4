"""`tracking.json`: which tracking server has all of a results folder's cells. Imports no mlflow.

It is written only after the last cell is there, so what it says holds until the ledger, the plan
or the server's address changes. With it a finished study is run again in no time.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from reports.encoding import facts_to_json
from search.ledger.ledger import LEDGER
from search.redaction import without_password
from search.results.folder import Manifest
from search.tracking.study_files import digest_of, late_files

MARKER = "tracking.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Marker:
    """What one server has.

    Attributes:
        plan: digest of the plan and of all that is said of it.
        ledger_bytes: of the ledger, all of whose cells are there.
        complete: whether the study was, so that nothing of it is open there.
        study_run: the study's run.
        artifacts: where that run's artifacts are.
        report: digest of the report that is attached to it; empty if none is.
        files: digest of the study's files that are there, see `study_files.late_files`.
    """

    plan: str
    ledger_bytes: int
    complete: bool
    study_run: str
    artifacts: str
    report: str = ""
    files: str = ""


def is_synced(folder: Path, manifest: Manifest) -> bool:
    """Whether the tracking server of the manifest has all of a finished study, for all we know."""
    found = read_marker(folder, manifest)
    path = folder / LEDGER
    return (
        found is not None
        and found.complete
        and found.ledger_bytes == (path.stat().st_size if path.exists() else 0)
        and found.files == digest_of(late_files(folder, manifest))
    )


def read_marker(folder: Path, manifest: Manifest) -> Marker | None:
    """What the manifest's server has of the manifest's plan; None if nothing is known."""
    if _is_lost(manifest.tracking_uri):
        return None
    try:
        found = Marker(**_all(folder)[_server(manifest)])
    except (KeyError, TypeError):
        return None
    return found if found.plan == plan_digest(manifest) else None


def write_marker(folder: Path, manifest: Manifest, marker: Marker) -> None:
    """Remember what the manifest's server has; whole or not at all."""
    path = folder / MARKER
    part = path.with_name(f"{MARKER}.{os.getpid()}.tmp")
    content = {**_all(folder), _server(manifest): asdict(marker)}
    part.write_text(json.dumps(content, indent=1), encoding="utf-8")
    part.replace(path)


def mark_report(folder: Path, manifest: Manifest, digest: str) -> None:
    """Remember which report is attached."""
    marker = read_marker(folder, manifest)
    if marker is not None:
        write_marker(folder, manifest, replace(marker, report=digest))


def plan_digest(manifest: Manifest) -> str:
    """Of the plan and of what is only said of it, which is kept with the study's run too."""
    text = facts_to_json(manifest.facts) + manifest.digest
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _server(manifest: Manifest) -> str:
    uri = without_password(manifest.tracking_uri)
    return hashlib.sha256(uri.encode()).hexdigest()[:16]


def _is_lost(uri: str) -> bool:
    """Whether it is a database file, and gone."""
    return uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).exists()


def _all(folder: Path) -> Mapping[str, dict[str, Any]]:
    try:
        content = json.loads((folder / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
