"""The driver's side of tracking: it starts a process, and waits for it at the end."""

import subprocess
import time
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from search.child_python import python_command, python_environment
from search.results.folder import Manifest
from search.tracking.marker import is_synced
from search.tracking.sync_loop import TrackingError

SILENCE_SECONDS = 90.0  # without a message at the end, after which the process is taken to hang
RESTART_SECONDS = 60.0  # at least between two starts of a process that dies


class ProcessDied(TrackingError):
    """End of the process without an answer, e.g. for lack of memory."""


class BackgroundTracking:
    """The tracking of a run by `search.tracking.process`, which never holds up a training.

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
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: Connection[Any, Any] | None = None
        self._started = 0.0

    @property
    def process_id(self) -> int | None:
        """Number of the process that writes; None before there is one."""
        return None if self._process is None else self._process.pid

    def notify_new_cells(self) -> None:
        """Start the process, which finds new cells in the ledger by itself, if none runs."""
        if self._process is not None and self._process.poll() is not None:
            if time.monotonic() - self._started < RESTART_SECONDS:
                return
            self._kill_process()
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
            if self._process is None:
                self._start_process()
            if self._pipe is None:
                return
            try:
                with suppress(OSError):  # it has ended, which the wait notices
                    self._pipe.send(complete)
                self._wait_for_end(self._pipe, until)
                self.failure = None
                return
            except TrackingError as error:
                self.failure = error
                if not isinstance(error, ProcessDied):
                    return
            except BaseException:  # a second Ctrl-C
                self.failure = TrackingError("it was stopped before everything was written")
                raise
            finally:
                self._kill_process()

    def _start_process(self) -> None:
        self._started = time.monotonic()
        try:
            self._pipe, theirs = Pipe()
            with theirs:
                self._process = subprocess.Popen(
                    python_command("search.tracking.process", str(theirs.fileno())),
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    env=python_environment(),
                    start_new_session=True,  # Ctrl-C is for the driver
                )
        except OSError as error:
            self._pipe = None
            self.failure = TrackingError(f"no process could be started: {error}")
            return
        # Through the pipe: other users can read a command line, and an address may have a password.
        with suppress(OSError):
            self._pipe.send((self._folder.resolve(), self._manifest.tracking_uri))

    def _wait_for_end(self, pipe: "Connection[Any, Any]", until: float | None) -> None:
        """Wait for the end of the process.

        Args:
            pipe: Our end of the pipe to it.
            until: Latest moment by `time.monotonic`; None = as long as it sends answers.

        Raises:
            TrackingError: it failed, died or hung, or the time is over.
        """
        assert self._process is not None
        answer: dict[str, Any] = {}
        while "failure" not in answer:
            left = SILENCE_SECONDS if until is None else until - time.monotonic()
            try:
                if not pipe.poll(min(SILENCE_SECONDS, max(0.0, left))):
                    raise TrackingError("the tracking server did not take everything in time")
                answer = pipe.recv()
            except (EOFError, OSError):
                code = self._process.wait()
                raise ProcessDied(f"the process that writes to it ended with code {code}") from None
        if answer["failure"]:
            raise TrackingError(answer["failure"])

    def _kill_process(self) -> None:
        assert self._process is not None and self._pipe is not None
        self._process.kill()
        self._process.wait()
        self._pipe.close()
        self._process = self._pipe = None
