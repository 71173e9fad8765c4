"""When a run will be over, and how fast it is: known answers, also while large packs are silent."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.schedule.in_flight import InFlightPack, InFlightPacks
from search.schedule.schedule import Schedule
from search.screen.forecast import seconds_left
from search.screen.meter import Meter
from search.screen.tally import ArmTally
from tests.cases.studies.made_up import STUDY, make_plan, train

ARMS = """\
study: small
search:
  train.learning_rate: {log_uniform: [1e-4, 1e-1]}
arms:
  - explicit:
      full: {}
      other: {model.fusion.kind: sum}
sampler: random
budget: {candidates: 20, tune_seeds: 2, confirm_seeds: 10}
"""
CELLS = 2 * (20 * 2 + 10)


@pytest.fixture
def schedule(tmp_path: Path) -> Schedule:
    path = tmp_path / "study.yaml"
    path.write_text(ARMS, encoding="utf-8")
    return Schedule(make_plan(path), [])


def tallies(schedule: Schedule) -> dict[str, ArmTally]:
    return {key: ArmTally(arm) for key, arm in schedule.arms.items()}


def half_way(schedule: Schedule, seconds_a_cell: float) -> InFlightPack:
    """A pack that has trained half of its epochs, and of which no cell is finished."""
    pack = schedule.next_pack()
    assert pack is not None
    flight = InFlightPacks().add_pack("trial", pack)
    flight.epochs = {cell.key: 5 for cell in pack.cells}
    flight.most_epochs, flight.seconds = 10, seconds_a_cell * len(pack.cells) / 2
    return flight


def test_nothing_is_promised_until_something_is_known(schedule: Schedule) -> None:
    assert seconds_left(tallies(schedule), [], 2, None) is None
    flight = half_way(schedule, 4.0)
    flight.epochs, flight.seconds = {}, 0.0
    assert seconds_left(tallies(schedule), [flight], 2, None) is None


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_the_epochs_of_a_silent_pack_tell_how_long_all_will_take(
    schedule: Schedule, workers: int
) -> None:
    flight = half_way(schedule, 4.0)
    left = seconds_left(tallies(schedule), [flight], workers, None)
    behind = len(flight.pack.cells) / 2
    assert left == pytest.approx(max((CELLS - behind) * 4.0 / workers, behind * 4.0))
    # Workers that train half of their time take twice as long.
    slower = seconds_left(tallies(schedule), [flight], 1, 0.5)
    assert slower == pytest.approx((CELLS - behind) * 4.0 * 2)


def test_the_end_comes_nearer_while_nothing_lands(schedule: Schedule) -> None:
    flight = half_way(schedule, 4.0)
    arms = tallies(schedule)
    left = []
    for epoch in range(1, 11):
        flight.epochs = {cell.key: epoch for cell in flight.pack.cells}
        flight.seconds = epoch * 0.4 * len(flight.pack.cells)
        left.append(seconds_left(arms, [flight], 1, None))
    known = [seconds for seconds in left if seconds is not None]
    assert len(known) == 10 and known == sorted(known, reverse=True) and known[-1] < known[0]


def test_an_arm_goes_by_its_own_cells_and_one_without_any_by_those_of_others(
    schedule: Schedule,
) -> None:
    pack = schedule.next_pack()
    assert pack is not None
    records = train(pack)
    schedule.add_results(records)
    arms = tallies(schedule)
    mean = sum(cell.metrics["seconds"] for cell in records) / len(records)
    left = seconds_left(arms, [], 1, None)
    assert left == pytest.approx((CELLS - len(records)) * mean)


def test_a_finished_study_needs_no_time(schedule: Schedule) -> None:
    while pack := schedule.next_pack():
        schedule.add_results(train(pack))
    assert seconds_left(tallies(schedule), [], 2, 0.9) == 0.0


def test_device_seconds_left_are_what_is_left_of_a_budget_of_seconds(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(STUDY.replace("candidates: 14", "device_seconds: 9"), encoding="utf-8")
    schedule = Schedule(make_plan(path), [])
    pack = schedule.next_pack()
    assert pack is not None
    records = train(pack)
    schedule.add_results(records)
    arms = tallies(schedule)
    spent = sum(cell.metrics["seconds"] for cell in records)
    mean = spent / len(records)
    tuned = 2  # arms that have anything to tune
    left = seconds_left(arms, [], 1, None)
    assert left == pytest.approx(tuned * 9 - spent + 3 * 7 * mean)


def test_a_meter_counts_the_cells_of_the_last_minutes() -> None:
    meter = Meter()
    assert meter.cells_per_minute is None and meter.share is None
    schedule_free: list[InFlightPack] = []
    meter.refresh(0.0, schedule_free, 2, 0.0)
    assert meter.cells_per_minute is None  # before the first pack the clock stands


@given(steps=st.lists(st.floats(0.1, 60.0), min_size=2, max_size=30), pace=st.floats(0.01, 2.0))
def test_a_meter_finds_a_constant_pace_whether_cells_land_or_not(
    steps: list[float], pace: float
) -> None:
    meter, flights = Meter(), InFlightPacks()
    flight = flights.add_pack("trial", None)  # type: ignore[arg-type]
    now = flight.started
    behind = 0.0
    meter.refresh(now, [flight], 1, behind)
    for step in steps:
        now += step
        behind += pace * step
        flight.seconds += step
        flight.last_report = now
        meter.refresh(now, [flight], 1, behind)
    if meter.cells_per_minute is not None:
        assert meter.cells_per_minute == pytest.approx(60 * pace)
    if meter.share is not None:
        assert meter.share == pytest.approx(1.0)
    assert meter.device_seconds == pytest.approx(sum(steps))


def test_seconds_are_counted_once_when_a_cell_of_a_pack_lands_before_the_others(
    schedule: Schedule,
) -> None:
    meter = Meter()
    flight = half_way(schedule, 4.0)
    flight.last_report = flight.started
    meter.refresh(flight.last_report, [flight], 1, 0.0)
    assert meter.device_seconds == pytest.approx(flight.seconds)
    first = train(flight.pack)[:1]
    meter.add_cells(first)
    flight.finished.add(first[0].key)
    meter.refresh(flight.last_report, [flight], 1, 0.0)
    assert meter.device_seconds == pytest.approx(flight.seconds)
