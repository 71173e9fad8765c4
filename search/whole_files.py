"""Files that are there as they should be, or not at all. Standard library only."""

from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Write a file as it is or not at all.

    Raises:
        OSError: it cannot be written; what was there before is there still.
    """
    unfinished = path.with_name(f"{path.name}.tmp")
    unfinished.write_text(text, encoding="utf-8", newline="")
    unfinished.replace(path)
