"""Failures of a training: the kind that an exception is, and the end of a log.

Standard library only, for cores and the platform alike.
"""

import sys
import traceback
from enum import StrEnum

LOG_LINES = 30  # kept of a failed training, its last ones


class FailureKind(StrEnum):
    """The kind of a failure."""

    EXCEPTION = "exception"
    OUT_OF_MEMORY = "out of memory"
    NOT_FINITE = "not finite"
    TIMEOUT = "timeout"
    CRASHED = "crashed"  # its process ended without an answer
    # A training cannot report these two: whoever runs it on another process or machine finds out.
    # They stand here all the same, so that there is one list.
    LOST_WORKER = "lost worker"
    LOST_NODE = "lost node"


class EpochTimeout(Exception):
    """An epoch took longer than it may."""


def kind_of(error: BaseException) -> FailureKind:
    """Return the kind of failure that an exception is."""
    if isinstance(error, (MemoryError, *_torch_memory_errors())):
        return FailureKind.OUT_OF_MEMORY
    # PyTorch's allocator of main memory and CUDA's libraries raise plain RuntimeErrors.
    message = str(error) if isinstance(error, RuntimeError) else ""
    if "not enough memory" in message or "_ALLOC_FAILED" in message:
        return FailureKind.OUT_OF_MEMORY
    return FailureKind.TIMEOUT if isinstance(error, EpochTimeout) else FailureKind.EXCEPTION


def last_lines(text: str) -> str:
    """Cut a log to its last lines, as a failed cell keeps it."""
    return "\n".join(text.rstrip().splitlines()[-LOG_LINES:])


def describe_failure(error: BaseException) -> tuple[FailureKind, str, str]:
    """Return the kind of failure, the exception in one line, and the end of its traceback."""
    log = last_lines("".join(traceback.format_exception(error)))
    return kind_of(error), f"{type(error).__name__}: {error}", log


def _torch_memory_errors() -> tuple[type[BaseException], ...]:
    # Where PyTorch was never imported, no exception is one of its.
    found = getattr(sys.modules.get("torch"), "OutOfMemoryError", None)
    return (found,) if found else ()
