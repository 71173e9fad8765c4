"""The process that holds the user's code, from the side of Triptych.

The user's code is imported there and nowhere else: what it prints, raises, changes or kills stays
there. Each cell is a fork of that process, so that data are loaded once and no cell sees what
another one has left behind.
"""

import os
import shutil
import subprocess
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for_any
from multiprocessing.reduction import send_handle
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from search.child_python import python_command, python_environment
from search.cores.child.messages import receive_message, send_message
from search.cores.output_tail import OutputTail
from spaces.core import SourceFile
from spaces.fields.declaration import ConfigError

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
LAST_SECONDS = 5.0  # that the end of a process may take


@dataclass(frozen=True, kw_only=True, slots=True)
class CodePlace:
    """Where a core's code is.

    Attributes:
        module: Dotted name of its module.
        files: Its files, by their paths from its folder on; empty for an installed module.
        folder: Folder where they were read, used if they are there unchanged; None = unknown.
    """

    module: str
    files: tuple[SourceFile, ...] = ()
    folder: Path | None = field(default=None, compare=False)

    @property
    def file(self) -> str:
        """Name of the file for messages."""
        return f"{self.module}.py" if self.files else self.module


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadedData:
    """Facts of the data that the user's `load` returned.

    Attributes:
        counts: Name of a split -> number of examples.
        groups: Name of a split -> group of each example; empty where there are none.
        fingerprint: Digest of the data.
        labels: Name of a split -> labels [N] or [N, K], of `valid` and `test`.
    """

    counts: Mapping[str, int]
    groups: Mapping[str, Sequence[str]]
    fingerprint: str
    labels: Mapping[str, NDArray[Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class CodeDescription:
    """Facts of a user's code.

    Attributes:
        fields: Fields of its configuration (`child.config_fields`).
        functions: Names of its functions that count.
        metrics: Metric that the code itself computes -> whether a larger value is better.
        needs_path: Whether its `load` can't do without a path.
    """

    fields: Mapping[str, Any]
    functions: Sequence[str]
    metrics: Mapping[str, bool]
    needs_path: bool


class CellProcess:
    """A training in a process of its own."""

    def __init__(
        self, host: "CodeHost", process: int, connection: Connection, output: OutputTail
    ) -> None:
        """Take over a process that was started."""
        self._host = host
        self._process = process
        self._connection = connection
        self.output = output
        self._code: int | None = None
        # A process that it left behind may hold its end of the connection open.
        self._handle = _process_handle(process)

    def send(self, message: Mapping[str, Any]) -> None:
        """Send a message; one to a process that has ended is lost."""
        with suppress(OSError):
            send_message(self._connection, message)

    def receive(self, seconds: float | None) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Wait for its next message.

        Raises:
            TimeoutError: None has come in the time.
            EOFError: It ended without one.
        """
        handles: list[Any] = [self._connection]
        if self._handle is not None:
            handles.append(self._handle)
        ready = wait_for_any(handles, seconds)
        if not ready:
            raise TimeoutError
        if self._connection not in ready and not self._connection.poll():
            raise EOFError
        try:
            return receive_message(self._connection)
        except OSError:
            raise EOFError from None

    def end(self, *, kill: bool) -> int:
        """Wait for its end, or kill it; return the exit code, or minus the signal.

        Processes that it has left behind are killed.
        """
        if self._code is None:
            self._connection.close()
            if self._handle is not None:
                os.close(self._handle)
            self._code = self._host.wait_for(self._process, kill=kill)
        return self._code


class CodeHost:
    """A process that has imported the user's code."""

    def __init__(self, place: CodePlace, *, threads: int = 1) -> None:
        """Start the process.

        Args:
            place: Where the code is.
            threads: Threads of a cell's numeric libraries.
        """
        self.place = place
        self.output = OutputTail()
        self._loaded: LoadedData | None = None
        self.scratch = Path(tempfile.mkdtemp(prefix="triptych-"))
        self.folder = self._folder_of_code()
        self._connection, theirs = Pipe()
        self._process = subprocess.Popen(
            python_command("search.cores.child", str(theirs.fileno()), str(self.scratch)),
            env={**python_environment(), **dict.fromkeys(THREADS, str(threads)),
                 "PYTHONHASHSEED": "0", "PYTHONUNBUFFERED": "1"},
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=self.output.write_end,
            stderr=self.output.write_end,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )  # fmt: skip
        theirs.close()
        self.output.close_write_end()
        self._end = weakref.finalize(self, _end_host, self._process, self._connection, self.scratch)

    def _folder_of_code(self) -> Path | None:
        """Return the folder of the files: where they were read, or a copy."""
        place = self.place
        if not place.files:
            return None
        if place.folder is not None and all(_is_there(place.folder, one) for one in place.files):
            return place.folder
        for one in place.files:
            path = self.scratch / "code" / one.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(one.text, encoding="utf-8")
        return self.scratch / "code"

    def describe(self) -> CodeDescription:
        """Import the code; return its fields and functions.

        Raises:
            ConfigError: It can't be imported, or is no core; the message names file and line.
        """
        answer, _ = self._ask(
            {
                "do": "describe",
                "folder": str(self.folder) if self.folder else "",
                "module": self.place.module,
                "file": self.place.file,
            },
            "it was imported",
        )
        if "mistake" in answer:
            raise ConfigError(_with_file(answer["mistake"], self.place.file))
        return CodeDescription(**answer)

    def load(self, path: str) -> LoadedData:
        """Load the data.

        Raises:
            ConfigError: The user's `load` raises, or returns something else.
        """
        answer, labels = self._ask({"do": "load", "path": path}, "load ran")
        if "mistake" in answer:
            raise ConfigError(_with_file(answer["mistake"], self.place.file))
        self._loaded = LoadedData(**answer, labels=labels)
        return self._loaded

    def load_same(self, path: str, fingerprint: str) -> None:
        """Load the data, unless they are loaded.

        Raises:
            ConfigError: The user's `load` raises, or returns other data than before.
        """
        loaded = self._loaded or self.load(path)
        if loaded.fingerprint != fingerprint:
            raise ConfigError(
                f"{self.place.file}: load returned other data in this process than when the study "
                "was opened; let it depend on nothing but its path, and shuffle with a fixed seed"
            )

    def start_cell(
        self, *, values: Mapping[str, Any], seed: int, device: str, folder: Path, tested: bool
    ) -> CellProcess:
        """Start a training.

        Args:
            values: Field -> value.
            seed: Seed.
            device: Device, `cpu` or `cuda`.
            folder: Folder of its own.
            tested: Whether it is to predict the test split.
        """
        ours, theirs = Pipe()
        output = OutputTail()
        request = {
            "do": "start",
            "values": dict(values),
            "seed": seed,
            "device": device,
            "folder": str(folder),
            "tested": tested,
        }
        self._send(request)
        for number in (theirs.fileno(), output.write_end):
            send_handle(self._connection, number, self._process.pid)
        theirs.close()
        output.close_write_end()
        answer, _ = self._receive("a cell was started")
        return CellProcess(self, answer["process"], ours, output)

    def wait_for(self, process: int, *, kill: bool) -> int:
        """Wait for the end of a cell, or kill it; return its exit code."""
        answer, _ = self._ask({"do": "wait", "process": process, "kill": kill}, "a cell ended")
        return int(answer["code"])

    def close(self) -> None:
        """End the process and all of its cells."""
        self._end()

    def _ask(
        self, request: Mapping[str, Any], when: str
    ) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        self._send(request)
        return self._receive(when)

    def _send(self, request: Mapping[str, Any]) -> None:
        with suppress(OSError):  # the answer, which does not come either, tells how it ended
            send_message(self._connection, request)

    def _receive(self, when: str) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        try:
            return receive_message(self._connection)
        except (EOFError, OSError):
            release_host(self.place)  # the next use starts another
            code = self._process.wait(LAST_SECONDS)
            last = self.output.text(1.0).rstrip().rpartition("\n")[2]
            raise ConfigError(
                f"{self.place.file}: the process {describe_end(code)} while {when}"
                f"{f'; its last line was: {last}' if last else ''}"
            ) from None


def describe_end(code: int) -> str:
    """Describe how a process ended, from its exit code or minus its signal."""
    if code >= 0:
        return f"exited with code {code}"
    names = {-11: "SIGSEGV, a segmentation fault", -6: "SIGABRT",
             -9: "SIGKILL, as the system ends what needs too much memory"}  # fmt: skip
    return f"was ended by signal {names.get(code, -code)}"


def _process_handle(process: int) -> int | None:
    """Return a file descriptor that can be read once a process has ended; None = not here."""
    try:
        return os.pidfd_open(process)
    except (AttributeError, OSError):
        return None


def _is_there(folder: Path, file: SourceFile) -> bool:
    try:
        return (folder / file.name).read_text(encoding="utf-8") == file.text
    except (OSError, ValueError):
        return False


def _with_file(message: str, file: str) -> str:
    return message if message.startswith(f"{file}:") else f"{file}: {message}"


def _end_host(process: "subprocess.Popen[bytes]", connection: Connection, scratch: Path) -> None:
    # Its loop ends with the connection, and kills its cells.
    connection.close()
    try:
        process.wait(LAST_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    shutil.rmtree(scratch, ignore_errors=True)


# One per code: a driver asks it for fields and data, a worker for cells.
_hosts: dict[CodePlace, CodeHost] = {}
_descriptions: dict[CodePlace, CodeDescription] = {}


def host_of(place: CodePlace) -> CodeHost:
    """Return this process's host of some code, which has imported it.

    Raises:
        ConfigError: See `CodeHost.describe`.
    """
    host = _hosts.get(place)
    if host is None:
        host = CodeHost(place)
        _descriptions[place] = host.describe()
        _hosts[place] = host
    return host


def describe_code(place: CodePlace) -> CodeDescription:
    """Return the description of some code, which is imported once.

    Raises:
        ConfigError: See `CodeHost.describe`.
    """
    if place not in _descriptions:
        host_of(place)
    return _descriptions[place]


def release_host(place: CodePlace) -> None:
    """End this process's host of some code, which may hold much data; the next use starts one."""
    host = _hosts.pop(place, None)
    if host is not None:
        host.close()
