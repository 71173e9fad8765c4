"""The outcomes of a training: its status and, if it failed, the kind of the failure.

Standard library only, so that a ledger is read without PyTorch. Both are strings: files, tags and
tables hold their plain text.
"""

from enum import StrEnum


class Status(StrEnum):
    """The status of a training that has ended."""

    COMPLETE = "complete"
    PRUNED = "pruned"  # stopped early, so that better ones may train
    FAILED = "failed"


class FailureKind(StrEnum):
    """The kind of a failure."""

    EXCEPTION = "exception"
    OUT_OF_MEMORY = "out of memory"
    NOT_FINITE = "not finite"
    TIMEOUT = "timeout"
    # A training cannot report these two: whoever runs it on another process or machine finds out.
    # They stand here all the same, so that there is one list.
    LOST_WORKER = "lost worker"
    LOST_NODE = "lost node"
