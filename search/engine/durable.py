"""Finished cells onto the disk, and what becomes of a run when that is full."""

import time
from collections.abc import Callable

from msa_core.vectorised.pack_key import PackSize
from search.engine.stopping import Stop
from search.ledger.ledger import NO_SPACE, Ledger, NoSpace
from search.ledger.record import CellRecord
from search.results.events import Events

TRY_SECONDS = 2.0


class Keeper:
    """Writes finished cells to the ledger; where the disk is full it waits until there is room.

    While it waits the driver does nothing else, so no worker is given more to train and nothing
    that was trained is lost.
    """

    def __init__(
        self,
        ledger: Ledger,
        events: Events,
        stop: Stop,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Write to this ledger; when it has to wait, say so, until the run is to stop at last."""
        self._ledger = ledger
        self._events = events
        self._stop = stop
        self._sleep = sleep

    def __call__(self, records: list[CellRecord], measured: PackSize | None) -> list[CellRecord]:
        """Make cells durable.

        Returns:
            The cells as the ledger has them now, and as every later run will see them.

        Raises:
            LedgerError: they can't be, for another reason than a full disk, or the run was stopped
                while it waited.
        """
        paused: float | None = None
        while True:
            try:
                kept = self._ledger.append(records, measured)
                break
            except NoSpace as error:
                if paused is None:
                    paused = time.monotonic()
                    self._events.tell(
                        "paused",
                        reason=f"{error}: {len(records)} finished cells wait in memory; make room "
                        "on that disk and the run goes on by itself",
                    )
                if time.monotonic() > self._stop.until:
                    raise
                self._sleep(TRY_SECONDS)
        if paused is not None:
            self._events.tell("went on", seconds=round(time.monotonic() - paused))
        return kept


def is_full(error: OSError) -> bool:
    """Whether an error is that of a full disk."""
    return error.errno in NO_SPACE
