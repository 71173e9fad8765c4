"""Durable writes of finished cells, and the pause of a run while the disk is full."""

import time
from collections.abc import Callable

from search.engine.stopping import StopRequest
from search.ledger.ledger import NO_SPACE, Ledger, NoSpace
from search.ledger.record import CellRecord
from search.results.events import Events
from spaces.abilities import PackSize

TRY_SECONDS = 2.0  # between two tries on a full disk


def append_durably(
    ledger: Ledger,
    events: Events,
    stop: StopRequest,
    records: list[CellRecord],
    measured: PackSize | None,
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> list[CellRecord]:
    """Write finished cells durably; wait while the disk is full.

    While it waits the driver does nothing else, so no worker is given more to train and nothing
    that was trained is lost. A pause is an event, and ends when the run must stop.

    Returns:
        The cells as the ledger has them now, and as every later run will see them.

    Raises:
        LedgerError: they can't be, for another reason than a full disk, or the run was stopped
            while it waited.
    """
    paused: float | None = None
    while True:
        try:
            kept = ledger.append(records, measured)
            break
        except NoSpace as error:
            if paused is None:
                paused = time.monotonic()
                events.emit(
                    "paused",
                    reason=f"{error}: {len(records)} finished cells wait in memory; make room "
                    "on that disk and the run goes on by itself",
                )
            if time.monotonic() > stop.until:
                raise
            sleep(TRY_SECONDS)
    if paused is not None:
        events.emit("went on", seconds=round(time.monotonic() - paused))
    return kept


def is_full(error: OSError) -> bool:
    """Check whether an error is that of a full disk."""
    return error.errno in NO_SPACE
