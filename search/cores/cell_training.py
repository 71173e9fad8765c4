"""One training in a process of its own, from report to report, until it has an outcome."""

import math
import shutil
import tempfile
import time
import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from search.cores.checkpoint_folder import Checkpoint, CheckpointFolder, Report, read_checkpoint
from search.cores.code_host import CellProcess, describe_end
from spaces.failures import FailureKind, last_lines
from spaces.fields.declaration import ConfigError

SNAPSHOT_SECONDS = 5.0  # of training between two packed checkpoints
STOP_SECONDS = 10.0  # that a training has to end after run.Stop
MOST_LOG, MOST_REASON = 16_000, 1_000  # characters of a failed cell's
OUTPUT_SECONDS = 0.5  # that the last output of a process may take
# (folder of the cell) -> its process
StartCell = Callable[[Path], CellProcess]
Arrays = Mapping[str, NDArray[Any]]


class CellTraining:
    """A training, whose process waits at each report until it may go on.

    Attributes:
        reports: What it has reported, by steps.
        seconds: Time of training, without the waiting, in seconds.
        ended: Its last message and arrays; None while it trains.
    """

    def __init__(
        self, start: StartCell, scratch: Path, identity: str, checkpoint: bytes | None
    ) -> None:
        """Prepare the training; its process starts when it is advanced first.

        Args:
            start: Function that starts the process in a folder.
            scratch: Folder that its folder is made in.
            identity: Text of what decides the numbers beside configuration and seed.
            checkpoint: Checkpoint to resume from; one of another identity is not used.
        """
        self.folder = Path(tempfile.mkdtemp(prefix="cell-", dir=scratch))
        self._files = CheckpointFolder(self.folder / "checkpoint")
        self._start, self._identity = start, identity
        self._process: CellProcess | None = None
        self._going_since: float | None = None  # None while it waits
        self._silent_since = 0.0
        self._saved: Checkpoint | None = None
        self.reports: list[Report] = []
        self.seconds = 0.0
        self.ended: tuple[dict[str, Any], Arrays] | None = None
        found = read_checkpoint(checkpoint, identity) if checkpoint else None
        if found is not None:
            self._files.restore(found.files)
            self.reports, self.seconds, self._saved = list(found.reports), found.seconds, found
        self._end = weakref.finalize(self, _end_cell, holder := _Holder(), self.folder)
        self._holder = holder

    def advance(self, until: float | None, limit: float | None) -> bool:
        """Train to the next report, or to the end.

        Args:
            until: Time of `time.monotonic` at which to return; the training goes on meanwhile.
            limit: Seconds without a report after which it counts as hung; None = never.

        Returns:
            Whether it has come to a report or to the end.
        """
        if self.ended is not None:
            return True
        try:
            self._go_on()
        except ConfigError as error:  # the data are not there, or the code's process has ended
            self._fail(FailureKind.EXCEPTION, str(error), kill=True)
            return True
        assert self._process is not None
        while True:
            now = time.monotonic()
            hung_at = math.inf if limit is None else self._silent_since + limit
            waits = min(hung_at, math.inf if until is None else until) - now
            try:
                message, arrays = self._process.receive(
                    None if waits == math.inf else max(0.0, waits)
                )
            except TimeoutError:
                if time.monotonic() >= hung_at:
                    reason = f"no report for {limit:g} seconds; report more often, or allow more"
                    self._fail(FailureKind.TIMEOUT, f"{reason} with --epoch-minutes", kill=True)
                    return True
                return False
            except EOFError:
                self._fail(FailureKind.CRASHED, "", kill=True)
                return True
            self._pause()
            if "report" not in message:
                self._close(message, arrays)
                return True
            self._add_report(message["report"], message["metrics"])
            return True

    def stop(self) -> None:
        """Stop the training, where it waits or trains."""
        if self.ended is not None:
            return
        if self._process is not None and self._going_since is None:
            self._process.send({"go": False})
            with suppress(TimeoutError, EOFError):
                self._process.receive(STOP_SECONDS)
        self._pause()
        self._close({"ended": "stopped"}, {})

    def fail(self, kind: FailureKind, reason: str) -> None:
        """End the training as a failed one."""
        self._fail(kind, reason, kill=True)

    def checkpoint(self) -> bytes | None:
        """Return a checkpoint of now if the training waits, else the last one; None if none."""
        if self._process is not None and self._going_since is None and self.ended is None:
            self._save_files()
        return self._saved.to_bytes() if self._saved else None

    def _go_on(self) -> None:
        if self._process is None:
            self._process = self._start(self.folder)
            self._holder.process = self._process
        elif self._going_since is None:
            self._process.send({"go": True})
        else:
            return
        self._going_since = time.perf_counter()
        self._silent_since = time.monotonic()

    def _pause(self) -> None:
        if self._going_since is not None:
            self.seconds += time.perf_counter() - self._going_since
            self._going_since = None

    def _add_report(self, step: int, metrics: dict[str, float]) -> None:
        # A resumed training may report again what was reported after its checkpoint.
        while self.reports and self.reports[-1][0] > step:
            self.reports.pop()
        if self.reports and self.reports[-1][0] == step:
            metrics = {**self.reports.pop()[1], **metrics}
        self.reports.append((step, metrics))
        last = self._saved.seconds if self._saved else -math.inf
        if self.seconds - last >= SNAPSHOT_SECONDS:
            self._save_files()

    def _save_files(self) -> None:
        if self._files.has_changed():
            self._saved = Checkpoint(
                identity=self._identity,
                reports=list(self.reports),
                seconds=self.seconds,
                files=self._files.pack(),
            )

    def _fail(self, kind: FailureKind, reason: str, *, kill: bool) -> None:
        self._pause()
        code = self._process.end(kill=kill) if self._process else 0
        if kind == FailureKind.CRASHED:
            reason = f"its process {describe_end(code)} before train was done"
        self._close({"ended": "failed", "kind": kind.value, "reason": reason, "log": ""}, {})

    def _close(self, message: dict[str, Any], arrays: Arrays) -> None:
        """Keep the last message, with the last output of a failed training."""
        if self._process is not None:
            self._process.send({})
            self._process.end(kill=message["ended"] != "complete")
            if message["ended"] == "failed":
                output = self._process.output.text(OUTPUT_SECONDS)
                message["log"] = last_lines(f"{output}\n{message['log']}")[-MOST_LOG:]
                message["reason"] = message["reason"][:MOST_REASON]
        self.ended = message, arrays
        self._end()


class _Holder:
    """What is left to end when a training is thrown away."""

    process: CellProcess | None = None


def _end_cell(holder: _Holder, folder: Path) -> None:
    if holder.process is not None:
        holder.process.end(kill=True)
    shutil.rmtree(folder, ignore_errors=True)
