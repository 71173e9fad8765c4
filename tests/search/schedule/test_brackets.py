"""Which candidates are stopped early: rungs, halving, and what is told of the stopped ones."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

from msa_core.core import CORE
from msa_core.data.dataset import Dataset
from search.ledger.record import CellRecord
from search.schedule.brackets import BestValues, Bracket, rung_epochs
from search.schedule.pack import Pack
from search.schedule.schedule import Schedule
from search.worker.pack_work import CHECKPOINTS, PackWork, cells_of
from search.worker.worker import Worker
from spaces.core import Member
from spaces.fields.paths import replace
from spaces.plan.arms_on_data import Versions
from spaces.plan.plan import Plan, plan_study
from spaces.study_file.load import load_study
from tests.cases.studies.in_process import train_cells
from tests.cases.train_pack import resumed_positions, train_pack


@pytest.mark.parametrize(
    ("epochs", "candidates", "expected"),
    [
        (40, 9, (5, 15)),
        (27, 27, (1, 3, 9)),
        (40, 10, (2, 6, 18)),
        (9, 3, (3,)),
        (40, 1, ()),
        (1, 9, ()),
        (2, 9, (1,)),
    ],
)
def test_the_rungs_are_known(epochs: int, candidates: int, expected: tuple[int, ...]) -> None:
    assert rung_epochs(epochs, candidates) == expected


def standing(candidates: list[int], higher_is_better: bool = False) -> BestValues:
    return BestValues(candidates, "mae", higher_is_better)


def test_a_candidate_counts_by_the_mean_of_its_seeds_best_values() -> None:
    known = standing([0, 0, 1, 1])
    known.add_epoch({place: {"mae": value} for place, value in enumerate([4.0, 2.0, 1.0, 9.0])})
    known.add_epoch({0: {"mae": 8.0}, 1: {"mae": 1.0}, 2: {}, 3: {"mae": 5.0}})
    assert known.mean_best(0) == (4.0 + 1.0) / 2
    assert known.mean_best(1) == (1.0 + 5.0) / 2


def test_a_candidate_with_a_seed_without_a_value_has_none() -> None:
    known = standing([0, 0])
    known.add_epoch({0: {"mae": 1.0}, 1: {"corr": 1.0}})
    assert known.mean_best(0) is None


@pytest.mark.parametrize("higher_is_better", [False, True])
def test_the_best_third_goes_on_at_each_rung(higher_is_better: bool) -> None:
    bracket = Bracket(standing(list(range(9)), higher_is_better), epochs=40)
    sign = -1.0 if higher_is_better else 1.0
    metrics = {place: {"mae": sign * (place * 4 % 9)} for place in range(9)}
    order = sorted(range(9), key=lambda place: place * 4 % 9)
    for epoch in range(1, 5):
        assert bracket(epoch, metrics) == []
    assert set(bracket(5, metrics)) == set(order[3:])
    left = {place: metrics[place] for place in order[:3]}
    assert bracket(6, left) == []
    assert set(range(9)) - set(bracket(15, left)) == {order[0]}


def test_a_failed_candidate_never_goes_on() -> None:
    bracket = Bracket(standing([0, 0, 1, 1, 2, 2]), epochs=9)
    metrics = {place: {"mae": float(place)} for place in range(1, 6)}  # place 0 is not there
    assert bracket(3, metrics) == [0, 1, 4, 5]


# Through the schedule and the training core.

STUDY = """\
study: bracketed
data:
  planted: {train: 64, valid: 48, test: 32, steps: 3, width: 6}
base:
  model.text.width: 8
  model.audio.width: 8
  model.vision.width: 8
  model.projection.width: 4
  model.fusion.width: 8
  train.epochs: 9
search:
  train.learning_rate: {log_uniform: [1e-4, 1e-1]}
  model.fusion.kind: {choice: [concat, sum]}
arms:
  - explicit: {full: {}}
budget: {candidates: 10, tune_seeds: 2, confirm_seeds: 2, generation: 4,
         scheduler: bracket, bracket: 3}
