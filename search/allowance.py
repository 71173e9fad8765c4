"""The device-seconds of an arm: what is spent, what is promised to packs, what is left.

Every arm may train for the same number of seconds in its tuning. A pack is promised a share of what
is left and is stopped when it has used it; so an arm spends its seconds to within an epoch of its
last pack.
"""

from collections.abc import Iterable

from search.ledger import CellRecord
from search.selection import seconds_of

LEFT_OVER = 0.02  # of an arm's seconds: too little to open another pack for


class Allowance:
    """The device-seconds of one arm's tuning."""

    def __init__(self, total: float, spent: Iterable[CellRecord]) -> None:
        """Start from the ledger.

        Args:
            total: seconds.
            spent: the arm's finished tuning cells.
        """
        self.total = total
        self._spent: dict[str, float] = {}
        self._promised: dict[str, float] = {}  # first cell of a pack -> its limit
        self._complete: list[float] = []
        self.take_in(spent)

    @property
    def spent(self) -> float:
        """Seconds that finished cells have trained."""
        return sum(self._spent.values())

    @property
    def left(self) -> float:
        """Seconds that are neither spent nor promised."""
        return self.total - self.spent - sum(self._promised.values())

    @property
    def open(self) -> bool:
        """Whether another pack may be handed out."""
        return self.left > LEFT_OVER * self.total

    @property
    def used_up(self) -> bool:
        """Whether no pack is on its way and none will be."""
        return not self._promised and not self.open

    def promise(self, first_key: str, share: float) -> float:
        """The limit of a pack.

        Args:
            first_key: of its first cell.
            share: of what is left.
        """
        limit = max(self.left * share, LEFT_OVER * self.total)
        self._promised[first_key] = limit
        return limit

    def affordable(self, seconds: float) -> int | None:
        """Cells that would train to their end in some seconds; None if nobody knows."""
        if not self._complete:
            return None
        return int(seconds * len(self._complete) / sum(self._complete))

    def take_in(self, records: Iterable[CellRecord]) -> None:
        """Finished tuning cells; the promise to their pack is kept."""
        for record in records:
            self._spent[record.key] = seconds_of([record])
            self._promised.pop(record.key, None)
            if record.status == "complete":
                self._complete.append(self._spent[record.key])


def share_of(idle: int, arms: int) -> float:
    """What share of an arm's seconds one pack may have, for the idle workers to be busy."""
    return 1.0 / max(1, -(-idle // max(1, arms)))
