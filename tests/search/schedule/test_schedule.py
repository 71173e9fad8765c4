"""Which cells are trained, in which order; without Ray, with made-up results."""

from collections.abc import Callable
from pathlib import Path

import pytest
from optuna.trial import TrialState

from search.schedule.arm_schedule import ArmSchedule
from search.schedule.pack import Pack
from search.schedule.schedule import Schedule
from tests.cases.studies.made_up import STUDY, make_plan, table, train, work

WriteStudy = Callable[[str], Path]


def packs_of(arm: ArmSchedule) -> list[Pack]:
    """Everything that an arm would give out now, one candidate per pack."""
    packs = []
    while waiting := arm.waiting_cells():
        packs.append(arm.next_pack(waiting, fair=2))
    return packs


def test_every_arm_gets_its_budget_and_then_its_fresh_seeds(write_study: WriteStudy) -> None:
    plan = make_plan(write_study(STUDY))
    schedule = Schedule(plan, [])
    trained = work(schedule, workers=4)
    assert schedule.is_finished
    assert len(trained) == len({cell.key for cell in trained}) == 2 * (14 * 2 + 7) + 7
    for arm in plan.arms:
        own = [cell for cell in trained if cell.arm == arm.name]
        tuned = {cell.candidate for cell in own if cell.phase == "tune"}
        assert len(tuned) == (14 if arm.space else 0)
        confirmed = {cell.seed for cell in own if cell.phase == "confirm"}
        assert confirmed == set(plan.confirm_seeds)
        assert not confirmed & set(plan.tune_seeds)


def test_the_best_candidate_on_validation_is_confirmed(write_study: WriteStudy) -> None:
    schedule = Schedule(make_plan(write_study(STUDY)), [])
    trained = work(schedule)
    full = [cell for cell in trained if cell.arm == "full"]
    best = min(
        (cell for cell in full if cell.phase == "tune"),
        key=lambda cell: cell.metrics["valid.mae"],
    )
    assert {cell.candidate for cell in full if cell.phase == "confirm"} == {best.candidate}


def test_arms_are_served_in_turn(write_study: WriteStudy) -> None:
    schedule = Schedule(make_plan(write_study(STUDY)), [])
    packs = [schedule.next_pack() for _ in range(4)]
    assert [pack.arm for pack in packs if pack] == [
        "full", "without text", "nothing to tune", "full",
    ]  # fmt: skip


@pytest.mark.parametrize("shuffle", range(5))
def test_workers_and_the_order_of_results_change_no_candidate(
    shuffle: int, write_study: WriteStudy
) -> None:
    plan = make_plan(write_study(STUDY))
    alone = work(Schedule(plan, []))
    many = work(Schedule(plan, []), workers=5, shuffle=shuffle)
    assert table(alone) == table(many)


@pytest.mark.parametrize("stop_after", [1, 3, 10, 25, 50, 75])
def test_an_interrupted_study_goes_on_as_if_nothing_had_happened(
    stop_after: int, write_study: WriteStudy
) -> None:
    plan = make_plan(write_study(STUDY))
    whole = work(Schedule(plan, []))
    first = Schedule(plan, [])
    kept = work(first, workers=3, shuffle=stop_after, stop_after=stop_after)
    rest = work(Schedule(plan, kept), workers=2, shuffle=1)
    assert not {cell.key for cell in kept} & {cell.key for cell in rest}
    assert table(kept + rest) == table(whole)


def test_a_half_finished_candidate_only_gets_its_missing_seeds(write_study: WriteStudy) -> None:
    plan = make_plan(write_study(STUDY))
    kept = work(Schedule(plan, []), stop_after=1)[:1]
    rest = work(Schedule(plan, kept))
    assert kept[0].key not in {cell.key for cell in rest}


def test_a_finished_study_is_known_to_be_finished(write_study: WriteStudy) -> None:
    plan = make_plan(write_study(STUDY))
    done = work(Schedule(plan, []))
    again = Schedule(plan, done)
    assert again.is_finished
    assert again.next_pack() is None


