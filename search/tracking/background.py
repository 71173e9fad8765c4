"""The driver's side of tracking: it starts a process, notifies it, and waits for it at the end."""

import json
import os
import queue
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, Any

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
        """Have new cells written."""
        if self._process is not None and self._process.has_ended:
            if time.monotonic() - self._started < RESTART_SECONDS:
                return
            self._process.kill()
            self._process = None
        if self._process is None:
            self._start_process()
        elif self._process is not None:
            self._process.send_line("news")

    def close(self, complete: bool, most_seconds: float | None = None) -> None:
        """Have what is left written, and wait for that.

        Args:
            complete: Whether the study is complete.
            most_seconds: Longest wait; None = as long as cells are written, and some 20 s without.
        """
        if self._process is None and complete and is_synced(self._folder, self._manifest):
            return
        until = None if most_seconds is None else time.monotonic() + most_seconds
        order = "close complete" if complete else "close incomplete"
        for _ in range(2):  # a process that died is followed by one other
            self.failure = None
            if self._process is None:
                self._start_process()
            if self._process is None:
                return
            try:
                self._process.send_line(order)
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
    """A running `search.tracking.process`."""

    def __init__(self, folder: Path, tracking_uri: str, *, report: bool = False) -> None:
        # It imports what this process imports, and nothing from whatever the current folder is.
        path = os.pathsep.join(entry for entry in sys.path if entry)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "search.tracking.process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,  # Ctrl-C is for the driver
        )
        # Through the pipe: other users can read a command line, and an address may have a password.
        job = {"folder": str(folder.resolve()), "tracking_uri": tracking_uri, "report": report}
        self.send_line(json.dumps(job))
        os.set_blocking(self._input.fileno(), False)
        self._answers: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        threading.Thread(target=self._read_answers, name="tracking", daemon=True).start()

    @property
    def id(self) -> int:
        """Number of the process."""
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """Whether the process has ended."""
        return self._process.poll() is not None

    def send_line(self, line: str) -> None:
        """Send a line, unless the input of the process is full or closed."""
        # Full: it has news to read already. Closed: its end is reported by `wait_for_end`.
        try:
            os.write(self._input.fileno(), line.encode() + b"\n")
        except (BlockingIOError, BrokenPipeError):
            return

    def wait_for_end(self, until: float | None) -> None:
        """Wait for its end.

        Args:
            until: Latest moment by `time.monotonic`; None = as long as it sends answers.

        Raises:
            TrackingProcessError: it failed, died or hung, or the time is over.
        """
        while True:
            left = (
                SILENCE_SECONDS if until is None else min(SILENCE_SECONDS, until - time.monotonic())
            )
            try:
                answer = self._answers.get(timeout=max(0.0, left))
            except queue.Empty:
                raise TrackingProcessError(
                    "the tracking server did not take everything in time"
                ) from None
            if answer is None:
                code = self._process.wait()
                raise ProcessDied(f"the process that writes to it ended with code {code}")
            if "failure" in answer:
                if answer["failure"]:
                    raise TrackingProcessError(str(answer["failure"]))
                return

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()
        self._process.wait()
        self._input.close()

    def _read_answers(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as answers:
            for line in answers:
                self._answers.put(json.loads(line))
        self._answers.put(None)

    @property
    def _input(self) -> IO[bytes]:
        assert self._process.stdin is not None
        return self._process.stdin
