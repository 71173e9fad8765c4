"""The pages of MLflow and optuna-dashboard: companion servers on loopback, started on demand."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from reports.results import ResultsError
from search.child_python import python_command, python_environment
from search.errors import RunError
from search.redaction import without_secrets
from search.results.folder import read_manifest
from search.results.layout import JOURNAL
from spaces.environment import MLFLOW_SERVER

LOOPBACK = "127.0.0.1"
PATIENCE_SECONDS = 5.0  # for a process to end by itself
INSTALL = "optuna-dashboard is not installed: pip install 'triptych[dashboard]'"

Launch = Callable[[int], Sequence[str]]  # port -> command line


class CompanionServer:
    """A program with a page of its own, started by the first request for the page.

    Attributes:
        name: Name of the program for people.
    """

    def __init__(self, name: str, find: Callable[[], str | Launch]) -> None:
        """Create it without starting anything.

        Args:
            name: Name of the program for people.
            find: Finder of the page: its address, or how to start its program. Raises RunError
                where there is none. Called at each request until a program runs, since a study may
                not have begun when its report is first served.
        """
        self.name = name
        self._find = find
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0
        self._closed = False
        self._lock = threading.Lock()

    def poll_page(self) -> str | None:
        """Return the address of the page, or None while its program, started now, is not ready.

        Raises:
            RunError: there is no page.
        """
        with self._lock:
            # A request that comes in while the server ends must not leave a new process behind.
            if self._closed:
                raise RunError("the server is ending")
            if self._process is None:
                found = self._find()
                if isinstance(found, str):
                    return found
                self._port = free_port()
                try:
                    self._process = _start_process(found(self._port))
                except OSError as error:
                    reason = error.strerror or error
                    raise RunError(f"{self.name} can't be started: {reason}") from None
            code = self._process.poll()
            if code is not None:
                self._process = None  # the next click tries again
                raise RunError(f"{self.name} ended at once (exit code {code})")
        with socket.socket() as one:
            one.settimeout(0.5)
            is_ready = one.connect_ex((LOOPBACK, self._port)) == 0
        return f"http://{LOOPBACK}:{self._port}/" if is_ready else None

    def close(self) -> None:
        """End the program and the processes that it has started."""
        with self._lock:
            self._closed = True
            process, self._process = self._process, None
        if process is None:
            return
        _signal_group(process, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=PATIENCE_SECONDS)
        _signal_group(process, signal.SIGKILL)  # whatever is left of what it has started
        process.wait()


def find_mlflow_page(folder: Path) -> str | Launch:
    """Find MLflow's page of the study in a results folder."""
    uri = ""
    with suppress(ResultsError):  # nothing has been run yet
        uri = read_manifest(folder).tracking_uri
    if uri.startswith(("http://", "https://")):
        return without_user(uri)
    store = folder / "mlflow.db"
    if store.exists():  # wherever the folder has been moved since
        uri = f"sqlite:///{store.resolve()}"
    elif not uri.startswith("sqlite:"):
        where = without_secrets(uri) or "nowhere yet"
        raise RunError(f"the study is tracked in {where}; `mlflow ui --backend-store-uri` shows it")
    return lambda port: [
        *python_command("mlflow", "ui", "--backend-store-uri", uri),
        *("--host", LOOPBACK, "--port", str(port), "--workers", "1"),
    ]


def find_optuna_page(folder: Path) -> Launch:
    """Find optuna-dashboard's page of the journal in a results folder."""
    # Beside this Python first: of a virtual environment that is not activated, PATH knows nothing.
    beside = Path(sys.executable).with_name("optuna-dashboard")
    program = str(beside) if beside.exists() else shutil.which("optuna-dashboard")
    if program is None:
        raise RunError(INSTALL)
    journal = folder / JOURNAL
    if not journal.exists():
        raise RunError(f"{journal} is not there yet: nothing has been tuned")
    return lambda port: [program, "--host", LOOPBACK, "--port", str(port), str(journal)]


def without_user(address: str) -> str:
    """Remove the user and the password from an address."""
    scheme, separator, rest = address.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path}"


def free_port() -> int:
    """Return a port of loopback that is free at this moment."""
    with socket.socket() as one:
        one.bind((LOOPBACK, 0))
        return int(one.getsockname()[1])


def _start_process(command: Sequence[str]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        list(command),
        env={**python_environment(), **MLFLOW_SERVER},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for us; we end it and all that it has started
    )


def _signal_group(process: "subprocess.Popen[bytes]", number: int) -> None:
    """Send a signal to a process and to all that it has started: to its group."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
