"""Which cells are trained, in which order; without Ray, with made-up results."""

import random
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from optuna.trial import TrialState

from search.ledger import CellRecord
from search.pack import Pack, PackCell
from search.schedule import ArmSchedule, Schedule
from spaces.plan import Plan, Versions, plan_study
from spaces.study import load_study

WriteStudy = Callable[[str], Path]

STUDY = """\
study: small
search:
  train.learning_rate: {log_uniform: [1e-4, 1e-1]}
  model.fusion.kind: {choice: [concat, sum]}
arms:
  - leave_one_out:
      text: {model.text.use: false}
  - explicit:
      nothing to tune: {train.learning_rate: 0.01, model.fusion.kind: sum}
budget: {candidates: 14, tune_seeds: 2, confirm_seeds: 7, generation: 3}
"""


def make_plan(path: Path, *overrides: str) -> Plan:
    return plan_study(load_study(path, overrides), Versions(data="", code=""))


def train(pack: Pack, status: str = "complete") -> list[CellRecord]:
    """Made-up results that depend on the cell alone."""
    return [
        CellRecord(
            key=cell.key,
            arm=pack.arm,
            arm_key=pack.arm_key,
            phase=pack.phase,
            candidate=cell.candidate,
            seed=cell.seed,
            params=cell.params,
            config=cell.resolved,
            status=status,
            epochs=3,
            best_epoch=3,
            metrics=value_of(cell) if status != "failed" else {},
            curve={"valid.mae": [3.0, 2.0 + cell.seed % 2]},
        )
        for cell in pack.cells
    ]


def value_of(cell: PackCell) -> dict[str, float]:
    rate = float(cell.config["train.learning_rate"])
    return {"valid.mae": abs(rate - 0.01) + cell.seed % 7 / 1e6}


def packs_of(arm: ArmSchedule) -> list[Pack]:
    """Everything that an arm would give out now, one candidate a pack."""
    packs = []
    while waiting := arm.waiting():
        packs.append(arm.next_pack(waiting, fair=2))
    return packs


def work(
    schedule: Schedule, workers: int = 1, shuffle: int | None = None, stop_after: int | None = None
) -> list[CellRecord]:
    """Train until nothing is left, with results in any order; returns the cells trained."""
    draw = random.Random(shuffle)
    flying: list[Pack] = []
    trained: list[CellRecord] = []
    while True:
        while len(flying) < workers and (pack := schedule.next_pack()):
            flying.append(pack)
        if not flying or (stop_after is not None and len(trained) >= stop_after):
            return trained
        place = draw.randrange(len(flying)) if shuffle is not None else 0
        records = train(flying.pop(place))
        trained += records
        schedule.receive(records)


def table(records: Iterable[CellRecord]) -> list[tuple[object, ...]]:
    return sorted(
        (cell.key, cell.arm, cell.phase, cell.candidate, cell.seed, str(dict(cell.params)))
        for cell in records
    )


def test_every_arm_gets_its_budget_and_then_its_fresh_seeds(write_study: WriteStudy) -> None:
    plan = make_plan(write_study(STUDY))
    schedule = Schedule(plan, [], higher_is_better=False)
    trained = work(schedule, workers=4)
    assert schedule.finished
    assert len(trained) == len({cell.key for cell in trained}) == 2 * (14 * 2 + 7) + 7
    for arm in plan.arms:
        own = [cell for cell in trained if cell.arm == arm.name]
        tuned = {cell.candidate for cell in own if cell.phase == "tune"}
        assert len(tuned) == (14 if arm.space else 0)
        confirmed = {cell.seed for cell in own if cell.phase == "confirm"}
        assert confirmed == set(plan.confirm_seeds)
        assert not confirmed & set(plan.tune_seeds)


def test_the_best_candidate_on_validation_is_confirmed(write_study: WriteStudy) -> None:
    schedule = Schedule(make_plan(write_study(STUDY)), [], higher_is_better=False)
    trained = work(schedule)
    full = [cell for cell in trained if cell.arm == "full"]
    best = min(
        (cell for cell in full if cell.phase == "tune"),
        key=lambda cell: cell.metrics["valid.mae"],
    )
    assert {cell.candidate for cell in full if cell.phase == "confirm"} == {best.candidate}


def test_arms_are_served_in_turn(write_study: WriteStudy) -> None:
    schedule = Schedule(make_plan(write_study(STUDY)), [], higher_is_better=False)
    packs = [schedule.next_pack() for _ in range(4)]
    assert [pack.arm for pack in packs if pack] == [
        "full", "without text", "nothing to tune", "full",
    ]  # fmt: skip


@pytest.mark.parametrize("shuffle", range(5))
def test_workers_and_the_order_of_results_change_no_candidate(
    shuffle: int, write_study: WriteStudy
) -> None:
    plan = make_plan(write_study(STUDY))
    alone = work(Schedule(plan, [], higher_is_better=False))
    many = work(Schedule(plan, [], higher_is_better=False), workers=5, shuffle=shuffle)
    assert table(alone) == table(many)


@pytest.mark.parametrize("stop_after", [1, 3, 10, 25, 50, 75])
def test_an_interrupted_study_goes_on_as_if_nothing_had_happened(
    stop_after: int, write_study: WriteStudy
) -> None:
    plan = make_plan(write_study(STUDY))
    whole = work(Schedule(plan, [], higher_is_better=False))
    first = Schedule(plan, [], higher_is_better=False)
    kept = work(first, workers=3, shuffle=stop_after, stop_after=stop_after)
    rest = work(Schedule(plan, kept, higher_is_better=False), workers=2, shuffle=1)
    assert not {cell.key for cell in kept} & {cell.key for cell in rest}
    assert table(kept + rest) == table(whole)


