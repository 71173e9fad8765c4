"""A copy of a results folder on shared or object storage, kept up to date while a run goes on.

A head that is lost takes its disk with it. A run on another head starts from the copy.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from search.atomic_files import UNFINISHED, written_atomically
from search.errors import RunError
from search.ledger.lines import LEDGER
from search.redaction import without_secrets

EVERY_SECONDS = 60.0
MOST_BYTES = 200 * 1024**2  # of a file other than the ledger
# What concerns this machine alone or unfinished cells, or is made again from the ledger.
LEFT_OUT = (
    "lock",
    "checkpoints",
    "mlflow.db",
    "mlflow.db-wal",
    "mlflow.db-shm",
    "mlflow.db-journal",
)


class Mirror:
    """The copy of a results folder in a storage, each file whole or not at all.

    In a `with` block it is kept up to date at regular intervals, in a thread, and at the end.
    """

    def __init__(
        self,
        folder: Path,
        uri: str,
        *,
        every_seconds: float = EVERY_SECONDS,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        """Find the storage; nothing is copied yet.

        Args:
            folder: Results folder.
            uri: `s3://bucket/path`, `gs://bucket/path` or `file:///path`; the folder's own name
                is added. Credentials are where the storage's own tools look for them.
            every_seconds: Time between two rounds, in seconds.
            say: Receiver of one line when the storage can't be reached, and of one when it can
                again.

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
        self._target = f"{root.rstrip('/')}/{folder.name}"
        self._name = without_secrets(uri)
        self._every_seconds = every_seconds
        self._say = say
        self._copied: dict[str, tuple[int, int]] = {}  # relative path -> size and time of change
        self._reached = True
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._copy_regularly, name="mirror", daemon=True)

    def fetch_copy(self) -> int:
        """Copy the storage's files here, if this folder has no ledger yet and the storage has one.

        Returns:
            Number of files that were copied.

        Raises:
            RunError: the storage can't be read.
        """
        if (self.folder / LEDGER).exists():
            return 0
        try:
            names = list(self._names_there())
            if LEDGER not in names:
                return 0
            # The ledger last: without it this folder is not taken for a study's.
            for name in sorted(names, key=lambda name: name == LEDGER):
                self._fetch_file(name)
        except OSError as error:
            raise RunError(
                f"--mirror {self._name}: can't be read ({_first_line(error)}); give access to it, "
                "or leave --mirror out"
            ) from None
        return len(names)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *error: object) -> None:
        self._end.set()
        self._thread.join()
        self.copy_changes()

    def copy_changes(self) -> bool:
        """Copy what changed; return whether all of it arrived."""
        try:
            for path in self._files_here():
                self._send_file(path)
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

    def _copy_regularly(self) -> None:
        while not self._end.wait(self._every_seconds):
            self.copy_changes()

    def _files_here(self) -> Iterator[Path]:
        """Yield the files to be copied, the ledger first: it alone can't be made again."""
        found = [
            path
            for path in self.folder.rglob("*")
            if path.is_file()
            and not path.is_symlink()
            and path.suffix != UNFINISHED
            and path.relative_to(self.folder).parts[0] not in LEFT_OUT
        ]
        yield from sorted(found, key=lambda path: (path.name != LEDGER, str(path)))

    def _send_file(self, path: Path) -> None:
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
        self._write_whole(f"{self._target}/{name}", content)
        self._copied[name] = state

    def _write_whole(self, target: str, content: bytes) -> None:
        """Write a file so that readers find all of it or nothing."""
        # Object storages show a file only when it is complete; others need a rename.
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

        everything = FileSelector(self._target, recursive=True, allow_not_found=True)
        for info in self._storage.get_file_info(everything):
            if info.type == FileType.File and not info.path.endswith(UNFINISHED):
                yield info.path[len(self._target) :].lstrip("/")

    def _fetch_file(self, name: str) -> None:
        target = self.folder / name
        # A storage that others can write to must not place files elsewhere on this machine.
        if not target.resolve().is_relative_to(self.folder.resolve()):
            raise OSError(f"it holds {name!r}, which would leave the results folder")
        target.parent.mkdir(parents=True, exist_ok=True)
        with self._storage.open_input_stream(f"{self._target}/{name}") as stream:
            content: Any = stream.read()
        with written_atomically(target) as part:
            part.write_bytes(content)


def _first_line(error: Exception) -> str:
    with suppress(IndexError):
        return without_secrets(str(error).strip().splitlines()[0])[:200]
    return type(error).__name__
