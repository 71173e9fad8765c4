"""The process that writes to MLflow, beside the driver: `python -m search.tracking.process`.

A process and not a thread: what MLflow's client does takes about 20 ms of Python a cell, during
which a thread of it would hold up the driver; and it holds 150 MB.

Its first line of input is the job, as JSON; then come `news`, and `close complete` or
`close incomplete`. It answers the latter with lines of JSON: `written` as long as there is
something to write, `failure` at its end. When its input ends, it does too, within one cell.
"""

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
from search.tracking.sync import write_all
from search.tracking.upkeep import one_line

NICE = 5  # training goes first
CLOSE = "close"


class PipedOrders:
    """What the driver wants, as it comes in by lines of text."""

    def __init__(self, lines: TextIO, answers: TextIO) -> None:
        """Listen from now on."""
        self.complete = False
        self._answers = answers
        self._news = threading.Event()
        self._closing = threading.Event()
        self._gone = threading.Event()
        self._changed = threading.Event()
        threading.Thread(target=self._listen, args=(lines,), daemon=True).start()

    @property
    def closing(self) -> bool:
        """As in `Orders`."""
        return self._closing.is_set()

    @property
    def gone(self) -> bool:
        """As in `Orders`."""
        return self._gone.is_set()

    def rest(self, seconds: float) -> None:
        """As in `Orders`."""
        (self._gone if self.closing else self._changed).wait(seconds)

    def wait_for_news(self) -> None:
        """As in `Orders`."""
        self._news.wait()
        self._news.clear()

    def progress(self, written: int) -> None:
        """As in `Orders`; the driver reads it while it waits for the end."""
        if self.closing:
            self.answer(written=written)

    def answer(self, **content: Any) -> None:
        """Tell the driver."""
        try:
            print(json.dumps(content), file=self._answers, flush=True)
        except OSError:
            self._gone.set()

    def _listen(self, lines: TextIO) -> None:
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
        signal.signal(number, signal.SIG_IGN)  # meant for the driver, which says when to end
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what others print is no answer
    job = json.loads(sys.stdin.readline())
    orders = PipedOrders(sys.stdin, answers)
    folder = Path(job["folder"])
    failure = None
    try:
        manifest = replace(read_manifest(folder), tracking_uri=job["tracking_uri"])
        if job["report"]:
            attach_to_server(folder, manifest)
        else:
            write_all(folder, manifest, orders)
    except Exception as error:
        failure = one_line(error)
    orders.answer(failure=failure)
    os._exit(0)  # the driver has its answer; what mlflow leaves behind takes long to tidy up


if __name__ == "__main__":
    main()
