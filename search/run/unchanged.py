"""Whether a finished study is as it was left: then running it again is a matter of saying so.

A run that leaves nothing undone writes `finished.json` into the results folder: digests of all that
decides what is there, and what the report answers. As long as they hold, the same command opens no
ledger, no tracking server and no report. Imports nothing that trains, searches or draws.
"""

import functools
import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from search.atomic_files import write_whole
from search.engine.options import RunOptions
from search.ledger.ledger import LEDGER
from search.results.facts import manifest_of
from search.results.folder import JOURNAL, PLAN, REPORT, STUDY, Manifest, manifest_text
from search.results.shared_information import MODALITIES
from search.results.unblinding_log import opening_sentences
from search.study.open import OpenedStudy
from search.tracking.marker import is_synced
from search.tracking.store import local_store
from spaces.study_file.writing import write_study

FINISHED = "finished.json"
PACKAGES = ("msa_core", "spaces", "reports", "search")


@dataclass(frozen=True, kw_only=True, slots=True)
class Finished:
    """What a run left that had nothing more to do.

    Attributes:
        made_from: see `made_from`.
        files: path in the results folder -> size, and time of the last change in nanoseconds.
        cells: of the plan.
        failed: those of them that failed.
        ended: what the run came to, for its exit code.
        said: what the report answers, and what is to be done about failures, line by line.
    """

    made_from: str
    files: dict[str, list[int]]
    cells: int
    failed: int
    ended: str
    said: list[str]


def made_from(opened: OpenedStudy, options: RunOptions) -> str:
    """Names all that the results folder of a study is made from.

    The ledger, the plan with its claims and the versions of everything, the study file, what is
    known of its modalities and of early looks at test metrics, and the code that makes reports of
    them. To be asked before the report is written: what another run
    adds to the ledger meanwhile is then not taken for reported.
    """
    manifest = _manifest(opened, options)
    digest = hashlib.sha256(manifest_text(manifest).encode())
    digest.update(json.dumps(opening_sentences(opened.folder, manifest.size)).encode())
    with suppress(FileNotFoundError):
        digest.update((opened.folder / MODALITIES).read_bytes())
    digest.update(write_study(opened.study, []).encode())
    digest.update(_code().encode())
    with suppress(FileNotFoundError), (opened.folder / LEDGER).open("rb") as ledger:
        digest.update(hashlib.file_digest(ledger, "sha256").digest())
    return digest.hexdigest()


def remember(
    folder: Path, made_from: str, *, cells: int, failed: int, ended: str, said: Sequence[str]
) -> None:
    """Keep that a run has nothing more to do; to be called last, when every file is written.

    Args:
        folder: of the results.
        made_from: as it was before the report was written.
        cells: of the plan.
        failed: those of them that failed.
        ended: what the run came to.
        said: what is worth saying again.
    """
    kept = Finished(
        made_from=made_from,
        files=_files(folder),
        cells=cells,
        failed=failed,
        ended=ended,
        said=list(said),
    )
    with suppress(OSError):  # a full disk: the next run looks for itself
        write_whole(folder / FINISHED, json.dumps(asdict(kept), indent=1))


def nothing_to_do(opened: OpenedStudy, options: RunOptions) -> Finished | None:
    """What a study came to, if a run now would find and change nothing; None if it might.

    Args:
        opened: on one data set.
        options: of the run.
    """
    folder = opened.folder
    _code()
    kept = _read(folder)
    if kept is None or opened.stale is not None or opened.dataset is None:
        return None
    if options.mirror is not None or (options.retry_failed and kept.failed):
        return None
    if kept.files != _files(folder) or not is_synced(folder, _manifest(opened, options)):
        return None
    return kept if kept.made_from == made_from(opened, options) else None


def say_nothing_to_do(kept: Finished, folder: Path, say: Callable[[str], None]) -> None:
    """Say what a study came to, and that there is nothing to do."""
    failed = f" ({kept.failed} of them failed)" if kept.failed else ""
    say(f"nothing to do: {kept.cells} cells are finished{failed}")
    for line in kept.said:
        say(line)
    say(f"report: {folder / REPORT / 'report.html'}")


def _manifest(opened: OpenedStudy, options: RunOptions) -> Manifest:
    assert opened.dataset is not None
    uri = options.tracking_uri or local_store(opened.folder)
    return manifest_of(opened.plan, opened.dataset, uri)


@functools.cache
def _code() -> str:
    """Digest of every file of Triptych: templates of reports, and all that is computed for them.

    As the files were when a process first asked, which is before it has run for days.
    """
    root = Path(__file__).parents[2]
    digest = hashlib.sha256()
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*")):
            if path.is_file() and path.suffix != ".pyc":
                digest.update(path.relative_to(root).as_posix().encode() + b"\0")
                digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _files(folder: Path) -> dict[str, list[int]]:
    """The files that a run would write again, as they are."""
    paths = [folder / PLAN, folder / STUDY, folder / JOURNAL]
    paths += [path for path in (folder / REPORT).rglob("*") if not path.name.startswith(".")]
    found = {}
    for path in sorted(paths):
        if path.is_file():
            stat = path.stat()
            found[path.relative_to(folder).as_posix()] = [stat.st_size, stat.st_mtime_ns]
    return found


def _read(folder: Path) -> Finished | None:
    try:
        content: Any = json.loads((folder / FINISHED).read_text(encoding="utf-8"))
        if set(content) != {field.name for field in fields(Finished)}:
            return None
        return Finished(**content)
    except (OSError, ValueError, TypeError):
        return None
