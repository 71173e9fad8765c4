"""MLflow's page and optuna-dashboard beside the report: processes of ours, on loopback."""

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

from search.redaction import without_secrets
from search.results.folder import JOURNAL

LOOPBACK = "127.0.0.1"
PATIENCE_SECONDS = 5.0  # for a process to end by itself
INSTALL = "optuna-dashboard is not installed: pip install 'triptych[dashboard]'"
# A page to look at needs no queue of jobs, which is ten processes.
ENVIRONMENT = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
STARTING, READY, BROKEN = "starting", "ready", "broken"


class Neighbour:
    """A program with a page of its own, started when somebody first asks for it.

    Attributes:
        name: for a person.
    """

    def __init__(self, name: str, command: Callable[[int], Sequence[str]]) -> None:
        """Nothing is started yet.

        Args:
            name: for a person.
            command: port -> what to start.
        """
        self.name = name
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0
        self._closed = False
        self._lock = threading.Lock()

    def ask(self) -> tuple[str, str]:
        """Start it if that is not done; how it is, and its address or what is wrong."""
        with self._lock:
            if self._closed:
                return BROKEN, "the server is ending"
            if self._process is None:
                self._port = free_port()
                try:
                    self._process = _start(self._command(self._port))
                except OSError as error:
                    return BROKEN, f"{self.name} can't be started: {error.strerror or error}"
            code = self._process.poll()
            if code is not None:
                self._process = None  # the next click tries again
                return BROKEN, f"{self.name} ended at once (exit code {code})"
        if _answers(self._port):
            return READY, f"http://{LOOPBACK}:{self._port}/"
        return STARTING, f"{self.name} is starting"

    def close(self) -> None:
        """End it and what it has started."""
        with self._lock:
            self._closed = True
            process, self._process = self._process, None
        if process is None:
            return
        _signal(process, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=PATIENCE_SECONDS)
        _signal(process, signal.SIGKILL)  # whatever is left of what it has started
        process.wait()


class Elsewhere:
    """A page that is there already, or one that can't be had, with the reason."""

    def __init__(self, name: str, address: str = "", problem: str = "") -> None:
        self.name = name
        self._address, self._problem = address, problem

    def ask(self) -> tuple[str, str]:
        """Where it is, or why there is none."""
        return (READY, self._address) if self._address else (BROKEN, self._problem)

    def close(self) -> None:
        """Nothing: it is not ours."""


def mlflow_page(folder: Path, tracking_uri: str) -> "Neighbour | Elsewhere":
    """MLflow's page of a study.

    Args:
        folder: of the results.
        tracking_uri: where the run kept them, without a password.
    """
    if tracking_uri.startswith(("http://", "https://")):
        return Elsewhere("MLflow", address=without_user(tracking_uri))
    store = folder / "mlflow.db"
    if store.exists():  # wherever the folder has been moved since
        tracking_uri = f"sqlite:///{store.resolve()}"
    elif not tracking_uri.startswith("sqlite:"):
        where = without_secrets(tracking_uri) or "nowhere yet"
        return Elsewhere(
            "MLflow",
            problem=f"the study is tracked in {where}; `mlflow ui --backend-store-uri` shows it",
        )
    return Neighbour(
        "MLflow",
        lambda port: [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", tracking_uri,
                      "--host", LOOPBACK, "--port", str(port), "--workers", "1"],
    )  # fmt: skip


def optuna_page(folder: Path) -> "Neighbour | Elsewhere":
    """optuna-dashboard on the journal of a study's tuning."""
    beside = Path(sys.executable).with_name("optuna-dashboard")
    program = str(beside) if beside.exists() else shutil.which("optuna-dashboard")
    name = "optuna-dashboard"
    if program is None:
        return Elsewhere(name, problem=INSTALL)
    journal = folder / JOURNAL
    if not journal.exists():
        return Elsewhere(name, problem=f"{journal} is not there yet: nothing has been tuned")
    return Neighbour(
        name, lambda port: [program, "--host", LOOPBACK, "--port", str(port), str(journal)]
    )


def without_user(address: str) -> str:
    """An address without the user and the password in it."""
    scheme, separator, rest = address.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path}"


def free_port() -> int:
    """A port of loopback that nobody has at this moment."""
    with socket.socket() as one:
        one.bind((LOOPBACK, 0))
        return int(one.getsockname()[1])


def _start(command: Sequence[str]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        list(command),
        env={**os.environ, **ENVIRONMENT},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for us; we end it and all that it has started
    )


def _signal(process: "subprocess.Popen[bytes]", number: int) -> None:
    """To the process and all that it has started: its group."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _answers(port: int) -> bool:
    with socket.socket() as one:
        one.settimeout(0.5)
        return one.connect_ex((LOOPBACK, port)) == 0
