"""Packs that come back in parts or not at all; and what is counted from cell to cell."""

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from search.ledger.record import CellRecord
from search.schedule.arm_schedule import ArmSchedule
from search.schedule.pack import Pack
from search.schedule.remaining_budget import RemainingBudget
from search.schedule.schedule import Schedule
from spaces.plan.plan import Phase
from tests.cases.studies.made_up import STUDY, make_plan, table, train, work

WriteStudy = Callable[[str], Path]
Place = tuple[str, str, int, int]  # arm, phase, candidate, seed

SECONDS = STUDY.replace("candidates: 14", "device_seconds: 60")
SECOND = STUDY.replace("budget:", "second_metric: parameters\nmargin: {mae: 0.004}\nbudget:")


def halves(pack: Pack, finished: set[str]) -> list[Pack]:
    """What is left of a pack as two."""
    left = tuple(cell for cell in pack.cells if cell.key not in finished)
    middle = (len(left) + 1) // 2
    share = None if pack.seconds is None else pack.seconds / 2
    return [
        replace(pack, cells=cells, seconds=share, attempts=pack.attempts + 1)
        for cells in (left[:middle], left[middle:])
        if cells
    ]


def work_with_losses(
    schedule: Schedule, seed: int, workers: int = 3
) -> Iterator[tuple[CellRecord, set[Place]]]:
    """Train everything: cells come one by one, and workers are lost with some of their pack.

    Yields:
        A finished cell, and the cells that are on workers after it.
    """
    draw = random.Random(seed)
    flying: list[tuple[Pack, list[CellRecord]]] = []
    while True:
        while len(flying) < workers and (pack := schedule.next_pack(workers - len(flying))):
            flying.append((pack, train(pack, draw.choice(["complete"] * 9 + ["failed"]))))
        if not flying:
            return
        pack, left = flying.pop(draw.randrange(len(flying)))
        if draw.random() < 0.15:
            finished = {cell.key for cell in pack.cells} - {record.key for record in left}
            parts = halves(pack, finished) if draw.random() < 0.7 else []
            schedule.requeue(pack, parts)
            assert not schedule.is_finished
            continue
        schedule.add_results(left[:1])
        if left[1:]:
            flying.append((pack, left[1:]))
        yield left[0], {place_of(record) for _, records in flying for record in records}


def place_of(record: CellRecord) -> Place:
    """Where a cell belongs."""
    return record.arm_key, record.phase, record.candidate, record.seed


def expected_of(arm: ArmSchedule, flying: set[Place]) -> tuple[int | None, list[tuple[int, int]]]:
    """The best candidate and the cells that wait, from all cells of an arm."""
    seeds = arm.plan.tune_seeds
    best = (
        arm.objective.best_candidate(arm.cells, len(arm.candidates), seeds) if arm.arm.space else 0
    )
    phase, candidates = Phase.TUNE, list(range(len(arm.candidates)))
    if arm.is_tuned:
        phase, candidates = Phase.CONFIRM, [] if best is None else [best]
        seeds = arm.plan.confirm_seeds
    elif arm.remaining_budget is not None and not arm.remaining_budget.has_room:
        candidates = []
    return best, [
        (candidate, seed)
        for candidate in candidates
        for seed in arm.cells.missing_seeds(phase, candidate, seeds)
        if (arm.arm.key, phase, candidate, seed) not in flying
    ]


ONE_SEED = STUDY.replace("tune_seeds: 2", "tune_seeds: 1")


@pytest.mark.parametrize("text", [STUDY, SECOND, SECONDS, ONE_SEED])
@pytest.mark.parametrize("seed", range(4))
def test_what_is_counted_from_cell_to_cell_is_what_all_cells_say(
    text: str, seed: int, write_study: WriteStudy
) -> None:
    schedule = Schedule(make_plan(write_study(text)), [])
    for _, flying in work_with_losses(schedule, seed):
        lost = {
            (part.arm_key, part.phase, cell.candidate, cell.seed)
            for part in schedule._requeued
            for cell in part.cells
        }
        for arm in schedule.arms.values():
            waiting = [(cell.candidate, cell.seed) for cell in arm.waiting_cells()]
            assert (arm.best_candidate, waiting) == expected_of(arm, flying | lost)
    assert schedule.is_finished


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("text", [STUDY, SECOND])
def test_losses_change_no_cell(text: str, seed: int, write_study: WriteStudy) -> None:
    plan = make_plan(write_study(text))
    schedule = Schedule(plan, [])
    draw = random.Random(seed)
    trained: list[CellRecord] = []
    flying: list[Pack] = []
    while True:
        while len(flying) < 3 and (pack := schedule.next_pack(3 - len(flying))):
            flying.append(pack)
        if not flying:
            break
        pack = flying.pop(draw.randrange(len(flying)))
        some = train(pack)[: draw.randrange(len(pack.cells) + 1)]
        schedule.add_results(some)
        trained += some
        finished = {record.key for record in some}
        if len(some) < len(pack.cells):
            schedule.requeue(pack, halves(pack, finished) if draw.random() < 0.5 else ())
    assert schedule.is_finished
    assert table(trained) == table(work(Schedule(plan, [])))


