"""Where a whole study ends, finished or not: hours of wall time, hours of training."""

import time
from collections.abc import Iterable

from search.ledger.record import CellRecord
from search.results.selection import seconds_of
from spaces.study_file.study_fields import Budget

HOUR = 3600.0


class Ceiling:
    """Counts the hours of a study over all its runs.

    At its ceiling no more work is handed out; what trains is finished and kept.
    """

    def __init__(self, budget: Budget, wall_seconds: float, trained: Iterable[CellRecord]) -> None:
        """Start a run.

        Args:
            budget: with the ceilings.
            wall_seconds: of the study's earlier runs.
            trained: every cell of the ledger.
        """
        self._budget = budget
        self._earlier = wall_seconds
        self._started = time.monotonic()
        self._device_seconds = seconds_of(trained)

    def take_in(self, records: Iterable[CellRecord]) -> None:
        """Cells were trained."""
        self._device_seconds += seconds_of(records)

    def reached(self) -> str:
        """Which ceiling is reached and how to go on; empty if none is."""
        wall = self._earlier + time.monotonic() - self._started
        for name, limit, seconds in (
            ("max_wall_hours", self._budget.max_wall_hours, wall),
            ("max_device_hours", self._budget.max_device_hours, self._device_seconds),
        ):
            if limit is not None and seconds >= limit * HOUR:
                return (
                    f"budget.{name}: {limit:g} is reached ({seconds / HOUR:.3g} hours in all runs "
                    f"of this study); a higher one, e.g. --set budget.{name}={2 * limit:g}, goes on"
                )
        return ""
