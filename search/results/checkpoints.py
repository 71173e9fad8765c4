"""Checkpoints of cells that are being trained, in the results folder; only the driver is here.

    checkpoints/<cell key>.pt   where a cell was when its worker last said so

They save time and decide nothing: a cell whose checkpoint is lost starts again, to the same
numbers. So a disk that is full is no error here, and the oldest go where all of them together
would be too large. `msa_core.vectorised.checkpoint` reads what is in a file.
"""

import os
import re
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

CHECKPOINTS = "checkpoints"  # folder
_SUFFIX, _UNFINISHED = ".pt", ".tmp"
_KEY = re.compile(r"[A-Za-z0-9_-]{1,200}")


class Checkpoints:
    """The newest checkpoint of each cell, on the disk."""

    def __init__(self, folder: Path, most_bytes: int) -> None:
        """Take in what is there.

        Args:
            folder: of the results.
            most_bytes: of all checkpoints together.
        """
        self.folder = folder / CHECKPOINTS
        self.most_bytes = most_bytes
        self._refused = False  # by the disk, and that it was is said
        self._sizes = self._found()

    @property
    def total_bytes(self) -> int:
        """Of all that are kept."""
        return sum(self._sizes.values())

    def keep(self, checkpoints: Mapping[str, bytes]) -> str:
        """Keep newer checkpoints in place of older ones.

        Each is written whole or not at all, and on the disk before it takes the older one's place.
        One that is larger by itself than all may be is not kept, nor is the one before it.

        Args:
            checkpoints: key of a cell -> its checkpoint.

        Returns:
            Why some were not kept, once until the disk takes one again; else empty.

        Raises:
            ValueError: a key that is no safe name of a file.
        """
        said = ""
        for key, content in checkpoints.items():
            path = self._path(key)
            if len(content) > self.most_bytes:
                self.drop([key])
                continue
            self._make_room(key, len(content))
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                _write_whole(path, content)
            except OSError as error:
                if not self._refused:
                    said = (
                        f"{path}: a checkpoint could not be kept ({error.strerror or error}); "
                        "the run goes on, but if it is interrupted, cells start again from older "
                        "checkpoints or from their first epoch"
                    )
                self._refused = True
            else:
                self._refused = False
                self._sizes.pop(key, None)  # the newest are last
                self._sizes[key] = len(content)
        return said

    def of(self, keys: Iterable[str]) -> dict[str, bytes]:
        """The checkpoints of those of these cells that have one."""
        found = {}
        for key in keys:
            if key in self._sizes:
                try:
                    found[key] = self._path(key).read_bytes()
                except OSError:  # somebody took it away
                    del self._sizes[key]
        return found

    def drop(self, keys: Iterable[str]) -> None:
        """Remove the checkpoints of cells that are finished."""
        for key in keys:
            if key in self._sizes:
                _remove(self._path(key))
                del self._sizes[key]

    def sweep(self, finished: Collection[str]) -> None:
        """Tidy up at the start of a run.

        Removes checkpoints of finished cells, what an interrupted driver left half written, and
        the oldest of those that are too many.

        Args:
            finished: keys of cells that need none.
        """
        if self.folder.is_dir():
            for path in self.folder.glob(f"*{_UNFINISHED}"):
                _remove(path)
        self.drop([key for key in self._sizes if key in finished])
        self._make_room("", 0)

    def _make_room(self, key: str, size: int) -> None:
        """Drop the oldest of the others until one of this size can take the place of its older."""
        others = [other for other in self._sizes if other != key]
        held = sum(self._sizes[other] for other in others)
        for other in others:
            if held + size <= self.most_bytes:
                break
            held -= self._sizes[other]
            self.drop([other])

    def _path(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise ValueError(f"'{key}' is no key of a cell: letters, digits, '-' and '_' only")
        return self.folder / f"{key}{_SUFFIX}"

    def _found(self) -> dict[str, int]:
        """Key -> bytes of what is there, the oldest first; no links, which may lead elsewhere."""
        found = []
        for path in self.folder.glob(f"*{_SUFFIX}") if self.folder.is_dir() else ():
            if _KEY.fullmatch(path.stem) and not path.is_symlink() and path.is_file():
                there = path.stat()
                found.append((there.st_mtime_ns, path.stem, there.st_size))
        return {key: size for _, key, size in sorted(found)}


def _write_whole(path: Path, content: bytes) -> None:
    unfinished = path.with_name(path.name + _UNFINISHED)
    try:
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError:
        _remove(unfinished)
        raise


def _remove(path: Path) -> None:
    with suppress(OSError):  # of a disk that can only be read, say; the next start tries again
        path.unlink(missing_ok=True)