def test_parts_go_first_and_as_they_are(write_study: WriteStudy) -> None:
    schedule = Schedule(make_plan(write_study(STUDY)), [])
    pack = next(pack for _ in range(9) if (pack := schedule.next_pack()) and len(pack.cells) > 2)
    parts = halves(pack, set())
    schedule.requeue(pack, parts)
    assert not schedule.is_finished
    assert [schedule.next_pack(), schedule.next_pack()] == parts
    handed = schedule.next_pack()
    assert handed is not None
    assert not {cell.key for cell in handed.cells} & {cell.key for cell in pack.cells}


def test_without_parts_the_cells_wait_at_their_place(write_study: WriteStudy) -> None:
    schedule = Schedule(make_plan(write_study(STUDY)), [])
    (arm, *_) = schedule.arms.values()
    first = arm.next_pack(arm.waiting_cells(), fair=2)
    before = [cell.key for cell in (*first.cells, *arm.waiting_cells())]
    one = train(first)[:1]
    arm.add_results(one)
    assert arm.requeue(first) == []
    assert [cell.key for cell in arm.waiting_cells()] == [
        key for key in before if key != one[0].key
    ]


def test_a_part_whose_cells_came_in_late_is_not_trained_again(write_study: WriteStudy) -> None:
    schedule = Schedule(make_plan(write_study(STUDY)), [])
    pack = schedule.next_pack()
    assert pack is not None
    whole, late = halves(pack, set()), train(pack)
    schedule.requeue(pack, whole)
    schedule.add_results(late[: len(whole[0].cells)])
    again = schedule.next_pack()
    assert again is not None
    assert again.cells == whole[1].cells


def test_a_promise_is_kept_until_the_last_cell_of_its_pack(write_study: WriteStudy) -> None:
    schedule = Schedule(make_plan(write_study(SECONDS)), [])
    (arm, *_) = schedule.arms.values()
    allowance = arm.remaining_budget
    assert allowance is not None
    pack = arm.next_pack(arm.waiting_cells(), fair=2, share=0.5)
    assert pack.seconds == allowance.seconds_left == 30
    first, *rest = train(pack)
    assert rest
    arm.add_results([first])
    assert not allowance.used_up
    assert allowance.seconds_left == 30  # what it took is of the pack's own
    arm.add_results(rest)
    assert allowance.seconds_left == pytest.approx(
        60 - sum(r.metrics["seconds"] for r in [first, *rest])
    )


def test_seconds_of_a_lost_pack_go_to_its_parts_or_are_free(write_study: WriteStudy) -> None:
    schedule = Schedule(make_plan(write_study(SECONDS)), [])
    (arm, *_) = schedule.arms.values()
    allowance = arm.remaining_budget
    assert allowance is not None
    pack = arm.next_pack(arm.waiting_cells(), fair=2, share=0.5)
    first, *_ = train(pack)
    arm.add_results([first])
    left = 30 - first.metrics["seconds"]
    (part,) = arm.requeue(pack, [replace(pack, cells=pack.cells[1:])])
    assert part.seconds == pytest.approx(left)
    assert allowance.seconds_left == 30
    assert arm.requeue(part) == []
    assert allowance.seconds_left == 60 - first.metrics["seconds"]
    assert not allowance.used_up


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("scheduler", ["none", "bracket"])
def test_arms_get_the_same_seconds_whatever_is_lost(
    seed: int, scheduler: str, write_study: WriteStudy
) -> None:
    plan = make_plan(write_study(SECONDS), f"budget.scheduler={scheduler}")
    schedule = Schedule(plan, [])
    trained = [record for record, _ in work_with_losses(schedule, seed)]
    assert schedule.is_finished
    assert len({cell.key for cell in trained}) == len(trained)
    for arm in ("full", "without text"):
        tuned = [cell for cell in trained if (cell.arm, cell.phase) == (arm, "tune")]
        assert 54 <= sum(cell.metrics["seconds"] for cell in tuned) <= 66


def test_an_allowance_of_cells_that_take_no_time_knows_no_price() -> None:
    assert RemainingBudget(10.0, []).affordable_cells(5.0) is None
