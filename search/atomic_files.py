"""Files and lines that are there as they should be, or not at all. Standard library only."""

from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Write a file as it is or not at all.

    Raises:
        OSError: it cannot be written; what was there before is there still.
    """
    unfinished = path.with_name(f"{path.name}.tmp")
    unfinished.write_text(text, encoding="utf-8", newline="")
    unfinished.replace(path)


def append_line(path: Path, line: str) -> None:
    """Add a line; one that was torn before it, by a crash or a full disk, is closed off first.

    Args:
        path: of the file; made if it does not exist.
        line: without its end.

    Raises:
        OSError: it cannot be written.
    """
    with path.open("a+b") as file:
        if file.tell() > 0:
            file.seek(-1, 2)
            line = line if file.read(1) == b"\n" else f"\n{line}"
        file.write(f"{line}\n".encode())
