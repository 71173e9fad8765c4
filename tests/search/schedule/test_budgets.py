"""Equal budgets: the same candidates or the same device-seconds for every arm, and frozen arms."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from search.engine.dispatch import Dispatch
from search.ledger.record import CellRecord
from search.results.history import RunEnd
from search.schedule.schedule import Schedule
from search.schedule.study_limit import StudyLimit
from spaces.plan.plan import Plan
from tests.cases.studies.made_up import STUDY, make_plan, stopped_at, table, train, work

WriteStudy = Callable[[str], Path]

SECONDS = STUDY.replace("candidates: 14", "device_seconds: 60")


def spent(trained: Sequence[CellRecord]) -> dict[str, float]:
    """Device-seconds of each arm's tuning."""
    seconds: dict[str, float] = defaultdict(float)
    for cell in trained:
        if cell.phase == "tune":
            seconds[cell.arm] += cell.metrics["seconds"]
    return dict(seconds)


def confirmed(trained: Sequence[CellRecord]) -> dict[str, set[int]]:
    """The candidates that each arm confirmed."""
    found: dict[str, set[int]] = defaultdict(set)
    for cell in trained:
        if cell.phase == "confirm":
            found[cell.arm].add(cell.candidate)
    return dict(found)


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("scheduler", ["none", "bracket"])
def test_every_arm_is_tuned_for_the_same_seconds(
    workers: int, scheduler: str, write_study: WriteStudy
) -> None:
    plan = make_plan(write_study(SECONDS), f"budget.scheduler={scheduler}")
    schedule = Schedule(plan, [])
    trained = work(schedule, workers=workers, shuffle=workers)
    assert schedule.is_finished
    seconds = spent(trained)
    assert set(seconds) == {"full", "without text"}
    assert all(57 <= value <= 63 for value in seconds.values()), seconds
    assert len({cell.key for cell in trained}) == len(trained)
    # The cheaper arm has tried more; both are confirmed on every seed, and so is the third.
    tried = {
        arm: len({cell.candidate for cell in trained if (cell.arm, cell.phase) == (arm, "tune")})
        for arm in seconds
    }
    assert tried["full"] > tried["without text"]
    assert {arm: len(found) for arm, found in confirmed(trained).items()} == {
        "full": 1, "without text": 1, "nothing to tune": 1,
    }  # fmt: skip


@pytest.mark.parametrize("stop_after", [4, 20, 60])
def test_an_interrupted_tuning_goes_on_with_the_seconds_that_are_left(
    stop_after: int, write_study: WriteStudy
) -> None:
    plan = make_plan(write_study(SECONDS))
    kept = work(Schedule(plan, []), workers=2, stop_after=stop_after)
    rest = work(Schedule(plan, kept), workers=2)
    assert not {cell.key for cell in kept} & {cell.key for cell in rest}
    assert all(57 <= value <= 63 for value in spent([*kept, *rest]).values())
    assert Schedule(plan, [*kept, *rest]).is_finished


def test_more_seconds_only_add(write_study: WriteStudy) -> None:
    path = write_study(SECONDS)
    done = work(Schedule(make_plan(path), []))
    larger = make_plan(path, "budget.device_seconds=90")
    more = work(Schedule(larger, done))
    assert not {cell.key for cell in done} & {cell.key for cell in more}
    assert all(85 <= value <= 95 for value in spent([*done, *more]).values())


def test_arms_of_which_no_candidate_ever_has_a_value_end(write_study: WriteStudy) -> None:
    schedule = Schedule(make_plan(write_study(SECONDS)), [])
    trained = 0
    while pack := schedule.next_pack():
        schedule.add_results(train(pack, "failed" if pack.arm == "full" else "complete"))
        trained += len(pack.cells)
        assert trained < 2000
    assert schedule.is_finished


def test_a_limited_pack_is_stopped_at_its_limit(write_study: WriteStudy) -> None:
    schedule = Schedule(make_plan(write_study(SECONDS)), [])
    pack = schedule.next_pack()
    assert pack is not None
    assert pack.seconds == 60  # one worker: all that the arm has
    _, seconds = stopped_at(pack)
    assert sum(seconds.values()) < 61


FROZEN = STUDY.replace("budget:", "retune: false\nbudget:")


def test_frozen_arms_take_the_values_of_the_best_candidate_of_the_baseline(
    write_study: WriteStudy,
) -> None:
    plan = make_plan(write_study(FROZEN))
    trained = work(Schedule(plan, []), workers=3, shuffle=1)
    assert {cell.arm for cell in trained if cell.phase == "tune"} == {"full"}
    best = {cell.arm: cell for cell in trained if cell.phase == "confirm"}
    assert best["without text"].params == best["full"].params
    assert best["without text"].candidate == best["full"].candidate
    for name, value in best["full"].params.items():
        assert best["without text"].config[name] == value
    assert best["nothing to tune"].params == {}  # it fixes both fields itself
    assert Schedule(plan, trained).is_finished
    assert len(trained) == 14 * 2 + 3 * 7 == plan.cell_count()


