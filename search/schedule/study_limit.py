"""The limit of a whole study: hours of wall time and hours of training, over all its runs."""

import time
from collections.abc import Iterable

from search.ledger.record import CellRecord
from search.results.selection import seconds_of
from spaces.study_file.file_shape import Budget

HOUR = 3600.0


class StudyLimit:
    """The budget limit of a study, over all its runs.

    At the limit no more packs are assigned; those in flight are finished and kept.
    """

    def __init__(self, budget: Budget, wall_seconds: float, trained: Iterable[CellRecord]) -> None:
        """Start a run.

        Args:
            budget: Budget with the limits.
            wall_seconds: Wall time of the study's earlier runs, in seconds.
            trained: All cells of the ledger.
        """
        self._budget = budget
        self._earlier = wall_seconds
        self._started = time.monotonic()
        self._device_seconds = seconds_of(trained)

    def add_cells(self, records: Iterable[CellRecord]) -> None:
        """Add cells that were trained."""
        self._device_seconds += seconds_of(records)

    def reached_limit(self) -> str:
        """Return a sentence about the limit that is reached and how to go on; empty if none is."""
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