def test_a_half_finished_candidate_only_gets_its_missing_seeds(write_study: WriteStudy) -> None:
    plan = make_plan(write_study(STUDY))
    kept = work(Schedule(plan, [], higher_is_better=False), stop_after=1)[:1]
    rest = work(Schedule(plan, kept, higher_is_better=False))
    assert kept[0].key not in {cell.key for cell in rest}


def test_a_finished_study_is_known_to_be_finished(write_study: WriteStudy) -> None:
    plan = make_plan(write_study(STUDY))
    done = work(Schedule(plan, [], higher_is_better=False))
    again = Schedule(plan, done, higher_is_better=False)
    assert again.finished
    assert again.next_pack() is None


def test_more_budget_trains_only_what_is_new(write_study: WriteStudy) -> None:
    path = write_study(STUDY)
    done = work(Schedule(make_plan(path), [], higher_is_better=False))
    larger = make_plan(path, "budget.candidates=16", "budget.confirm_seeds=9")
    more = work(Schedule(larger, done, higher_is_better=False))
    assert not {cell.key for cell in done} & {cell.key for cell in more}
    assert len([cell for cell in more if cell.phase == "tune"]) == 2 * 2 * 2
    whole = work(Schedule(larger, [], higher_is_better=False))
    tuned = {cell.key for cell in [*done, *more] if cell.phase == "tune"}
    assert tuned == {cell.key for cell in whole if cell.phase == "tune"}


def test_a_space_smaller_than_the_budget_is_tried_once_each(write_study: WriteStudy) -> None:
    path = write_study(STUDY.replace("  train.learning_rate: {log_uniform: [1e-4, 1e-1]}\n", "")
                       .replace("train.learning_rate: 0.01, ", ""))  # fmt: skip
    schedule = Schedule(make_plan(path), [], higher_is_better=False)
    trained = work(schedule, workers=3)
    assert schedule.finished
    kinds = [
        cell.params["model.fusion.kind"]
        for cell in trained
        if cell.arm == "full" and cell.phase == "tune"
    ]
    assert sorted(kinds) == ["concat", "concat", "sum", "sum"]
    assert Schedule(make_plan(path), trained, higher_is_better=False).finished


def test_optuna_is_told_the_truth(write_study: WriteStudy) -> None:
    schedule = Schedule(make_plan(write_study(STUDY)), [], higher_is_better=False)
    (arm, *_) = schedule.arms.values()
    packs = packs_of(arm)
    assert len(packs) == 3
    for pack, status in zip(packs, ("complete", "pruned", "failed"), strict=True):
        arm.receive(train(pack, status))
    assert len(packs_of(arm)) == 3  # the questions that make the first results be told
    complete, pruned, failed = arm.proposals.optuna.trials[:3]
    assert (complete.state, pruned.state, failed.state) == (
        TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL,
    )  # fmt: skip
    assert complete.value == pytest.approx(
        abs(complete.params["train.learning_rate"] - 0.01), abs=1e-5
    )
    assert pruned.intermediate_values == {1: 3.0, 2: 2.5}


def test_arms_start_from_the_same_random_candidates(write_study: WriteStudy) -> None:
    trained = work(Schedule(make_plan(write_study(STUDY)), [], higher_is_better=False))
    first, second = (
        {cell.candidate: cell.params for cell in trained if cell.arm == arm and cell.candidate < 10}
        for arm in ("full", "without text")
    )
    assert first == second


def test_a_result_is_told_only_when_its_turn_comes(write_study: WriteStudy) -> None:
    schedule = Schedule(make_plan(write_study(STUDY)), [], higher_is_better=False)
    (arm, *_) = schedule.arms.values()
    first, second, third = packs_of(arm)
    arm.receive(train(second))
    arm.receive(train(third))
    assert packs_of(arm) == []  # the second generation may know of the whole first one
    arm.receive(train(first))
    assert [pack.cells[0].candidate for pack in packs_of(arm)] == [3, 4, 5]


def test_an_arm_whose_candidates_all_failed_ends_without_confirmation(
    write_study: WriteStudy,
) -> None:
    schedule = Schedule(make_plan(write_study(STUDY)), [], higher_is_better=False)
    phases = set()
    while pack := schedule.next_pack():
        failed = pack.arm == "full"
        schedule.receive(train(pack, "failed" if failed else "complete"))
        if failed:
            phases.add(pack.phase)
    assert schedule.finished
    assert phases == {"tune"}


def test_a_conditional_field_is_absent_where_it_means_nothing(write_study: WriteStudy) -> None:
    path = write_study(STUDY)
    plan = make_plan(
        path,
        "search.loss.alignment.text_audio.mode={choice: [off, shared, private]}",
        "search.loss.alignment.text_audio.margin={uniform: [0.1, 0.5]}",
    )
    trained = work(Schedule(plan, [], higher_is_better=False))
    seen = set()
    for cell in trained:
        mode = cell.config.get("loss.alignment.text_audio.mode")
        seen.add(mode)
        for names in (cell.params, cell.config):
            assert ("loss.alignment.text_audio.margin" in names) == (mode == "private")
    assert seen == {None, "off", "shared", "private"}
