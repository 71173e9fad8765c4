"""`triptych serve`: the report on loopback, renewed while the study runs."""

import signal
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from rich.console import Console

from search.console import print_line
from search.errors import RunError
from search.results.folder import results_folder
from search.serve.companion_servers import CompanionServer, find_mlflow_page, find_optuna_page
from search.serve.refresh import Refresher
from search.serve.server import ReportServer

END_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def serve_report(name: str, workdir: Path, port: int, browser: bool) -> None:
    """Serve a study's report until Ctrl-C or SIGTERM.

    Args:
        name: Name of the study, its file or its results folder.
        workdir: Folder that results are below.
        port: Port of loopback; 0 = any that is free.
        browser: Whether to open a browser.

    Raises:
        StudyError: no such study.
        RunError: the port is taken.
    """
    folder = results_folder(name, workdir)
    console = Console()
    refresher = Refresher(folder)
    companions = {
        "mlflow": CompanionServer("MLflow", partial(find_mlflow_page, folder)),
        "optuna": CompanionServer("optuna-dashboard", partial(find_optuna_page, folder)),
    }
    try:
        server = ReportServer(refresher, companions, port)
    except OSError as error:
        raise RunError(
            f"port {port} of this machine can't be used ({error.strerror}); give another with "
            "--port, or none for any that is free"
        ) from None
    with _end_on_signals():
        try:
            refresher.start()
            # The socket listens already: a browser that is quicker than the server waits for it.
            print_line(console, f"{folder} at {server.address} (Ctrl-C ends it)")
            if browser:
                webbrowser.open(server.address)
            server.run()
        except KeyboardInterrupt:
            pass  # which is how a server is ended
        finally:
            for companion in companions.values():
                companion.close()
            refresher.stop()


@contextmanager
def _end_on_signals() -> Iterator[None]:
    """Turn SIGTERM into a KeyboardInterrupt, as Ctrl-C is, so that no process is left behind."""
    # SIGINT too: a shell that starts a command in the background has it ignored.
    before = {one: signal.signal(one, signal.default_int_handler) for one in END_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
