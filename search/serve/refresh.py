"""The report of a study, made again when its ledger has grown; never in the results folder."""

import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from reports.write import write_report
from search.errors import is_for_the_user
from search.ledger.lines import LEDGER
from search.results.folder import ledger_results
from search.results.history import format_duration
from search.results.layout import PLAN
from search.results.snapshot import LIVE, RunState
from search.results.tasks import task_of
from search.screen.status import DriverState, StudyStatus, status_of

POLL_SECONDS = 1.0  # between two polls of the folder
LEAST_SECONDS = 3.0  # between two reports, and
# so many times what the last one took: the report of a large study must not take the time of the
# training that it reports on.
REST_FACTOR = 5.0
WATCHED = (LEDGER, PLAN, "openings.jsonl", "modalities.json")  # what a report is made from

Stamp = tuple[tuple[int, int] | None, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """The report as it is served at one moment.

    Attributes:
        version: Number of the report; 0 = there is none yet.
        files: Path below the report's folder -> content of the file.
        embargoed: Whether the report shows no test metrics, as the study is unfinished.
        problem: Reason why there is no newer report; empty if nothing is wrong.
    """

    version: int = 0
    files: Mapping[str, bytes] = field(default_factory=dict)
    embargoed: bool = False
    problem: str = ""


class Refresher(threading.Thread):
    """The thread that makes the report again while the study runs.

    Attributes:
        page: Report to be served.
    """

    def __init__(
        self,
        folder: Path,
        *,
        poll_seconds: float = POLL_SECONDS,
        least_seconds: float = LEAST_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Create it; nothing is made yet.

        Args:
            folder: Results folder, which may not be there yet.
            poll_seconds: Time between two polls of the folder, in seconds.
            least_seconds: Least time from the end of a report to the next, in seconds.
            clock: Clock in seconds, replaced by tests.
        """
        super().__init__(name="refresh", daemon=True)
        self.page = Page()
        self._folder = folder
        self._poll_seconds, self._least_seconds = poll_seconds, least_seconds
        self._clock = clock
        self._state: dict[str, Any] = _waiting_state(folder)
        self._made_from: Stamp | None = None
        self._status_of: Stamp | None = None
        self._not_before = float("-inf")
        self._end = threading.Event()

    @property
    def state(self) -> dict[str, Any]:
        """The content of the bar, as plain values."""
        page = self.page
        return {
            **self._state,
            "version": page.version,
            "sealed": page.embargoed,
            "problem": page.problem,
        }

    def run(self) -> None:
        """Poll until `stop`."""
        while not self._end.is_set():
            self.poll_folder()
            self._end.wait(self._poll_seconds)

    def stop(self) -> None:
        """End; a report that is being made is given five seconds."""
        self._end.set()
        if self.is_alive():
            self.join(timeout=5.0)

    def poll_folder(self) -> None:
        """Read how far the study is, and make the report again if it is due."""
        self._poll_status()
        # Taken before the report is made: what is appended meanwhile makes the next one due.
        stamp = _file_stamps(self._folder, WATCHED)
        if stamp == self._made_from or stamp[0] is None or stamp[1] is None:
            return  # nothing new, or nothing yet
        begun = self._clock()
        if begun < self._not_before:
            return
        self._make_report()
        self._made_from = stamp
        done = self._clock()
        self._not_before = done + max(self._least_seconds, REST_FACTOR * (done - begun))

    def _make_report(self) -> None:
        try:
            results = ledger_results(self._folder)
            with tempfile.TemporaryDirectory(prefix="triptych-") as name:
                folder = Path(name) / "report"
                write_report(results, task_of(results.facts), folder, paper=False)
                files = {
                    path.relative_to(folder).as_posix(): path.read_bytes()
                    for path in sorted(folder.rglob("*"))
                    if path.is_file()
                }
        except Exception as error:  # the last report stays, and the page shows what is wrong
            known = is_for_the_user(error) or isinstance(error, OSError)
            problem = str(error) if known else f"{type(error).__name__}: {error}"
            self.page = replace(self.page, problem=problem)
            return
        self.page = Page(version=self.page.version + 1, files=files, embargoed=results.embargoed)

    def _poll_status(self) -> None:
        """Renew the bar's content: each time while a driver is alive, else only after a change."""
        stamp = _file_stamps(self._folder, (LEDGER, PLAN, LIVE, "lock"))
        if stamp == self._status_of and self._state["state"] != DriverState.RUNNING:
            return
        if stamp[1] is None:
            self._state = _waiting_state(self._folder)
            return
        try:
            self._state = _bar_state(status_of(self._folder))
        except Exception as error:  # the bar shows it; the thread must not end of it
            self._state = {**_waiting_state(self._folder), "sentence": str(error)}
        self._status_of = stamp


def _file_stamps(folder: Path, names: tuple[str, ...]) -> Stamp:
    """Return sizes and times of change of some files; None where there is none."""
    found: list[tuple[int, int] | None] = []
    for name in names:
        try:
            stat = (folder / name).stat()
            found.append((stat.st_size, stat.st_mtime_ns))
        except OSError:
            found.append(None)
    return tuple(found)


def _waiting_state(folder: Path) -> dict[str, Any]:
    return {
        "study": folder.name,
        "state": "nothing yet",
        "done": 0,
        "total": 0,
        "failed": 0,
        "sentence": "nothing has been run yet; this page fills itself when it is",
    }


def _bar_state(status: StudyStatus) -> dict[str, Any]:
    snapshot = status.snapshot
    is_done = status.state == DriverState.NOT_RUNNING and 0 < snapshot.total == snapshot.done
    parts = ["finished" if is_done else status.state]
    if status.state == DriverState.RUNNING and snapshot.state != RunState.RUNNING:
        parts = [f"running, {snapshot.state}"]
    if status.state == DriverState.RUNNING and snapshot.seconds_left is not None:
        parts.append(f"about {format_duration(snapshot.seconds_left)} to go")
    if snapshot.failed:
        parts.append(f"{snapshot.failed} failed")
    if snapshot.reason and status.state == DriverState.RUNNING:
        parts.append(snapshot.reason)
    return {
        "study": snapshot.study,
        "state": status.state,
        "done": snapshot.done,
        "total": snapshot.total,
        "failed": snapshot.failed,
        "sentence": ", ".join(parts),
    }
