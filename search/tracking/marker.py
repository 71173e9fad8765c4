"""`tracking.json`: which tracking server has all of a results folder's cells. Imports no mlflow.

It is written only after the last cell is there, so it holds until the ledger, the plan or the
server's address changes. With it a finished study is run again without importing mlflow.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from reports.encoding import facts_to_json
from search.atomic_files import write_text_atomically
from search.ledger.lines import LEDGER
from search.redaction import without_password
from search.results.folder import Manifest
from search.tracking.run_contents import late_files
from search.tracking.store import SQLITE

MARKER = "tracking.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Marker:
    """What one server has.

    Attributes:
        state: Digest of the server and of all that is there, see `state_digest`.
        complete: Whether the study was complete, so that no run of it is open there.
        study_run: MLflow's id of the study's run.
        artifacts: Address of that run's artifacts.
        report: Digest of the report that is attached to the run; empty if none is.
    """

    state: str
    complete: bool
    study_run: str
    artifacts: str
    report: str = ""


def is_synced(folder: Path, manifest: Manifest) -> bool:
    """Check the marker: whether the manifest's server has all of a finished study."""
    found = read_marker(folder, manifest)
    return found is not None and found.complete


def ledger_size(folder: Path) -> int:
    """Return the size of a folder's ledger in bytes; 0 = there is none."""
    path = folder / LEDGER
    return path.stat().st_size if path.exists() else 0


def read_marker(folder: Path, manifest: Manifest) -> Marker | None:
    """Read the marker of the manifest's server; None if that may lack anything of the folder."""
    # A deleted database is made anew by the next run: what it once had says nothing of the new one.
    database = Path(manifest.tracking_uri.removeprefix(SQLITE))
    if manifest.tracking_uri.startswith(SQLITE) and not database.exists():
        return None
    try:
        found = Marker(**json.loads((folder / MARKER).read_text(encoding="utf-8")))
    # An older version wrote other fields, or the file is damaged: the server is asked instead.
    except (OSError, ValueError, TypeError):
        return None
    now = state_digest(manifest, ledger_size(folder), late_files(folder, manifest))
    return found if found.state == now else None


def write_marker(folder: Path, marker: Marker) -> None:
    """Remember what a server has, by an atomic write."""
    write_text_atomically(folder / MARKER, json.dumps(asdict(marker), indent=1))


def state_digest(manifest: Manifest, ledger_bytes: int, files: Mapping[str, str]) -> str:
    """Digest a server and what it has: plan and facts, cells, and files.

    Args:
        manifest: Manifest with the plan and the server.
        ledger_bytes: Size of the ledger whose cells are all there, in bytes.
        files: Files that came late, see `run_contents.late_files`.
    """
    # A new password is not another server.
    server = without_password(manifest.tracking_uri)
    has = [server, facts_to_json(manifest.facts), manifest.digest, ledger_bytes, dict(files)]
    return hashlib.sha256(json.dumps(has, sort_keys=True).encode()).hexdigest()[:16]