def test_both_ways_stand_side_by_side(write_study: WriteStudy) -> None:
    path = write_study(STUDY.replace("budget:", "retune: both\nbudget:"))
    plan = make_plan(path)
    assert [arm.name for arm in plan.arms] == [
        "full", "without text", "without text, frozen", "nothing to tune",
    ]  # fmt: skip
    trained = work(Schedule(plan, []), workers=2)
    again = work(Schedule(make_plan(write_study(STUDY)), trained))
    assert again == []  # the tuned arms are those of the study that tunes each


def test_a_frozen_arm_is_confirmed_anew_where_a_larger_budget_finds_a_better_candidate(
    write_study: WriteStudy,
) -> None:
    path = write_study(FROZEN)
    done = work(Schedule(make_plan(path, "budget.candidates=2"), []))
    more = work(Schedule(make_plan(path), done))
    before, after = confirmed(done), confirmed(more)
    assert before["full"] != after["full"]
    assert after["without text"] == after["full"]
    whole = work(Schedule(make_plan(path), []))
    assert table(cell for cell in more if cell.phase == "confirm") == table(
        cell for cell in whole if cell.phase == "confirm" and cell.arm != "nothing to tune"
    )


def test_what_only_a_frozen_arm_searches_keeps_its_value_and_the_plan_says_so(
    write_study: WriteStudy,
) -> None:
    text = FROZEN.replace(
        "search:\n", "search:\n  loss.alignment.text_audio.weight: {log_uniform: [1, 100]}\n"
    ).replace(
        "  - explicit:\n", "  - explicit:\n      TA: {loss.alignment.text_audio.mode: shared}\n"
    )
    plan = make_plan(write_study(text))
    arm = next(arm for arm in plan.arms if arm.name == "TA")
    assert "loss.alignment.text_audio.weight" not in arm.inherits
    assert "'TA': 'full' does not search loss.alignment.text_audio.weight = 1.0; kept so" in (
        plan.notes
    )


SECOND = STUDY.replace("budget:", "second_metric: parameters\nmargin: {mae: 0.004}\nbudget:")


def test_of_candidates_within_the_margin_the_smallest_is_confirmed(
    write_study: WriteStudy,
) -> None:
    trained = work(Schedule(make_plan(write_study(SECOND)), []))
    full = [cell for cell in trained if cell.arm == "full"]
    tuned = [cell for cell in full if cell.phase == "tune"]
    best = min(cell.metrics["valid.mae"] for cell in tuned)
    chosen = next(cell for cell in full if cell.phase == "confirm")
    close = [cell for cell in tuned if cell.metrics["valid.mae"] <= best + 0.004]
    assert chosen.metrics["parameters"] == min(cell.metrics["parameters"] for cell in close)
    assert chosen.metrics["valid.mae"] <= best + 0.0041


def dispatch_of(plan: Plan, done: list[CellRecord], earlier: float = 0.0) -> Dispatch:
    return Dispatch(
        schedule=Schedule(plan, done),
        write_cells=lambda cells, measured: cells,
        study_limit=StudyLimit(plan.study.budget, earlier, done),
    )


def test_a_study_stops_at_its_device_hours_and_goes_on_with_more(write_study: WriteStudy) -> None:
    path = write_study(STUDY)
    plan = make_plan(path, "budget.max_device_hours=0.005")  # 18 seconds
    dispatch = dispatch_of(plan, [])
    trained: list[CellRecord] = []
    while not dispatch.is_over:
        handout = dispatch.next_pack("trial")
        assert handout is not None
        records = train(handout.pack)
        dispatch.add_cells("trial", records)
        dispatch.end_trial("trial")
        trained += records
    assert dispatch.ended == RunEnd.BUDGET_LIMIT
    assert "budget.max_device_hours: 0.005 is reached" in dispatch.why
    assert 18 <= sum(cell.metrics["seconds"] for cell in trained) < 60
    assert not dispatch.schedule.is_finished
    # The ledger counts: the next run stops at once, and a higher ceiling goes on.
    assert dispatch_of(plan, trained).is_over
    assert not dispatch_of(make_plan(path, "budget.max_device_hours=1"), trained).is_over


def test_wall_hours_count_over_all_runs(write_study: WriteStudy) -> None:
    plan = make_plan(write_study(STUDY), "budget.max_wall_hours=1")
    assert not dispatch_of(plan, [], earlier=3500).is_over
    stopped = dispatch_of(plan, [], earlier=3600)
    assert stopped.is_over
    assert "--set budget.max_wall_hours=2, goes on" in stopped.why
