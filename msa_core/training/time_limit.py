"""A time limit for a block of Python code."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from spaces.failures import EpochTimeout

SOON = 1e-3  # seconds; a timer of 0 would be none


@contextmanager
def limit_time(seconds: float | None) -> Iterator[None]:
    """Raise `EpochTimeout` inside the block once it has taken so many seconds.

    It is an alarm that Python handles between two of its own operations: an endless loop, a
    `time.sleep` or a lock is interrupted, one operation of a library that never returns is not.
    Only the main thread of a POSIX process can set one; elsewhere there is no limit. An alarm that
    was set before is kept.

    Args:
        seconds: Longest time, in seconds, > 0; None for no limit.
    """
    if seconds is None or not _can_set_alarms():
        yield
        return

    def ring(number: int, frame: FrameType | None) -> None:
        raise EpochTimeout(f"an epoch took longer than {seconds:g} s")

    # An alarm of the caller's may be set already; it is set again at the end, less the time spent.
    started = time.monotonic()
    handler = signal.signal(signal.SIGALRM, ring)
    left, interval = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0.0)
    finally:  # also where the alarm rang in the line above: it rings once
        signal.signal(signal.SIGALRM, handler)
        if left:
            left = max(SOON, left - (time.monotonic() - started))
            signal.setitimer(signal.ITIMER_REAL, left, interval)


def _can_set_alarms() -> bool:
    in_main_thread = threading.current_thread() is threading.main_thread()
    return in_main_thread and hasattr(signal, "setitimer")
