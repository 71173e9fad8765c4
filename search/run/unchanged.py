"""The fast path of `triptych run`: a finished study that is as the last run left it.

A run that leaves nothing undone writes `finished.json` into the results folder: digests of all that
decides what is there, and the answer of the report. As long as they hold, the same command parses
no ledger, and opens no tracking server and no report. Imports nothing that trains, searches or
draws.
"""

import functools
import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from search.atomic_files import write_text_atomically
from search.engine.options import RunOptions
from search.ledger.lines import LEDGER
from search.results.folder import Manifest, manifest_text
from search.results.layout import JOURNAL, PLAN, REPORT, STUDY
from search.results.plan_facts import manifest_of
from search.results.shared_information import MODALITIES
from search.results.unblinding_log import unblinding_sentences
from search.study.open import OpenedStudy
from search.tracking.marker import is_synced
from search.tracking.store import local_store
from spaces.study_file.writing import write_study

FINISHED = "finished.json"
PACKAGES = ("msa_core", "spaces", "reports", "search")


@dataclass(frozen=True, kw_only=True, slots=True)
class Finished:
    """Content of `finished.json`, of a run that left nothing undone.

    Attributes:
        made_from: Digest of all inputs, see `digest_inputs`.
        files: Path in the results folder -> size, and time of the last change in nanoseconds.
        cells: Number of cells of the plan.
        failed: Number of those that failed.
        ended: End of the run, for its exit code: `complete` or `incomplete`.
        said: Answer of the report and advice about failures, line by line.
    """

    made_from: str
    files: dict[str, list[int]]
    cells: int
    failed: int
    ended: str
    said: list[str]


def digest_inputs(opened: OpenedStudy, options: RunOptions) -> str:
    """Digest all that the results folder of a study is made from.

    The ledger, the plan with its claims and the versions of everything, the study file, the
    information of its modalities, the unblinding log, and the code that makes reports of them. To
    be called before the report is written.
    """
    manifest = _current_manifest(opened, options)
    digest = hashlib.sha256(manifest_text(manifest).encode())
    digest.update(json.dumps(unblinding_sentences(opened.folder, manifest.size)).encode())
    with suppress(FileNotFoundError):
        digest.update((opened.folder / MODALITIES).read_bytes())
    digest.update(write_study(opened.study, []).encode())
    digest.update(_code_digest().encode())
    # In pieces, and its lines unparsed: that is what makes this the fast path.
    with suppress(FileNotFoundError), (opened.folder / LEDGER).open("rb") as ledger:
        digest.update(hashlib.file_digest(ledger, "sha256").digest())
    return digest.hexdigest()


def write_finished(
    folder: Path, made_from: str, *, cells: int, failed: int, ended: str, said: Sequence[str]
) -> None:
    """Write `finished.json`; to be called last, when every other file is written.

    Args:
        folder: Results folder.
        made_from: Digest of the inputs before the report was written.
        cells: Number of cells of the plan.
        failed: Number of those that failed.
        ended: End of the run.
        said: Lines that the next run prints again.
    """
    kept = Finished(
        made_from=made_from,
        files=_file_states(folder),
        cells=cells,
        failed=failed,
        ended=ended,
        said=list(said),
    )
    with suppress(OSError):  # a full disk: the next run takes the slow path
        write_text_atomically(folder / FINISHED, json.dumps(asdict(kept), indent=1))


def nothing_to_do(opened: OpenedStudy, options: RunOptions) -> Finished | None:
    """Return how a study ended, if a run now would find and change nothing; None if it might.

    Args:
        opened: Study on one data set.
        options: Options of the run.
    """
    folder = opened.folder
    # Computed now, though it may not be needed yet: this process runs the code as it is now, and
    # files may be edited before the run ends, days later.
    _code_digest()
    kept = _read_finished(folder)
    if kept is None or opened.stale is not None or opened.dataset is None:
        return None
    if options.mirror is not None or (options.retry_failed and kept.failed):
        return None
    if kept.files != _file_states(folder) or not is_synced(
        folder, _current_manifest(opened, options)
    ):
        return None
    return kept if kept.made_from == digest_inputs(opened, options) else None


def print_nothing_to_do(kept: Finished, folder: Path, print_line: Callable[[str], None]) -> None:
    """Print how a study ended, and that there is nothing to do."""
    failed = f" ({kept.failed} of them failed)" if kept.failed else ""
    print_line(f"nothing to do: {kept.cells} cells are finished{failed}")
    for line in kept.said:
        print_line(line)
    print_line(f"report: {folder / REPORT / 'report.html'}")


def _current_manifest(opened: OpenedStudy, options: RunOptions) -> Manifest:
    assert opened.dataset is not None
    uri = options.tracking_uri or local_store(opened.folder)
    return manifest_of(opened.plan, opened.dataset, uri)


@functools.cache
def _code_digest() -> str:
    """Digest every file of Triptych: templates of reports, and all that is computed for them."""
    root = Path(__file__).parents[2]
    digest = hashlib.sha256()
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*")):
            if path.is_file() and path.suffix != ".pyc":
                digest.update(path.relative_to(root).as_posix().encode() + b"\0")
                digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _file_states(folder: Path) -> dict[str, list[int]]:
    """Return size and time of change of the files that a run would write again."""
    paths = [folder / PLAN, folder / STUDY, folder / JOURNAL]
    paths += [path for path in (folder / REPORT).rglob("*") if not path.name.startswith(".")]
    found = {}
    for path in sorted(paths):
        if path.is_file():
            stat = path.stat()
            found[path.relative_to(folder).as_posix()] = [stat.st_size, stat.st_mtime_ns]
    return found


def _read_finished(folder: Path) -> Finished | None:
    """Read `finished.json`; None if there is none of this version of Triptych."""
    try:
        content: Any = json.loads((folder / FINISHED).read_text(encoding="utf-8"))
        if set(content) != {field.name for field in fields(Finished)}:
            return None
        return Finished(**content)
    except (OSError, ValueError, TypeError):
        return None
