"""Ray Tune's view of a schedule, without starting Ray."""

import pickle
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from ray.tune.search import Searcher

from msa_core.data.dataset import Dataset
from msa_core.packing import PackSize
from search.ledger import CellRecord
from search.pack import Pack
from search.schedule import Schedule
from search.searcher import LOST, EndOfRest, LostWorkers, PackSearcher
from search.trainable import CELLS, RESTING, PackTrainable, Worker, train_cells
from spaces.plan import plan_study
from spaces.planned import Versions
from spaces.study import load_study


@pytest.fixture
def schedule(small_study_text: str, write_study: Callable[[str], Path]) -> Schedule:
    plan = plan_study(load_study(write_study(small_study_text)), Versions(data="", code=""))
    return Schedule(plan, [])


def pack_of(suggested: object) -> Pack:
    assert isinstance(suggested, dict)
    pack = suggested["pack"]
    assert isinstance(pack, Pack)
    return pack


def test_finished_cells_are_kept_before_anyone_hears_of_them(
    schedule: Schedule, small_data: Dataset
) -> None:
    heard: list[tuple[str, int]] = []
    searcher = PackSearcher(
        schedule,
        lambda cells, measured: heard.append(("kept", len(cells))),
        lambda cells: heard.append(("announced", len(cells))),
    )
    while (suggested := searcher.suggest("trial")) != Searcher.FINISHED:
        cells = train_cells(pack_of(suggested), Worker.of(small_data))
        searcher.on_trial_complete("trial", {CELLS: [asdict(cell) for cell in cells]})
    assert schedule.finished
    assert [name for name, _ in heard] == ["kept", "announced"] * (len(heard) // 2)
    assert sum(number for name, number in heard if name == "kept") == 2 * (3 * 2 + 4)


def test_a_lost_worker_leaves_failed_cells_that_say_so(schedule: Schedule) -> None:
    kept: list[CellRecord] = []
    searcher = PackSearcher(
        schedule, lambda cells, measured: kept.extend(cells), lambda cells: None
    )
    pack = pack_of(searcher.suggest("trial"))
    searcher.on_trial_complete("trial", None, error=True)
    assert {cell.key for cell in kept} == {cell.key for cell in pack.cells}
    assert {(cell.status, cell.reason) for cell in kept} == {("failed", LOST)}


def test_a_ledger_that_cannot_be_written_ends_the_run(schedule: Schedule) -> None:
    def fail(cells: list[CellRecord], measured: PackSize | None) -> None:
        raise OSError("no space left")

    searcher = PackSearcher(schedule, fail, lambda cells: None)
    searcher.suggest("trial")
    searcher.on_trial_complete("trial", None, error=True)
    assert isinstance(searcher.failure, OSError)
    assert searcher.suggest("next") == Searcher.FINISHED


def test_tune_can_pickle_it(schedule: Schedule) -> None:
    searcher = PackSearcher(schedule, lambda cells, measured: None, lambda cells: None)
    assert isinstance(pickle.loads(pickle.dumps(searcher)), PackSearcher)


def test_a_worker_without_a_pack_rests_until_results_may_bring_one(
    schedule: Schedule, small_data: Dataset
) -> None:
    searcher = PackSearcher(schedule, lambda cells, measured: None, lambda cells: None, workers=9)
    end_of_rest = EndOfRest(searcher)
    packs: dict[str, Pack] = {}
    trial = "0"
    while (suggested := searcher.suggest(trial)) and suggested != {
        "pack": None, "nap_seconds": pytest.approx(9 * 0.05),
    }:  # fmt: skip
        packs[trial] = pack_of(suggested)
        trial = str(len(packs))
    assert sum(len(pack.cells) for pack in packs.values()) == 2 * 3 * 2  # all tuning cells
    resting = {RESTING: True, "done": False}
    assert not end_of_rest(trial, resting)
    for name, pack in packs.items():
        cells = train_cells(pack, Worker.of(small_data))
        result = {CELLS: [asdict(cell) for cell in cells]}
        assert not end_of_rest(name, result)
        searcher.on_trial_complete(name, result)
    assert end_of_rest(trial, resting)
    searcher.on_trial_complete(trial, resting)
    assert pack_of(searcher.suggest("next")).phase == "confirm"
    assert not end_of_rest.stop_all()
    assert isinstance(pickle.loads(pickle.dumps(end_of_rest)), EndOfRest)


def test_a_pack_whose_worker_was_lost_is_trained_in_smaller_steps(schedule: Schedule) -> None:
    """The system may have killed it for its memory."""
    said: list[str] = []
    lost = LostWorkers(said.append)
    pack = schedule.next_pack()
    assert pack is not None and pack.size is None and len(pack.cells) == 6
    trial = SimpleNamespace(config={"pack": pack})
    for size in (3, 1, 1):
        lost.on_trial_recover(trial=trial)
        assert trial.config["pack"] == replace(pack, size=size)
        assert f"6 cells, at most {size} in one step" in said[-1]
    lost.on_trial_recover(trial=SimpleNamespace(config={"pack": None}))
    assert len(said) == 3


def test_a_rest_that_is_lost_costs_nothing(schedule: Schedule) -> None:
    kept: list[CellRecord] = []
    searcher = PackSearcher(
        schedule, lambda cells, measured: kept.extend(cells), lambda cells: None
    )
    searcher.on_trial_complete("rest", None, error=True)
    assert (kept, searcher.failure, searcher.has_news) == ([], None, False)


def test_a_resting_worker_trains_nothing_and_makes_room_after_a_while(
    small_data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A trial with a pack may wait for its core, where a cluster has lost a node."""
    naps: list[float] = []
    monkeypatch.setattr("search.trainable.time.sleep", naps.append)
    actor = PackTrainable.__new__(PackTrainable)
    actor.setup({"pack": None, "nap_seconds": 4.0}, worker=Worker.of(small_data))
    for expected in ([False, False, True], [False, False, True]):
        assert [actor.step()["done"] for _ in range(3)] == expected
        actor.reset_config({"pack": None, "nap_seconds": 4.0})
    assert naps == [4.0] * 6
    assert actor.work is None
