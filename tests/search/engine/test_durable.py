"""A full disk: the run waits, says so, and loses nothing."""

import errno
from collections.abc import Callable
from functools import partial

import pytest

from search.engine.durable import TRY_SECONDS, append_durably, is_full
from search.engine.stopping import StopRequest
from search.ledger.errors import LedgerError
from search.ledger.ledger import NoSpace
from search.ledger.record import CellRecord
from search.results.events import Event, Events


class FakeLedger:
    """A ledger whose disk is full, or broken, for some attempts."""

    def __init__(self, *faults: type[LedgerError]) -> None:
        self.faults = list(faults)
        self.held: list[list[CellRecord]] = []

    def append(self, records: list[CellRecord], measured: object = None) -> list[CellRecord]:
        if self.faults:
            raise self.faults.pop(0)("ledger.jsonl: no")
        self.held.append(records)
        return records


def keeper_on(
    ledger: FakeLedger, received: list[Event], stop: StopRequest | None = None
) -> tuple[Callable[..., list[CellRecord]], list[float]]:
    sleeps: list[float] = []
    events = Events(listeners=[received.append])
    waits = StopRequest() if stop is None else stop
    keep = partial(append_durably, ledger, events, waits, sleep=sleeps.append)
    return keep, sleeps


def test_it_waits_for_room_and_says_it_once() -> None:
    received: list[Event] = []
    ledger = FakeLedger(NoSpace, NoSpace, NoSpace)
    keep, sleeps = keeper_on(ledger, received)
    assert keep([], None) == []
    assert ledger.held == [[]]
    assert sleeps == [TRY_SECONDS] * 3
    assert [event.what for event in received] == ["paused", "went on"]
    assert "make room" in received[0].details["reason"]


def test_another_fault_ends_the_run() -> None:
    keep, sleeps = keeper_on(FakeLedger(LedgerError), [])
    with pytest.raises(LedgerError):
        keep([], None)
    assert not sleeps


def test_it_waits_no_longer_than_a_stopped_run_may() -> None:
    stop = StopRequest()
    stop.until = 0.0
    keep, sleeps = keeper_on(FakeLedger(NoSpace), [], stop)
    with pytest.raises(NoSpace):
        keep([], None)
    assert not sleeps


def test_a_full_disk_is_told_from_other_faults() -> None:
    assert is_full(OSError(errno.ENOSPC, "full")) and is_full(OSError(errno.EDQUOT, "quota"))
    assert not is_full(OSError(errno.EIO, "broken"))