"""


def run(plan: Plan, data: Dataset, idle: int) -> tuple[Schedule, list[CellRecord]]:
    schedule = Schedule(plan, [])
    worker, trained = Worker.for_data(CORE, data), []
    while packs := [pack for _ in range(idle) if (pack := schedule.next_pack(idle))]:
        for pack in reversed(packs):
            records = train_cells(pack, worker)
            trained += records
            schedule.add_results(records)
    assert schedule.is_finished
    return schedule, trained


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    path = tmp_path_factory.mktemp("brackets") / "study.yaml"
    path.write_text(STUDY, encoding="utf-8")
    return plan_study(load_study(path), Versions(data="", code=""))


def test_a_bracket_is_one_pack_and_stops_its_worse_candidates(
    plan: Plan, small_data: Dataset
) -> None:
    schedule, trained = run(plan, small_data, idle=1)
    tuned = [cell for cell in trained if cell.phase == "tune"]
    assert len(tuned) == 10 * 2
    status = {number: {c.status for c in tuned if c.candidate == number} for number in range(10)}
    for first in (0, 3, 6):
        going_on = [number for number in range(first, first + 3) if "pruned" not in status[number]]
        assert len(going_on) == 1
        values = {
            number: sum(
                min(v for v in cell.curve["valid.mae"][:3] if v is not None)
                for cell in tuned
                if cell.candidate == number
            )
            for number in range(first, first + 3)
        }
        assert going_on == [min(values, key=lambda number: values[number])]
    assert status[9] == {"complete"}  # alone in its bracket
    assert {c.epochs for c in tuned if c.status == "pruned"} == {3}
    assert {c.reason for c in tuned if c.status == "pruned"} == {"stopped after epoch 3"}
    (arm,) = schedule.arms.values()
    pruned = [
        trial for trial in arm.proposals.optuna_study.trials if trial.state == TrialState.PRUNED
    ]
    assert pruned
    assert all(sorted(trial.intermediate_values) == [1, 2, 3] for trial in pruned)


def test_a_candidate_that_goes_on_trains_as_if_it_were_alone(
    plan: Plan, small_data: Dataset
) -> None:
    _, trained = run(plan, small_data, idle=1)
    (arm,) = plan.arms
    for cell in [cell for cell in trained if cell.status == "complete"][:4]:
        config = replace(arm.config, cell.params)
        (alone,) = train_pack([Member(config, cell.seed)], small_data.splits)
        assert alone.curve["valid.mae"] == cell.curve["valid.mae"]


@pytest.mark.parametrize("scheduler", ["bracket", "asha"])
@pytest.mark.parametrize("patience", [100, 2])
def test_what_is_compared_and_interrupted_after_any_epoch_ends_the_same(
    plan: Plan, small_data: Dataset, scheduler: str, patience: int
) -> None:
    pack, worker = _watched(plan, scheduler, patience), _quick(small_data)
    whole = cells_of(_to_the_end(PackWork(pack, worker)))
    assert len(whole) == len(pack.cells)
    kept: dict[str, bytes] = {}
    work = PackWork(pack, worker)
    while not (result := work.step(0.0))["done"]:
        kept |= result[CHECKPOINTS][0]
        again = PackWork(pack, worker, kept)
        assert resumed_positions(again.training)
        assert _told(cells_of(_to_the_end(again))) == _told(whole)


@pytest.mark.parametrize("scheduler", ["bracket", "asha"])
def test_what_is_interrupted_after_every_epoch_ends_the_same(
    plan: Plan, small_data: Dataset, scheduler: str
) -> None:
    pack, worker = _watched(plan, scheduler, 100), _quick(small_data)
    kept: dict[str, bytes] = {}
    for _ in range(9):
        result = PackWork(pack, worker, kept).step(0.0)
        kept |= result[CHECKPOINTS][0] if CHECKPOINTS in result else {}
    assert result["done"]
    assert _told(cells_of(result)) == _told(cells_of(_to_the_end(PackWork(pack, worker))))


def _watched(plan: Plan, scheduler: str, patience: int) -> Pack:
    """The first bracket, or the first candidate of it."""
    pack = Schedule(plan, []).next_pack(1)
    assert pack is not None
    cells = [
        dataclasses.replace(cell, config={**cell.config, "train.patience": patience})
        for cell in (pack.cells if scheduler == "bracket" else pack.cells[:2])
    ]
    return dataclasses.replace(pack, scheduler=scheduler, cells=tuple(cells))


def _quick(data: Dataset) -> Worker:
    return dataclasses.replace(Worker.for_data(CORE, data), checkpoint_seconds=0.0)


def _to_the_end(work: PackWork) -> dict[str, Any]:
    while not (result := work.step())["done"]:  # ASHA looks at it at each rung
        pass
    return result


def _told(cells: list[CellRecord]) -> set[tuple[object, ...]]:
    return {
        (cell.key, cell.status, cell.reason, cell.epochs, cell.best_epoch, repr(cell.curve))
        for cell in cells
    }


def test_workers_and_their_order_change_nothing_in_brackets(
    plan: Plan, small_data: Dataset
) -> None:
    one, many = (
        {
            (c.key, c.status, c.epochs, c.metrics.get("valid.mae"))
            for c in run(plan, small_data, n)[1]
        }
        for n in (1, 3)
    )
    assert one == many


def test_a_bracket_needs_a_generation_of_whole_brackets(
    write_study: Callable[[str], Path],
) -> None:
    plan = plan_study(load_study(write_study(STUDY)), Versions(data="", code=""))
    schedule = Schedule(plan, [])
    first, second = schedule.next_pack(2), schedule.next_pack(1)
    assert first and second
    assert schedule.next_pack(1) is None  # a generation of 4 is rounded up to two brackets of 3
    numbers = [sorted({cell.candidate for cell in pack.cells}) for pack in (first, second)]
    assert numbers == [[0, 1, 2], [3, 4, 5]]
