"""Checkpoints of cells that are being trained, in the results folder; only the driver is here.

    checkpoints/<cell key>.pt   a cell as of its worker's last report

They save time and decide nothing: a cell whose checkpoint is lost starts again, to the same
numbers. So a disk that is full is no error here, and the oldest go where all of them together
would be too large. `msa_core.vectorised.checkpoint` reads what is in a file.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from search.atomic_files import UNFINISHED, written_atomically

CHECKPOINTS = "checkpoints"  # folder
_SUFFIX = ".pt"
# Keys come from workers and become names of files: nothing that could leave the folder.
_KEY = re.compile(r"[A-Za-z0-9_-]{1,200}")


class Checkpoints:
    """The newest checkpoint of each cell, on the disk."""

    def __init__(self, folder: Path, most_bytes: int) -> None:
        """Create the store with the checkpoints that the folder holds.

        Args:
            folder: Results folder.
            most_bytes: Size that all checkpoints together may have, in bytes.
        """
        self.folder = folder / CHECKPOINTS
        self.most_bytes = most_bytes
        self._refused = False  # whether the disk refused the last one, which was then reported
        self._sizes = self._scan_folder()

    def keep(self, checkpoints: Mapping[str, bytes]) -> str:
        """Keep newer checkpoints in place of older ones.

        Each is written atomically, and on the disk before it takes the older one's place. One that
        is larger by itself than all may be is not kept, nor is the one before it.

        Args:
            checkpoints: Cell key -> its checkpoint.

        Returns:
            Why some were not kept, once until the disk takes one again; else empty.

        Raises:
            ValueError: A key that is no safe name of a file.
        """
        fault = ""
        for key, content in checkpoints.items():
            path = self._path_of(key)
            if len(content) > self.most_bytes:
                self.drop([key])
                continue
            self._make_room(key, len(content))
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                with written_atomically(path, durable=True) as part:
                    part.write_bytes(content)
            except OSError as error:
                # Reported once: on a full disk every checkpoint of the run would fail alike.
                if not self._refused:
                    fault = (
                        f"{path}: a checkpoint could not be kept ({error.strerror or error}); "
                        "the run goes on, but if it is interrupted, cells start again from older "
                        "checkpoints or from their first epoch"
                    )
                self._refused = True
            else:
                self._refused = False
                self._sizes.pop(key, None)  # the newest are last
                self._sizes[key] = len(content)
        return fault

    def load_for(self, keys: Iterable[str]) -> dict[str, bytes]:
        """Read the checkpoints of those of these cells that have one."""
        found = {}
        for key in keys:
            if key in self._sizes:
                try:
                    found[key] = self._path_of(key).read_bytes()
                except OSError:  # it was deleted by hand; the cell starts from its first epoch
                    del self._sizes[key]
        return found

    def drop(self, keys: Iterable[str]) -> None:
        """Remove the checkpoints of cells that are finished."""
        for key in keys:
            if key in self._sizes:
                _remove_quietly(self._path_of(key))
                del self._sizes[key]

    def clean_up(self, finished: Collection[str]) -> None:
        """Tidy up at the start of a run.

        Removes checkpoints of finished cells, what an interrupted driver left half written, and
        the oldest of those that are too many.

        Args:
            finished: Keys of cells that need none.
        """
        if self.folder.is_dir():
            for path in self.folder.glob(f"*{UNFINISHED}"):
                _remove_quietly(path)
        self.drop([key for key in self._sizes if key in finished])
        self._make_room("", 0)

    def _make_room(self, key: str, size: int) -> None:
        """Drop the oldest of the others until one of this size fits."""
        others = [other for other in self._sizes if other != key]
        held = sum(self._sizes[other] for other in others)
        for other in others:
            if held + size <= self.most_bytes:
                break
            held -= self._sizes[other]
            self.drop([other])

    def _path_of(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise ValueError(f"'{key}' is no key of a cell: letters, digits, '-' and '_' only")
        return self.folder / f"{key}{_SUFFIX}"

    def _scan_folder(self) -> dict[str, int]:
        """Return cell key -> size in bytes of the files that are there, the oldest first."""
        found = []
        for path in self.folder.glob(f"*{_SUFFIX}") if self.folder.is_dir() else ():
            # No links: they may lead elsewhere, and what they lead to would be deleted or read.
            if _KEY.fullmatch(path.stem) and not path.is_symlink() and path.is_file():
                there = path.stat()
                found.append((there.st_mtime_ns, path.stem, there.st_size))
        return {key: size for _, key, size in sorted(found)}


def _remove_quietly(path: Path) -> None:
    with suppress(OSError):  # e.g. of a read-only disk; the next start tries again
        path.unlink(missing_ok=True)
