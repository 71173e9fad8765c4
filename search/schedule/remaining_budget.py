"""The device-seconds of an arm: spent, reserved for packs, left.

Every arm may train for the same number of seconds in its tuning. A share of what is left is
reserved for each pack, which is stopped when it has used it; so an arm spends its seconds to within
an epoch of its last pack. Reservations are per pack, so that several workers share an arm without
overspending.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from search.ledger.record import CellRecord
from search.results.selection import seconds_of
from spaces.core import Status

LEFT_OVER = 0.02  # share of an arm's seconds that is too little for another pack


@dataclass(kw_only=True, slots=True, eq=False)
class Reservation:
    """The seconds that are reserved for a pack.

    Attributes:
        seconds: Seconds of its limit that its finished cells have not used.
        cells: Keys of its cells that are not finished.
    """

    seconds: float
    cells: set[str]


class RemainingBudget:
    """The remaining device-seconds of one arm's tuning."""

    def __init__(self, total: float, spent: Iterable[CellRecord]) -> None:
        """Start from the ledger.

        Args:
            total: Seconds that the arm may train.
            spent: Finished tuning cells of the arm.
        """
        self.total = total
        self.spent = 0.0  # seconds of finished cells
        self._promises: dict[str, Reservation] = {}  # by the key of each cell
        self._complete = 0  # cells that trained to their end
        self._complete_seconds = 0.0
        self.add_cells(spent)

    @property
    def seconds_left(self) -> float:
        """Seconds that are neither spent nor reserved."""
        promises = dict.fromkeys(self._promises.values())
        return self.total - self.spent - sum(promise.seconds for promise in promises)

    @property
    def has_room(self) -> bool:
        """Whether there are enough seconds for another pack."""
        return self.seconds_left > LEFT_OVER * self.total

    @property
    def used_up(self) -> bool:
        """Whether no pack is in flight and there are no seconds for another one."""
        return not self._promises and not self.has_room

    def pack_limit(self, share: float) -> float:
        """Return the seconds that a pack may have.

        Args:
            share: Share of the seconds that are left.
        """
        return max(self.seconds_left * share, LEFT_OVER * self.total)

    def reserve_seconds(self, seconds: float, keys: Iterable[str]) -> None:
        """Reserve seconds for a pack, until its last cell is finished or requeued.

        Args:
            seconds: Limit of the pack.
            keys: Keys of its cells.
        """
        promise = Reservation(seconds=seconds, cells=set(keys))
        self._promises.update(dict.fromkeys(promise.cells, promise))

    def release_cells(self, keys: Iterable[str]) -> float:
        """Release cells that are not trained any more; return the seconds that are free again."""
        return sum(self._release_cell(key, 0.0) for key in keys)

    def affordable_cells(self, seconds: float) -> int | None:
        """Return how many cells would train to their end in some seconds; None if unknown."""
        if not self._complete_seconds:
            return None
        return int(seconds * self._complete / self._complete_seconds)

    def add_cells(self, records: Iterable[CellRecord]) -> None:
        """Add finished tuning cells; a pack's last one ends its reservation."""
        for record in records:
            spent = seconds_of([record])
            self.spent += spent
            self._release_cell(record.key, spent)
            if record.status == Status.COMPLETE:
                self._complete += 1
                self._complete_seconds += spent

    def _release_cell(self, key: str, spent: float) -> float:
        """Release a cell; return the seconds that are free again, 0 before a pack's last cell."""
        promise = self._promises.pop(key, None)
        if promise is None:
            return 0.0
        promise.seconds = max(0.0, promise.seconds - spent)
        promise.cells.discard(key)
        return 0.0 if promise.cells else promise.seconds


def pack_share(idle: int, arms: int) -> float:
    """Return the share of an arm's seconds for one pack, such that idle workers get some, too."""
    return 1.0 / max(1, -(-idle // max(1, arms)))