def test_more_budget_trains_only_what_is_new(write_study: WriteStudy) -> None:
    path = write_study(STUDY)
    done = work(Schedule(make_plan(path), []))
    larger = make_plan(path, "budget.candidates=16", "budget.confirm_seeds=9")
    more = work(Schedule(larger, done))
    assert not {cell.key for cell in done} & {cell.key for cell in more}
    assert len([cell for cell in more if cell.phase == "tune"]) == 2 * 2 * 2
    whole = work(Schedule(larger, []))
    tuned = {cell.key for cell in [*done, *more] if cell.phase == "tune"}
    assert tuned == {cell.key for cell in whole if cell.phase == "tune"}


def test_a_space_smaller_than_the_budget_is_tried_once_each(write_study: WriteStudy) -> None:
    path = write_study(STUDY.replace("  train.learning_rate: {log_uniform: [1e-4, 1e-1]}\n", "")
                       .replace("train.learning_rate: 0.01, ", ""))  # fmt: skip
    schedule = Schedule(make_plan(path), [])
    trained = work(schedule, workers=3)
    assert schedule.is_finished
    kinds = [
        cell.params["model.fusion.kind"]
        for cell in trained
        if cell.arm == "full" and cell.phase == "tune"
    ]
    assert sorted(kinds) == ["concat", "concat", "sum", "sum"]
    assert Schedule(make_plan(path), trained).is_finished


def test_optuna_is_told_the_truth(write_study: WriteStudy) -> None:
    schedule = Schedule(make_plan(write_study(STUDY)), [])
    (arm, *_) = schedule.arms.values()
    packs = packs_of(arm)
    assert len(packs) == 3
    for pack, status in zip(packs, ("complete", "pruned", "failed"), strict=True):
        arm.add_results(train(pack, status))
    assert len(packs_of(arm)) == 3  # the questions that make the first results be told
    complete, pruned, failed = arm.proposals.optuna_study.trials[:3]
    assert (complete.state, pruned.state, failed.state) == (
        TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL,
    )  # fmt: skip
    assert complete.value == pytest.approx(
        abs(complete.params["train.learning_rate"] - 0.01), abs=1e-5
    )
    assert pruned.intermediate_values == {1: 3.0, 2: 2.5}


def test_arms_start_from_the_same_random_candidates(write_study: WriteStudy) -> None:
    trained = work(Schedule(make_plan(write_study(STUDY)), []))
    first, second = (
        {cell.candidate: cell.params for cell in trained if cell.arm == arm and cell.candidate < 10}
        for arm in ("full", "without text")
    )
    assert first == second


def test_a_result_is_told_only_when_its_turn_comes(write_study: WriteStudy) -> None:
    schedule = Schedule(make_plan(write_study(STUDY)), [])
    (arm, *_) = schedule.arms.values()
    first, second, third = packs_of(arm)
    arm.add_results(train(second))
    arm.add_results(train(third))
    assert packs_of(arm) == []  # the second generation may know of the whole first one
    arm.add_results(train(first))
    assert [pack.cells[0].candidate for pack in packs_of(arm)] == [3, 4, 5]


def test_an_arm_whose_candidates_all_failed_ends_without_confirmation(
    write_study: WriteStudy,
) -> None:
    schedule = Schedule(make_plan(write_study(STUDY)), [])
    phases = set()
    while pack := schedule.next_pack():
        failed = pack.arm == "full"
        schedule.add_results(train(pack, "failed" if failed else "complete"))
        if failed:
            phases.add(pack.phase)
    assert schedule.is_finished
    assert phases == {"tune"}


def test_a_conditional_field_is_absent_where_it_means_nothing(write_study: WriteStudy) -> None:
    path = write_study(STUDY)
    plan = make_plan(
        path,
        "search.loss.alignment.text_audio.mode={choice: [off, shared, private]}",
        "search.loss.alignment.text_audio.margin={uniform: [0.1, 0.5]}",
    )
    trained = work(Schedule(plan, []))
    seen = set()
    for cell in trained:
        mode = cell.config.get("loss.alignment.text_audio.mode")
        seen.add(mode)
        for names in (cell.params, cell.config):
            assert ("loss.alignment.text_audio.margin" in names) == (mode == "private")
    assert seen == {None, "off", "shared", "private"}
