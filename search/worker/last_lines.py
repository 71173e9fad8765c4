"""The last lines that a worker said: kept for the log of a cell that fails on it."""

import sys
import threading
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from msa_core.training.failures import LOG_LINES, last_lines

BEGINS = ":pack begins"  # among Ray's own marks, which begin like it
MOST_BESIDES = 20  # so that the lines of a long traceback leave some for what was said

_said: deque[str] = deque(maxlen=LOG_LINES)
_listening = threading.Event()


class _Tee:
    """A stream that remembers what passes through it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._begun = ""

    def write(self, text: str) -> int:
        *whole, self._begun = (self._begun + text).split("\n")
        _said.extend(line for line in whole if line.strip())
        return self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def listen() -> None:
    """Remember from now on what this process says, on either stream."""
    if not _listening.is_set():
        _listening.set()
        sys.stdout, sys.stderr = _Tee(sys.stdout), _Tee(sys.stderr)


def forget() -> None:
    """Forget what was said so far: another pack begins."""
    if _listening.is_set():
        for stream in (sys.stdout, sys.stderr):
            stream.write(f"{BEGINS}\n")  # for who reads the log of a process that died
            stream.flush()
    _said.clear()


def said_lately(besides: str = "") -> str:
    """The last lines that this process said, and the last of some more below them."""
    if not besides:
        return "\n".join(_said)
    more = besides.rstrip().splitlines()[-MOST_BESIDES:]
    return "\n".join([*list(_said)[-(LOG_LINES - len(more)) :], *more])


def log_of_process(logs: Path, process: int) -> str:
    """The last lines of a worker process of this machine that is gone, of its last pack.

    Args:
        logs: folder in which Ray keeps them.
        process: its number.
    """
    lines = []
    with suppress(OSError):
        for ending in ("out", "err"):
            for path in sorted(logs.glob(f"worker-*-{process}.{ending}")):
                text = path.read_text(encoding="utf-8", errors="replace").rpartition(BEGINS)[2]
                # Ray's own marks for its log monitor.
                lines += [line for line in text.splitlines() if not line.startswith(":")]
    return last_lines("\n".join(lines))
