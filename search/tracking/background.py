"""The driver's side of tracking: a process that it starts, tells news, and waits for at the end."""

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

SILENCE = 90.0  # seconds without a word at the end, after which it is taken to hang
AGAIN = 60.0  # seconds at least between two starts of a process that dies


class TrackingProcessError(RuntimeError):
    """The process that writes to MLflow did not do its work; the message says why."""


class ProcessDied(TrackingProcessError):
    """It ended without a word, e.g. for lack of memory."""


class BackgroundTracking:
    """Brings MLflow up to date with the ledger, and never holds up a training.

    A tracking server that does not answer costs nothing but a message at the end: `triptych sync`
    or the next run of the study writes what is missing.

    Attributes:
        failure: once closed, why MLflow is behind the ledger; None if it is not.
    """

    def __init__(self, manifest: Manifest, folder: Path) -> None:
        """Begin, but start nothing yet: until there are cells, starting Ray needs the time.

        Args:
            manifest: the plan, which the folder has too; with the server's password, if any.
            folder: of the results.
        """
        self.failure: Exception | None = None
        self._manifest = manifest
        self._folder = folder
        self._process: _Process | None = None
        self._started = 0.0

    @property
    def process_id(self) -> int | None:
        """Of the process that writes; None before there is one."""
        return None if self._process is None else self._process.id

    def notify(self) -> None:
        """There are new cells."""
        if self._process is not None and self._process.ended:
            if time.monotonic() - self._started < AGAIN:
                return
            self._process.kill()
            self._process = None
        if self._process is None:
            self._start()
        elif self._process is not None:
            self._process.tell("news")

    def close(self, complete: bool, most_seconds: float | None = None) -> None:
        """Have what is left written, and wait for it as long as it goes on.

        Args:
            complete: whether the study is.
            most_seconds: to wait; None = as long as cells are written, and some 20 s without.
        """
        if self._process is None and complete and is_synced(self._folder, self._manifest):
            return
        until = None if most_seconds is None else time.monotonic() + most_seconds
        order = "close complete" if complete else "close incomplete"
        for _ in range(2):  # one that died is followed by one other
            self.failure = None
            if self._process is None:
                self._start()
            if self._process is None:
                return
            try:
                self._process.tell(order)
                self._process.wait(until)
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

    def _start(self) -> None:
        self._started = time.monotonic()
        try:
            self._process = _Process(self._folder, self._manifest.tracking_uri)
        except OSError as error:
            self.failure = TrackingProcessError(f"no process could be started: {error}")


def ask_process(folder: Path, tracking_uri: str, most_seconds: float) -> None:
    """Have a process attach the report of a results folder.

    Raises:
        TrackingProcessError: why it is not attached.
    """
    process = _Process(folder, tracking_uri, report=True)
    try:
        process.wait(time.monotonic() + most_seconds)
    finally:
        process.kill()


class _Process:
    """A running `search.tracking.process`."""

    def __init__(self, folder: Path, tracking_uri: str, *, report: bool = False) -> None:
        # It finds what this process finds, and nothing in whatever the current folder is.
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
        # Through the pipe: everybody can read a command line, and an address may have a password.
        job = {"folder": str(folder.resolve()), "tracking_uri": tracking_uri, "report": report}
        self.tell(json.dumps(job))
        os.set_blocking(self._input.fileno(), False)
        self._answers: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        threading.Thread(target=self._listen, name="tracking", daemon=True).start()

    @property
    def id(self) -> int:
        """The number that the system gave it."""
        return self._process.pid

    @property
    def ended(self) -> bool:
        """Whether it has."""
        return self._process.poll() is not None

    def tell(self, line: str) -> None:
        """Send it a line; where its input is full or gone, it knows as much already."""
        try:
            os.write(self._input.fileno(), line.encode() + b"\n")
        except (BlockingIOError, BrokenPipeError):
            return

    def wait(self, until: float | None) -> None:
        """Wait for its end.

        Args:
            until: that moment at most, by `time.monotonic`; None = as long as it says something.

        Raises:
            TrackingProcessError: it failed, died or hung, or the time is over.
        """
        while True:
            left = SILENCE if until is None else min(SILENCE, until - time.monotonic())
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
        """Make sure that it is gone."""
        self._process.kill()
        self._process.wait()
        self._input.close()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as answers:
            for line in answers:
                self._answers.put(json.loads(line))
        self._answers.put(None)

    @property
    def _input(self) -> IO[bytes]:
        assert self._process.stdin is not None
        return self._process.stdin
