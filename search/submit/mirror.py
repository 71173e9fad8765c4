"""A copy of a results folder on shared or object storage, kept up to date while a run goes on.

A head that is lost takes its disk with it. A run on another head starts from the copy.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from search.errors import RunError
from search.ledger.ledger import LEDGER
from search.redaction import without_secrets

EVERY_SECONDS = 60.0
MOST_BYTES = 200 * 1024**2  # of a file other than the ledger
# Of this machine alone, of cells that are not finished, or made again from the ledger.
LEFT_OUT = (
    "lock",
    "checkpoints",
    "mlflow.db",
    "mlflow.db-wal",
    "mlflow.db-shm",
    "mlflow.db-journal",
)
UNFINISHED = ".tmp"


class Mirror:
    """Copies what changed in a folder to a place, each file whole or not at all."""

    def __init__(
        self,
        folder: Path,
        uri: str,
        *,
        every_seconds: float = EVERY_SECONDS,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        """Find the place; nothing is copied yet.

        Args:
            folder: of the results.
            uri: `s3://bucket/path`, `gs://bucket/path` or `file:///path`; the folder's own name
                is added. Credentials are where the storage's own tools look for them.
            every_seconds: between two rounds.
            say: hears, once, that the place can't be reached, and that it can again.

        Raises:
            RunError: no such storage.
        """
        from pyarrow.fs import FileSystem

        self.folder = folder
        try:
            self._storage, root = FileSystem.from_uri(uri)
        except (OSError, ValueError) as error:
            raise RunError(
                f"--mirror {without_secrets(uri)}: not a storage that can be written to "
                f"({_first_line(error)}); use s3://BUCKET/PATH, gs://BUCKET/PATH or file:///PATH"
            ) from None
        self._place = f"{root.rstrip('/')}/{folder.name}"
        self._name = without_secrets(uri)
        self._every_seconds = every_seconds
        self._say = say
        self._copied: dict[str, tuple[int, int]] = {}  # relative path -> size and time of change
        self._reached = True
        self._end = threading.Event()
        self._thread: threading.Thread | None = None

    def fetch(self) -> int:
        """Copy the place here, if this folder has no ledger yet and the place has one.

        Returns:
            How many files came.

        Raises:
            RunError: the place can't be read.
        """
        if (self.folder / LEDGER).exists():
            return 0
        try:
            names = list(self._names_there())
            if LEDGER not in names:
                return 0
            # The ledger last: without it this folder is not taken for a study's.
            for name in sorted(names, key=lambda name: name == LEDGER):
                self._bring(name)
        except OSError as error:
            raise RunError(
                f"--mirror {self._name}: can't be read ({_first_line(error)}); give access to it, "
                "or leave --mirror out"
            ) from None
        return len(names)

    def start(self) -> None:
        """Copy every so often from now on, in the background."""
        self._thread = threading.Thread(target=self._go_on, name="mirror", daemon=True)
        self._thread.start()

    def close(self) -> bool:
        """Copy what is left, and end.

        Returns:
            Whether the place has everything.
        """
        self._end.set()
        if self._thread is not None:
            self._thread.join()
        return self.copy()

    def copy(self) -> bool:
        """Copy what changed; whether all of it arrived."""
        try:
            for path in self._files_here():
                self._send(path)
        except OSError as error:
            if self._reached:
                self._say(
                    f"warning: {self._name} can't be written ({_first_line(error)}); the results "
                    f"are in {self.folder}, and it is tried again every "
                    f"{self._every_seconds:.0f} s"
                )
            self._reached = False
            return False
        if not self._reached:
            self._say(f"{self._name} is up to date again")
        self._reached = True
        return True

    def _go_on(self) -> None:
        while not self._end.wait(self._every_seconds):
            self.copy()

    def _files_here(self) -> Iterator[Path]:
        """Everything to be copied; the ledger first, it is what can't be made again."""
        found = [
            path
            for path in self.folder.rglob("*")
            if path.is_file()
            and not path.is_symlink()
            and path.suffix != UNFINISHED
            and path.relative_to(self.folder).parts[0] not in LEFT_OUT
        ]
        yield from sorted(found, key=lambda path: (path.name != LEDGER, str(path)))

    def _send(self, path: Path) -> None:
        """Copy a file if it changed."""
        name = path.relative_to(self.folder).as_posix()
        try:
            found = path.stat()
            state = (found.st_size, found.st_mtime_ns)
            too_large = found.st_size > MOST_BYTES and name != LEDGER
            if too_large or self._copied.get(name) == state:
                return
            content = path.read_bytes()
        except FileNotFoundError:  # it was replaced in this moment
            return
        self._write_whole(f"{self._place}/{name}", content)
        self._copied[name] = state

    def _write_whole(self, target: str, content: bytes) -> None:
        """Object storages show a file when it is complete; others need it moved into place."""
        self._storage.create_dir(target.rpartition("/")[0], recursive=True)
        if self._storage.type_name != "local":
            with self._storage.open_output_stream(target) as stream:
                stream.write(content)
            return
        unfinished = f"{target}{UNFINISHED}"
        with self._storage.open_output_stream(unfinished) as stream:
            stream.write(content)
        self._storage.move(unfinished, target)

    def _names_there(self) -> Iterator[str]:
        from pyarrow.fs import FileSelector, FileType

        everything = FileSelector(self._place, recursive=True, allow_not_found=True)
        for info in self._storage.get_file_info(everything):
            if info.type == FileType.File and not info.path.endswith(UNFINISHED):
                yield info.path[len(self._place) :].lstrip("/")

    def _bring(self, name: str) -> None:
        target = self.folder / name
        if not target.resolve().is_relative_to(self.folder.resolve()):
            raise OSError(f"it holds {name!r}, which would leave the results folder")
        target.parent.mkdir(parents=True, exist_ok=True)
        with self._storage.open_input_stream(f"{self._place}/{name}") as stream:
            content: Any = stream.read()
        unfinished = target.with_name(f"{target.name}{UNFINISHED}")
        unfinished.write_bytes(content)
        unfinished.replace(target)


def _first_line(error: Exception) -> str:
    with suppress(IndexError):
        return without_secrets(str(error).strip().splitlines()[0])[:200]
    return type(error).__name__
