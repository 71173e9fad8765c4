"""The process that writes to MLflow, beside the driver: `python -m search.tracking.process FD`.

Through the pipe of that file descriptor come results folder and address of the server. Later, once
no cell will come any more, comes whether the study is complete. Then it answers `written` as long
as there is something to write, and `failure` at its end. When the pipe ends, it does too, within
one cell.
"""

# A process and not a thread: MLflow's client takes about 20 ms of Python per cell, during which a
# thread of it would hold up the driver; and it holds 150 MB.

import os
import signal
import sys
from dataclasses import replace
from multiprocessing.connection import Connection

from search.results.folder import read_manifest
from search.tracking.sync import write_missing_cells
from search.tracking.sync_loop import DriverView, describe_error

NICE = 5  # training goes first


class PipedDriver(DriverView):
    """A driver that runs, at the other end of a pipe."""

    def __init__(self, pipe: "Connection[object, bool]") -> None:
        super().__init__(complete=False)
        self._pipe = pipe
        self._closing = False
        self._gone = False

    @property
    def closing(self) -> bool:
        """Whether no more cells will come."""
        self.pause(0.0)
        return self._closing

    @property
    def abandoned(self) -> bool:
        """Whether the driver has ended, or wants no end of this."""
        self.pause(0.0)
        return self._gone

    def pause(self, seconds: float) -> None:
        """Wait some seconds, or until the driver closes or has gone."""
        # Once it closes, only its going ends a wait: back-off goes on while a server is away.
        try:
            if not self._gone and self._pipe.poll(seconds):
                self.complete = self._pipe.recv()
                self._closing = True
        except (EOFError, OSError):
            self._gone = True

    def report_progress(self, written: int) -> None:
        """Send the number of written cells to a driver that waits for the end."""
        if self.closing:
            self.send_answer(written=written)

    def send_answer(self, **content: object) -> None:
        """Send the driver an answer."""
        try:
            self._pipe.send(content)
        except OSError:
            self._gone = True


def main() -> None:
    """Write the cells of one run."""
    os.nice(NICE)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # meant for the driver, which closes its pipe to end
    pipe = Connection(int(sys.argv[1]))
    folder, tracking_uri = pipe.recv()
    driver = PipedDriver(pipe)
    failure = None
    try:
        manifest = replace(read_manifest(folder), tracking_uri=tracking_uri)
        write_missing_cells(folder, manifest, driver)
    except Exception as error:
        failure = describe_error(error)
    driver.send_answer(failure=failure)
    os._exit(0)  # the driver has its answer; what mlflow leaves behind takes long to tidy up


if __name__ == "__main__":
    main()
