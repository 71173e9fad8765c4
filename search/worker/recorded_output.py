"""The last lines of a worker's output: kept for the log of a cell that fails on it."""

import sys
import threading
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from spaces.failures import LOG_LINES, last_lines

BEGINS = ":pack begins"  # among Ray's own marks, which begin like it
MOST_BESIDES = 20  # of a traceback, so that some lines of output are left above it

_said: deque[str] = deque(maxlen=LOG_LINES)
_listening = threading.Event()


class _Tee:
    """A stream that records the lines that pass through it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._begun = ""

    def write(self, text: str) -> int:
        *whole, self._begun = (self._begun + text).split("\n")
        _said.extend(line for line in whole if line.strip())
        return self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def start_recording() -> None:
    """Record from now on what this process prints, on either stream."""
    if not _listening.is_set():
        _listening.set()
        sys.stdout, sys.stderr = _Tee(sys.stdout), _Tee(sys.stderr)


def clear_recorded() -> None:
    """Clear what was recorded: another pack begins."""
    if _listening.is_set():
        for stream in (sys.stdout, sys.stderr):
            stream.write(f"{BEGINS}\n")  # for `log_of_process`, if this process dies
            stream.flush()
    _said.clear()


def recent_lines(besides: str = "") -> str:
    """Return the last lines of this process, and below them the last of some more."""
    if not besides:
        return "\n".join(_said)
    more = besides.rstrip().splitlines()[-MOST_BESIDES:]
    return "\n".join([*list(_said)[-(LOG_LINES - len(more)) :], *more])


def log_of_process(logs: Path, process: int) -> str:
    """Read the last lines of a dead worker process of this machine, of its last pack.

    Args:
        logs: Folder of Ray's logs.
        process: Number of the process.
    """
    lines = []
    with suppress(OSError):
        for ending in ("out", "err"):
            for path in sorted(logs.glob(f"worker-*-{process}.{ending}")):
                text = path.read_text(encoding="utf-8", errors="replace").rpartition(BEGINS)[2]
                # Ray's own marks for its log monitor.
                lines += [line for line in text.splitlines() if not line.startswith(":")]
    return last_lines("\n".join(lines))
