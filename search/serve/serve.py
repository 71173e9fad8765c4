"""`triptych serve`: the report on loopback, renewed while the study runs."""

import signal
import threading
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from rich.console import Console

from reports.results import ResultsError
from search.console import say
from search.errors import RunError
from search.results.folder import read_manifest, results_folder
from search.serve.refresh import Refresher
from search.serve.server import ReportServer
from search.serve.side_servers import Elsewhere, Neighbour, mlflow_page, optuna_page

ENDS = (signal.SIGINT, signal.SIGTERM)


class LatePage:
    """A page beside the report of a study that may not have begun: looked for when asked for."""

    def __init__(self, name: str, folder: Path) -> None:
        """Nothing is looked for yet.

        Args:
            name: `MLflow` or `optuna-dashboard`.
            folder: of the results.
        """
        self.name = name
        self._folder = folder
        self._found: Neighbour | Elsewhere | None = None
        self._lock = threading.Lock()

    def ask(self) -> tuple[str, str]:
        """How it is, and its address or what is wrong."""
        with self._lock:
            if not isinstance(self._found, Neighbour):
                self._found = self._find()
            found = self._found
        return found.ask()

    def close(self) -> None:
        """End what was started."""
        with self._lock:
            if self._found is not None:
                self._found.close()

    def _find(self) -> Neighbour | Elsewhere:
        if self.name != "MLflow":
            return optuna_page(self._folder)
        uri = ""
        with suppress(ResultsError):
            uri = read_manifest(self._folder).tracking_uri
        return mlflow_page(self._folder, uri)


def serve(name: str, workdir: Path, port: int, browser: bool) -> None:
    """Serve a study's report until Ctrl-C or SIGTERM.

    Args:
        name: of the study, its file or its results folder.
        workdir: results are below it.
        port: of loopback; 0 = any that is free.
        browser: whether to open one.

    Raises:
        StudyError: no such study.
        RunError: the port is taken.
    """
    folder = results_folder(name, workdir)
    console = Console()
    refresher = Refresher(folder)
    pages = {"mlflow": LatePage("MLflow", folder), "optuna": LatePage("optuna-dashboard", folder)}
    try:
        server = ReportServer(refresher, pages, port)
    except OSError as error:
        raise RunError(
            f"port {port} of this machine can't be used ({error.strerror}); give another with "
            "--port, or none for any that is free"
        ) from None
    with server, _ended_by_signals():
        try:
            refresher.start()
            say(console, f"{folder} at {server.address} (Ctrl-C ends it)")
            if browser:
                webbrowser.open(server.address)
            server.serve_forever(poll_interval=0.2)
        except KeyboardInterrupt:
            pass  # which is how a server is ended
        finally:
            for page in pages.values():
                page.close()
            refresher.stop()


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """End on SIGTERM as on Ctrl-C, so that no process of ours stays behind.

    SIGINT too: a shell that starts a command in the background has it ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in ENDS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
