"""Failures as data: their kinds, and when so many alike mean that the study itself is wrong."""

from collections.abc import Iterable

from msa_core.training.failures import EXCEPTION, NOT_FINITE, OUT_OF_MEMORY, TIMEOUT
from search.ledger.record import CellRecord

LOST_WORKER = "lost worker"
LOST_NODE = "lost node"
KINDS = (EXCEPTION, OUT_OF_MEMORY, NOT_FINITE, TIMEOUT, LOST_WORKER, LOST_NODE)


class FirstFailures:
    """Watches whether the first cells of a run all fail for the same reason."""

    def __init__(self, most: int) -> None:
        """Start a run.

        Args:
            most: so many alike end it; 0 = never.
        """
        self._most = most
        self._alike = 0
        self._reason: tuple[str, str] | None = None
        self._over = False  # a cell did otherwise

    def take_in(self, records: Iterable[CellRecord]) -> None:
        """Cells ended."""
        for record in records:
            reason = (record.kind, record.reason)
            if record.status != "failed" or self._reason not in (None, reason):
                self._over = True
            self._reason = reason
            self._alike += 1

    def verdict(self) -> str:
        """Why the run should end; empty if it should not."""
        if not self._most or self._over or self._alike < self._most or self._reason is None:
            return ""
        reason = ": ".join(self._reason)
        return (
            f"the first {self._alike} cells failed for the same reason ({reason}); "
            "once that is mended, --retry-failed trains them again"
        )
