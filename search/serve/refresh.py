"""The report of a study, made again when its ledger has grown; never in the results folder."""

import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from msa_core.metrics import SCHEMES
from reports.write import write_report
from search.errors import is_for_the_user
from search.ledger.ledger import LEDGER
from search.results.folder import PLAN, ledger_results
from search.results.history import duration
from search.results.snapshot import LIVE, RUNNING
from search.screen.status import NOT_RUNNING, Status, status_of

LOOK_SECONDS = 1.0  # between two looks at the folder
LEAST_SECONDS = 3.0  # between two reports,
REST = 5.0  # and so many times what the last one took
WATCHED = (LEDGER, PLAN, "openings.jsonl", "modalities.json")  # what a report is made from

Stamp = tuple[tuple[int, int] | None, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """What is served at one moment.

    Attributes:
        version: of the report; 0 = there is none yet.
        files: path below the report's folder -> its content.
        sealed: whether the report shows no test metrics, as the study is unfinished.
        problem: why there is no newer report; empty if nothing is wrong.
    """

    version: int = 0
    files: Mapping[str, bytes] = field(default_factory=dict)
    sealed: bool = False
    problem: str = ""


class Refresher:
    """Makes the report again while the study runs, in a thread of its own."""

    def __init__(
        self,
        folder: Path,
        *,
        look_seconds: float = LOOK_SECONDS,
        least_seconds: float = LEAST_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is made yet.

        Args:
            folder: of the results; it may not be there yet.
            look_seconds: between two looks at it.
            least_seconds: between the end of a report and the beginning of the next.
            clock: for tests.
        """
        self.folder = folder
        self._look_seconds, self._least_seconds = look_seconds, least_seconds
        self._clock = clock
        self._page = Page()
        self._state: dict[str, Any] = _waiting(folder)
        self._made_from: Stamp | None = None
        self._status_of: Stamp | None = None
        self._not_before = float("-inf")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="refresh", daemon=True)

    @property
    def page(self) -> Page:
        """What is to be served."""
        return self._page

    @property
    def state(self) -> dict[str, Any]:
        """What the bar shows, as JSON."""
        page = self._page
        return {
            **self._state,
            "version": page.version,
            "sealed": page.sealed,
            "problem": page.problem,
        }

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """End; a report that is being made is given some seconds."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5.0)

    def look(self) -> None:
        """See how far the study is, and make the report again if it is due."""
        self._look_at_status()
        stamp = _stamp(self.folder, WATCHED)
        if stamp == self._made_from or stamp[0] is None or stamp[1] is None:
            return  # nothing new, or nothing yet
        begun = self._clock()
        if begun < self._not_before:
            return
        self._make()
        self._made_from = stamp
        done = self._clock()
        self._not_before = done + max(self._least_seconds, REST * (done - begun))

    def _work(self) -> None:
        while not self._stop.is_set():
            self.look()
            self._stop.wait(self._look_seconds)

    def _make(self) -> None:
        try:
            results = ledger_results(self.folder)
            with tempfile.TemporaryDirectory(prefix="triptych-") as name:
                folder = Path(name) / "report"
                write_report(results, SCHEMES[results.facts.scheme], folder, paper=False)
                files = {
                    path.relative_to(folder).as_posix(): path.read_bytes()
                    for path in sorted(folder.rglob("*"))
                    if path.is_file()
                }
        except Exception as error:  # whatever is wrong, the last report stays and the page says so
            known = is_for_the_user(error) or isinstance(error, OSError)
            self._page = Page(
                version=self._page.version,
                files=self._page.files,
                sealed=self._page.sealed,
                problem=str(error) if known else f"{type(error).__name__}: {error}",
            )
            return
        self._page = Page(version=self._page.version + 1, files=files, sealed=results.sealed)

    def _look_at_status(self) -> None:
        """What the bar shows; of a driver that is alive each time, else only after a change."""
        stamp = _stamp(self.folder, (LEDGER, PLAN, LIVE, "lock"))
        if stamp == self._status_of and self._state["state"] != RUNNING:
            return
        if stamp[1] is None:
            self._state = _waiting(self.folder)
            return
        try:
            self._state = _state(status_of(self.folder))
        except Exception as error:  # the bar says it; the thread must not end of it
            self._state = {**_waiting(self.folder), "sentence": str(error)}
        self._status_of = stamp


def _stamp(folder: Path, names: tuple[str, ...]) -> Stamp:
    """Sizes and times of some files; None where there is none."""
    found: list[tuple[int, int] | None] = []
    for name in names:
        try:
            stat = (folder / name).stat()
            found.append((stat.st_size, stat.st_mtime_ns))
        except OSError:
            found.append(None)
    return tuple(found)


def _waiting(folder: Path) -> dict[str, Any]:
    return {
        "study": folder.name,
        "state": "nothing yet",
        "done": 0,
        "total": 0,
        "failed": 0,
        "sentence": "nothing has been run yet; this page fills itself when it is",
    }


def _state(status: Status) -> dict[str, Any]:
    snapshot = status.snapshot
    is_done = status.state == NOT_RUNNING and 0 < snapshot.total == snapshot.done
    parts = ["finished" if is_done else status.state]
    if status.state == RUNNING and snapshot.state != RUNNING:
        parts = [f"running, {snapshot.state}"]
    if status.state == RUNNING and snapshot.seconds_left is not None:
        parts.append(f"about {duration(snapshot.seconds_left)} to go")
    if snapshot.failed:
        parts.append(f"{snapshot.failed} failed")
    if snapshot.reason and status.state == RUNNING:
        parts.append(snapshot.reason)
    return {
        "study": snapshot.study,
        "state": status.state,
        "done": snapshot.done,
        "total": snapshot.total,
        "failed": snapshot.failed,
        "sentence": ", ".join(parts),
    }
