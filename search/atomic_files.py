"""Atomic writes: a reader finds the old file or the new one, never a part. Standard library only.

`msa_core.data.cache` and `reports.write` have such a function of their own: the layers of the house
allow neither package to import `search`.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

UNFINISHED = ".tmp"  # ending of every temporary file, by which others pass them over


@contextmanager
def written_atomically(
    path: Path, *, durable: bool = False, keep_existing: bool = False
) -> Iterator[Path]:
    """Yield a temporary path in the same folder, which takes the file's place after the block.

    Args:
        path: File to write. A link is replaced, and not what it leads to.
        durable: Whether the content is on the disk before it takes the place.
        keep_existing: Whether a file that another process made meanwhile stays as it is.

    Raises:
        OSError: It cannot be written; what was there before is still there.
    """
    # A name of its own each time: two processes may write the same file at once, and SQLite and
    # MLflow remember the files that a process has opened by their names.
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}{UNFINISHED}")
    try:
        yield part
        if durable:
            with part.open("rb") as file:
                os.fsync(file.fileno())
        if keep_existing:
            _link_or_rename(part, path)
        else:
            part.replace(path)
    finally:
        # Also where the block was interrupted. On a disk that became read-only even this fails,
        # and then the first error is the one worth raising.
        with suppress(OSError):
            part.unlink(missing_ok=True)


def write_text_atomically(path: Path, text: str) -> None:
    """Write a text file, its line ends as they are in the text.

    Raises:
        OSError: It cannot be written; what was there before is still there.
    """
    with written_atomically(path) as part:
        part.write_text(text, encoding="utf-8", newline="")


def append_line(path: Path, line: str) -> None:
    """Add a line; one that was torn before it, by a crash or a full disk, is closed off first.

    Args:
        path: File to add it to; made if it does not exist.
        line: Text of the line, without its end.

    Raises:
        OSError: It cannot be written.
    """
    with path.open("a+b") as file:
        if file.tell() > 0:
            file.seek(-1, 2)
            line = line if file.read(1) == b"\n" else f"\n{line}"
        # One write for the line and its end: another process's line can't come between them.
        file.write(f"{line}\n".encode())


def _link_or_rename(part: Path, path: Path) -> None:
    """Give a file its name, unless there is a file of that name."""
    try:
        # Unlike a rename, a link fails where the name is taken, in one step.
        os.link(part, path)
    except FileExistsError:
        return
    except OSError:  # a file system without hard links
        part.replace(path)
