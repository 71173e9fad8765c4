"""The check whether the first cells of a run all fail alike: then the study itself is wrong."""

from collections.abc import Iterable

from search.ledger.record import CellRecord
from spaces.core import Status


class FirstFailures:
    """The check whether the first cells of a run all fail for the same reason."""

    def __init__(self, most: int) -> None:
        """Start a run.

        Args:
            most: Number of equal failures that ends the run; 0 = never.
        """
        self._most = most
        self._alike = 0
        self._reason: tuple[str, str] | None = None
        self._over = False  # a cell did not fail, or for another reason

    def add_cells(self, records: Iterable[CellRecord]) -> None:
        """Add cells that ended."""
        for record in records:
            reason = (record.kind, record.reason)
            if record.status != Status.FAILED or self._reason not in (None, reason):
                self._over = True
            self._reason = reason
            self._alike += 1

    def stop_reason(self) -> str:
        """Return why the run should end; empty if it should not."""
        if not self._most or self._over or self._alike < self._most or self._reason is None:
            return ""
        reason = ": ".join(self._reason)
        return (
            f"the first {self._alike} cells failed for the same reason ({reason}); "
            "once that is mended, --retry-failed trains them again"
        )
