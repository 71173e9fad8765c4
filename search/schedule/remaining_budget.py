"""The device-seconds of an arm: what is spent, what is promised to packs, what is left.

Every arm may train for the same number of seconds in its tuning. A pack is promised a share of what
is left and is stopped when it has used it; so an arm spends its seconds to within an epoch of its
last pack.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from search.ledger.record import CellRecord
from search.results.selection import seconds_of

LEFT_OVER = 0.02  # of an arm's seconds: too little to open another pack for


@dataclass(kw_only=True, slots=True)
class Promise:
    """What a pack may still train.

    Attributes:
        seconds: of its limit that its cells have not used.
        cells: keys of those that are not finished.
    """

    seconds: float
    cells: set[str]


class Allowance:
    """The device-seconds of one arm's tuning."""

    def __init__(self, total: float, spent: Iterable[CellRecord]) -> None:
        """Start from the ledger.

        Args:
            total: seconds.
            spent: the arm's finished tuning cells.
        """
        self.total = total
        self.spent = 0.0  # seconds that finished cells have trained
        self._promises: list[Promise] = []
        self._promise_for: dict[str, Promise] = {}  # by each of its cells
        self._complete = 0  # cells that trained to their end
        self._complete_seconds = 0.0
        self.take_in(spent)

    @property
    def left(self) -> float:
        """Seconds that are neither spent nor promised."""
        return self.total - self.spent - sum(promise.seconds for promise in self._promises)

    @property
    def open(self) -> bool:
        """Whether another pack may be handed out."""
        return self.left > LEFT_OVER * self.total

    @property
    def used_up(self) -> bool:
        """Whether no pack is on its way and none will be."""
        return not self._promises and not self.open

    def limit(self, share: float) -> float:
        """The seconds that a pack may have.

        Args:
            share: of what is left.
        """
        return max(self.left * share, LEFT_OVER * self.total)

    def promise(self, seconds: float, keys: Iterable[str]) -> None:
        """Keep seconds for a pack, until its last cell is finished or it is given back.

        Args:
            seconds: its limit.
            keys: of its cells.
        """
        promise = Promise(seconds=seconds, cells=set(keys))
        self._promises.append(promise)
        self._promise_for.update(dict.fromkeys(promise.cells, promise))

    def give_back(self, keys: Iterable[str]) -> float:
        """Nobody trains these cells any more; the seconds that no pack has now."""
        return sum(self._release(key, 0.0) for key in keys)

    def affordable(self, seconds: float) -> int | None:
        """Cells that would train to their end in some seconds; None if nobody knows."""
        if not self._complete_seconds:
            return None
        return int(seconds * self._complete / self._complete_seconds)

    def take_in(self, records: Iterable[CellRecord]) -> None:
        """Finished tuning cells; the promise to their pack is kept with the last of them."""
        for record in records:
            spent = seconds_of([record])
            self.spent += spent
            self._release(record.key, spent)
            if record.status == "complete":
                self._complete += 1
                self._complete_seconds += spent

    def _release(self, key: str, spent: float) -> float:
        """A cell is out of its pack; the seconds that are free again, with a pack's last cell."""
        promise = self._promise_for.pop(key, None)
        if promise is None:
            return 0.0
        promise.seconds = max(0.0, promise.seconds - spent)
        promise.cells.discard(key)
        if promise.cells:
            return 0.0
        self._promises = [other for other in self._promises if other is not promise]
        return promise.seconds


def share_of(idle: int, arms: int) -> float:
    """What share of an arm's seconds one pack may have, for the idle workers to be busy."""
    return 1.0 / max(1, -(-idle // max(1, arms)))
