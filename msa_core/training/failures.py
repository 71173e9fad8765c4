"""The kinds in which a training can fail, and which kind an exception is."""

import traceback

import torch

EXCEPTION = "exception"
OUT_OF_MEMORY = "out of memory"
NOT_FINITE = "not finite"
TIMEOUT = "timeout"
LOG_LINES = 30  # of what a failed training said last


class EpochTimeout(Exception):
    """An epoch took longer than it may."""


def kind_of(error: BaseException) -> str:
    """The kind of a failure, of the exception that ended a training."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return OUT_OF_MEMORY
    # PyTorch's allocator of main memory and CUDA's libraries raise plain RuntimeErrors.
    said = str(error) if isinstance(error, RuntimeError) else ""
    if "not enough memory" in said or "_ALLOC_FAILED" in said:
        return OUT_OF_MEMORY
    return TIMEOUT if isinstance(error, EpochTimeout) else EXCEPTION


def last_lines(text: str) -> str:
    """The end of a log, as a failed cell keeps it."""
    return "\n".join(text.rstrip().splitlines()[-LOG_LINES:])


def log_of(error: BaseException) -> str:
    """The traceback of an exception, its last lines."""
    return last_lines("".join(traceback.format_exception(error)))
