"""The process that writes to MLflow, beside the driver: `python -m search.tracking.process`.

Its first line of input is the job, as JSON; then come `news`, and `close complete` or
`close incomplete`. It answers the latter with lines of JSON: `written` as long as there is
something to write, `failure` at its end. When its input ends, it does too, within one cell.
"""

# A process and not a thread: MLflow's client takes about 20 ms of Python per cell, during which a
# thread of it would hold up the driver; and it holds 150 MB.

import json
import os
import signal
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

from search.results.folder import read_manifest
from search.tracking.report import attach_to_server
from search.tracking.sync import write_missing_cells
from search.tracking.sync_loop import describe_error

NICE = 5  # training goes first
CLOSE = "close"


class PipedDriver:
    """The driver, as known from its lines of text."""

    def __init__(self, lines: TextIO, answers: TextIO) -> None:
        """Begin to read lines, in a thread of its own."""
        self.complete = False
        self._answers = answers
        self._news = threading.Event()
        self._closing = threading.Event()
        self._gone = threading.Event()
        self._changed = threading.Event()
        threading.Thread(target=self._read_lines, args=(lines,), daemon=True).start()

    @property
    def closing(self) -> bool:
        """Whether the driver has sent `close`."""
        return self._closing.is_set()

    @property
    def abandoned(self) -> bool:
        """Whether the pipe from or to the driver has ended."""
        return self._gone.is_set()

    def pause(self, seconds: float) -> None:
        """Wait some seconds, or until the driver closes or has gone."""
        # Once it closes, only its going ends a wait: back-off goes on while a server is away.
        (self._gone if self.closing else self._changed).wait(seconds)

    def wait_for_cells(self) -> None:
        """Wait for a line from the driver, or for the end of them."""
        self._news.wait()
        self._news.clear()

    def report_progress(self, written: int) -> None:
        """Send the number of written cells to a driver that waits for the end."""
        if self.closing:
            self.send_answer(written=written)

    def send_answer(self, **content: Any) -> None:
        """Send the driver a line of JSON."""
        try:
            print(json.dumps(content), file=self._answers, flush=True)
        except OSError:
            self._gone.set()

    def _read_lines(self, lines: TextIO) -> None:
        for line in lines:
            words = line.split()
            if words[:1] == [CLOSE]:
                self.complete = words[1:] == ["complete"]
                self._closing.set()
                self._changed.set()
            self._news.set()
        self._gone.set()
        self._changed.set()
        self._news.set()


def main() -> None:
    """Do one job."""
    os.nice(NICE)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # meant for the driver, which closes its pipe to end
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print must not mix with the answers
    job = json.loads(sys.stdin.readline())
    driver = PipedDriver(sys.stdin, answers)
    folder = Path(job["folder"])
    failure = None
    try:
        manifest = replace(read_manifest(folder), tracking_uri=job["tracking_uri"])
        if job["report"]:
            attach_to_server(folder, manifest)
        else:
            write_missing_cells(folder, manifest, driver)
    except Exception as error:
        failure = describe_error(error)
    driver.send_answer(failure=failure)
    os._exit(0)  # the driver has its answer; what mlflow leaves behind takes long to tidy up


if __name__ == "__main__":
    main()
