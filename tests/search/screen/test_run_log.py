"""What a run says of itself: from the first moment of training to the last cell."""

from collections.abc import Callable
from pathlib import Path

import pytest

from search.schedule import in_flight as flights
from search.schedule.pack import Pack
from search.schedule.schedule import Schedule
from search.screen import run_log
from search.screen.run_log import RunLog
from tests.cases.studies.made_up import STUDY, make_plan, train

WriteStudy = Callable[[str], Path]


class Clock:
    """Stands for `time` in the modules that ask it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(run_log, "time", found)
    monkeypatch.setattr(flights, "time", found)
    return found


def hand_out(log: RunLog, trial: str, pack: Pack, clock: Clock) -> None:
    """A pack goes to a worker at this moment."""
    flight = log.flights.add_pack(trial, pack)
    flight.started = flight.last_report = clock.now


def test_training_begins_with_the_first_worker_and_ends_with_the_last_cell(
    clock: Clock, write_study: WriteStudy
) -> None:
    schedule = Schedule(make_plan(write_study(STUDY)), [])
    log = RunLog()
    log.workers = 2
    for trial in ("a", "b"):
        pack = schedule.next_pack()
        assert pack is not None
        hand_out(log, trial, pack, clock)
    first, second = (flight.pack for flight in log.flights)
    clock.now += 20  # worker a is started after 8 of these, worker b is not
    log.flights.update_progress("a", {"seconds": 12.0})
    log.add_cells(train(first)[:1])
    clock.now += 10
    log.flights.update_progress("b", {"seconds": 7.0})
    log.add_cells(train(second))
    clock.now += 100  # the report
    record = log.make_record("complete")
    assert record.training_seconds == pytest.approx(12 + 10)
    assert record.overhead == pytest.approx(22 * 2 / record.device_seconds)


def test_what_a_pack_had_trained_before_it_was_interrupted_is_no_part_of_it(
    clock: Clock, write_study: WriteStudy
) -> None:
    schedule = Schedule(make_plan(write_study(STUDY)), [])
    pack = schedule.next_pack()
    assert pack is not None
    log = RunLog()
    hand_out(log, "a", pack, clock)
    clock.now += 5
    log.flights.update_progress("a", {"seconds": 3600.0})
    log.add_cells(train(pack))
    assert log.make_record("complete").training_seconds == 5


def test_a_run_without_a_cell_knows_no_overhead() -> None:
    record = RunLog().make_record("complete")
    assert record.training_seconds == 0
    assert record.overhead is None
