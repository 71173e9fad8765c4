"""The driver's side of tracking: it starts a process, and waits for it at the end."""

import os
import subprocess
import sys
import time
from contextlib import suppress
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

from search.results.folder import Manifest
from search.tracking.marker import is_synced

SILENCE_SECONDS = 90.0  # without a line at the end, after which the process is taken to hang
RESTART_SECONDS = 60.0  # at least between two starts of a process that dies


class TrackingProcessError(RuntimeError):
    """Failure of the process that writes to MLflow; the message is the reason."""


class ProcessDied(TrackingProcessError):
    """End of the process without an answer, e.g. for lack of memory."""


class BackgroundTracking:
    """The tracking of a run, which never holds up a training.

    A tracking server that does not answer costs nothing but a message at the end: `triptych sync`
    or the next run of the study writes what is missing.

    Attributes:
        failure: Reason why MLflow is behind the ledger once closed; None if it is not.
    """

    def __init__(self, manifest: Manifest, folder: Path) -> None:
        """Create the tracking without a process.

        Args:
            manifest: Manifest of the folder, with the server's password if it has one.
            folder: Results folder.
        """
        # No process before there are cells: Ray starts meanwhile, and needs the cores.
        self.failure: Exception | None = None
        self._manifest = manifest
        self._folder = folder
        self._process: _WriterProcess | None = None
        self._started = 0.0

    @property
    def process_id(self) -> int | None:
        """Number of the process that writes; None before there is one."""
        return None if self._process is None else self._process.id

    def notify_new_cells(self) -> None:
        """Start the process, which finds new cells in the ledger by itself, if none runs."""
        if self._process is not None and self._process.has_ended:
            if time.monotonic() - self._started < RESTART_SECONDS:
                return
            self._process.kill()
            self._process = None
        if self._process is None:
            self._start_process()

    def close(self, complete: bool, most_seconds: float | None = None) -> None:
        """Have what is left written, and wait for that.

        Args:
            complete: Whether the study is complete.
            most_seconds: Longest wait; None = as long as cells are written, and some 20 s without.
        """
        if self._process is None and complete and is_synced(self._folder, self._manifest):
            return
        until = None if most_seconds is None else time.monotonic() + most_seconds
        for _ in range(2):  # a process that died is followed by one other
            self.failure = None
            if self._process is None:
                self._start_process()
            if self._process is None:
                return
            try:
                self._process.send(complete)
                self._process.wait_for_end(until)
                return
            except ProcessDied as error:
                self.failure = error
            except TrackingProcessError as error:
                self.failure = error
                return
            except BaseException:  # a second Ctrl-C
                self.failure = TrackingProcessError("it was stopped before everything was written")
                raise
            finally:
                self._process.kill()
                self._process = None

    def _start_process(self) -> None:
        self._started = time.monotonic()
        try:
            self._process = _WriterProcess(self._folder, self._manifest.tracking_uri)
        except OSError as error:
            self.failure = TrackingProcessError(f"no process could be started: {error}")


def attach_in_process(folder: Path, tracking_uri: str, most_seconds: float) -> None:
    """Attach the report of a results folder in a process that imports mlflow.

    Raises:
        TrackingProcessError: the report is not attached.
    """
    process = _WriterProcess(folder, tracking_uri, report=True)
    try:
        process.wait_for_end(time.monotonic() + most_seconds)
    finally:
        process.kill()


class _WriterProcess:
    """A running `search.tracking.process`, and the driver's end of the pipe to it."""

    def __init__(self, folder: Path, tracking_uri: str, *, report: bool = False) -> None:
        self._pipe, theirs = Pipe()
        # It imports what this process imports, and nothing from whatever the current folder is.
        path = os.pathsep.join(entry for entry in sys.path if entry)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "search.tracking.process", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": path},
                start_new_session=True,  # Ctrl-C is for the driver
            )
        # Through the pipe: other users can read a command line, and an address may have a password.
        self.send((folder.resolve(), tracking_uri, report))

    @property
    def id(self) -> int:
        """Number of the process."""
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """Whether the process has ended."""
        return self._process.poll() is not None

    def send(self, message: object) -> None:
        """Send a message; `wait_for_end` notices where nobody takes it."""
        with suppress(OSError):
            self._pipe.send(message)

    def wait_for_end(self, until: float | None) -> None:
        """Wait for its end.

        Args:
            until: Latest moment by `time.monotonic`; None = as long as it sends answers.

        Raises:
            TrackingProcessError: it failed, died or hung, or the time is over.
        """
        answer: dict[str, Any] = {}
        while "failure" not in answer:
            left = (
                SILENCE_SECONDS if until is None else min(SILENCE_SECONDS, until - time.monotonic())
            )
            try:
                if not self._pipe.poll(max(0.0, left)):
                    raise TrackingProcessError(
                        "the tracking server did not take everything in time"
                    )
                answer = self._pipe.recv()
            except (EOFError, OSError):
                code = self._process.wait()
                raise ProcessDied(f"the process that writes to it ended with code {code}") from None
        if answer["failure"]:
            raise TrackingProcessError(answer["failure"])

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()
        self._process.wait()
        self._pipe.close()
