"""Ray Tune's view of a run, without starting Ray."""

import dataclasses
import pickle
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from ray.exceptions import RayActorError, RayTaskError
from ray.train._internal.storage import StorageContext
from ray.tune.experiment import Trial as TuneTrial
from ray.tune.search import Searcher

from msa_core.core import CORE
from msa_core.data.dataset import Dataset
from search.engine.dispatch import Dispatch
from search.engine.nodes import ClusterNode
from search.engine.ray_patches import WorkerGoneError
from search.engine.searcher import IdleStopper, PackSearcher
from search.engine.stopping import StopRequest
from search.engine.trainable import IDLE, PackTrainable
from search.engine.watch import LAST_SECONDS, PATIENCE_SECONDS, WorkerWatch
from search.ledger.record import CellRecord
from search.results.events import Event, Events
from search.schedule.pack import Pack
from search.schedule.schedule import Schedule
from search.worker.pack_work import CELLS, PROGRESS, PackWork
from search.worker.recorded_output import BEGINS
from search.worker.worker import Worker
from spaces.failures import FailureKind as Kind
from spaces.plan.arms_on_data import Versions
from spaces.plan.plan import plan_study
from spaces.study_file.load import load_study
from tests.cases.studies.in_process import train_cells

Make = Callable[..., PackSearcher]


@pytest.fixture
def searcher(small_study_text: str, write_study: Callable[[str], Path]) -> Make:
    """Makes a searcher over the small study."""
    plan = plan_study(load_study(write_study(small_study_text)), Versions(data="", code=""))

    def make(kept: list[CellRecord] | None = None, **more: Any) -> PackSearcher:
        def keep(cells: list[CellRecord], measured: object) -> list[CellRecord]:
            if kept is not None:
                kept.extend(cells)
            return cells

        return PackSearcher(
            Dispatch(**{"schedule": Schedule(plan, []), "write_cells": keep, **more})
        )

    return make


def pack_of(suggested: object) -> Pack:
    assert isinstance(suggested, dict)
    pack = suggested["pack"]
    assert isinstance(pack, Pack)
    return pack


def answer(pack: Pack, dataset: Dataset) -> dict[str, object]:
    return {CELLS: [asdict(cell) for cell in train_cells(pack, Worker.for_data(CORE, dataset))]}


def test_a_study_is_served_to_its_end(searcher: Make, small_data: Dataset) -> None:
    kept: list[CellRecord] = []
    served = searcher(kept)
    while (suggested := served.suggest("trial")) != Searcher.FINISHED:
        served.on_trial_complete("trial", answer(pack_of(suggested), small_data))
    assert served.failure is None and served.dispatch.schedule.is_finished
    assert len({cell.key for cell in kept}) == len(kept) == 2 * (3 * 2 + 4)


def test_cells_are_kept_as_they_end(searcher: Make, small_data: Dataset) -> None:
    """Those of a pack whose results come in parts count once, the last result included."""
    kept: list[CellRecord] = []
    served = searcher(kept)
    pack = pack_of(served.suggest("trial"))
    work = PackWork(pack, Worker.for_data(CORE, small_data))
    result = work.step(0.0)
    while not result["done"]:
        served.on_trial_result("trial", result | {"node_ip": "10.0.0.1", "pid": 7})
        flight = served.dispatch.in_flight.get("trial")
        assert flight is not None and (flight.node, flight.process) == ("10.0.0.1", 7)
        result = work.step(0.0)
    served.on_trial_complete("trial", result)
    assert sorted(cell.key for cell in kept) == sorted(cell.key for cell in pack.cells)


def test_a_ledger_that_cannot_be_written_ends_the_run(searcher: Make, small_data: Dataset) -> None:
    def fail(cells: list[CellRecord], measured: object) -> list[CellRecord]:
        raise OSError("no such device")

    served = searcher(write_cells=fail)
    pack = pack_of(served.suggest("trial"))
    served.on_trial_complete("trial", answer(pack, small_data))
    assert isinstance(served.failure, OSError)
    assert served.suggest("next") == Searcher.FINISHED


def test_tune_can_pickle_them(searcher: Make) -> None:
    served = searcher()
    watch = WorkerWatch(served, epoch_seconds=None, read_nodes=list)
    for one in (served, watch, IdleStopper(served.dispatch)):
        assert isinstance(pickle.loads(pickle.dumps(one)), type(one))


def test_a_worker_without_a_pack_rests_until_results_may_bring_one(
    searcher: Make, small_data: Dataset
) -> None:
    served = searcher(workers=9)
    end_of_rest = IdleStopper(served.dispatch)
    packs: dict[str, Pack] = {}
    trial = "0"
    while (suggested := served.suggest(trial)) and suggested != {
        "pack": None, "idle_seconds": pytest.approx(9 * 0.05),
    }:  # fmt: skip
        packs[trial] = pack_of(suggested)
        trial = str(len(packs))
    assert sum(len(pack.cells) for pack in packs.values()) == 2 * 3 * 2  # all tuning cells
    resting = {IDLE: True, "done": False}
    assert not end_of_rest(trial, resting)
    for name, pack in packs.items():
        result = answer(pack, small_data)
        assert not end_of_rest(name, result)
        served.on_trial_complete(name, result)
    assert end_of_rest(trial, resting)
    served.on_trial_complete(trial, resting)
    assert pack_of(served.suggest("next")).phase == "confirm"
    assert not end_of_rest.stop_all()


def test_a_resting_worker_trains_nothing_and_makes_room_after_a_while(
    small_data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A trial with a pack may wait for its core, where a cluster has lost a node."""
    sleeps: list[float] = []
    monkeypatch.setattr("search.engine.trainable.time.sleep", sleeps.append)
    actor = PackTrainable.__new__(PackTrainable)
    actor.setup({"pack": None, "idle_seconds": 4.0}, worker=Worker.for_data(CORE, small_data))
    for expected in ([False, False, True], [False, False, True]):
        assert [actor.step()["done"] for _ in range(3)] == expected
        actor.reset_config({"pack": None, "idle_seconds": 4.0})
    assert sleeps == [4.0] * 6
    actor.stop_early()
    assert actor.step()["done"]
    assert actor.work is None


# Workers that are lost.


class Actor:
    """A worker process, as the driver has hold of it."""

    def __init__(self, name: str = "") -> None:
        self.left = 0
        self.stop_early = SimpleNamespace(remote=self._leave)
        self._actor_id = SimpleNamespace(hex=lambda: name)

    def _leave(self) -> None:
        self.left += 1


class Trial:
    """A trial, as far as the watch looks at it."""

    def __init__(self, name: str = "trial", error_file: Path | None = None) -> None:
        self.trial_id = name
        self.config: dict[str, Any] = {}
        self.last_result: dict[str, Any] = {}
        self.temporary_state = SimpleNamespace(ray_actor=Actor())
        self.pickled_error_file = self.error_file = None
        if error_file is not None:
            self.pickled_error_file, self.error_file = f"{error_file}.pkl", f"{error_file}.txt"


NODES = [
    ClusterNode(cores=1, name="10.0.0.1", key="a"),
    ClusterNode(cores=1, name="10.0.0.2", key="b"),
]


def raised(cause: Exception) -> RayTaskError:
    return RayTaskError("step", "Traceback ...\n  line 1\nlast line", cause)


@pytest.mark.parametrize(
    ("error", "node", "kind", "reason"),
    [
        (raised(ValueError("no\nmore")), "10.0.0.1", Kind.EXCEPTION, "ValueError: no"),
        (raised(torch.OutOfMemoryError("x")), "10.0.0.1", Kind.OUT_OF_MEMORY, "MemoryError: x"),
        (WorkerGoneError("OutOfMemoryError", "x"), "10.0.0.1", Kind.OUT_OF_MEMORY, "the memory"),
        (RayActorError(), "10.0.0.1", Kind.LOST_WORKER, "without an answer"),
        (RayActorError(), "10.0.0.9", Kind.LOST_NODE, "10.0.0.9 was lost"),
        (RayActorError(None, "died\n\tpid: 5\n\tip: 10.0.0.9\n"), "", Kind.LOST_NODE, "10.0.0.9"),
        (RayActorError(None, "died\n\tpid: 5\n\tip: 10.0.0.1\n"), "", Kind.LOST_WORKER, "answer"),
        (None, "", Kind.LOST_WORKER, "without an answer"),
    ],
)  # fmt: skip
def test_the_kind_of_a_loss(
    searcher: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception | None,
    node: str,
    kind: str,
    reason: str,
) -> None:
    monkeypatch.setattr("search.engine.watch.NODE_SECONDS", 0.0)
    received: list[Event] = []
    served = searcher(events=Events(listeners=[received.append]))
    watch = WorkerWatch(served, epoch_seconds=None, read_nodes=lambda: NODES)
    trial = Trial(error_file=tmp_path / "error")
    if error is not None:
        (tmp_path / "error.pkl").write_bytes(pickle.dumps(error))
        (tmp_path / "error.txt").write_text(f"Failure # 1\n{error}\n")
    served.suggest(trial.trial_id)
    served.on_trial_result(trial.trial_id, {PROGRESS: [{}], "node_ip": node, "pid": 1})
    served.on_trial_complete(trial.trial_id, None, error=True)
    watch.on_trial_error(0, [trial], trial)
    watch.on_step_begin(0, [])
    again = received[-1]
    assert served.failure is None
    assert again.what == "pack again" and again.details["kind"] == kind
    assert reason in again.details["reason"] and "\n" not in again.details["reason"]


@pytest.mark.parametrize("known", ["10.0.0.1", ""])
def test_a_worker_is_missed_before_its_node(searcher: Make, known: str) -> None:
    received: list[Event] = []
    nodes = list(NODES)
    served = searcher(events=Events(listeners=[received.append]))
    watch = WorkerWatch(served, epoch_seconds=None, read_nodes=lambda: nodes)
    trial = Trial()
    served.suggest(trial.trial_id)
    served.on_trial_result(trial.trial_id, {PROGRESS: [{}], "node_ip": known, "pid": 1})
    watch.on_trial_error(0, [trial], trial)
    watch.on_step_begin(0, [])
    assert received[-1].what == "pack started"  # it may be the worker alone
    nodes[0] = dataclasses.replace(nodes[0], alive=False)
    watch._polled = 0.0
    watch.on_step_begin(0, [])
    assert [event.what for event in received[-2:]] == ["node lost", "pack again"]
    assert received[-1].details["kind"] == Kind.LOST_NODE


ENDED = """\
OutOfMemoryError: 2 worker(s) were killed. Memory on the node (IP: 10.0.0.1) was 3 GB used / 4 GB
Selected to kill: (Actor(aaaa): job ID=01, task name=step, pid=11, actual memory used=1.8GB)
Selected to kill: (Actor(bbbb): job ID=01, task name=step, pid=22, actual memory used=0.2GB)
"""


def test_of_two_workers_ended_at_once_each_has_its_own_log(
    searcher: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = searcher(workers=2)
    watch = WorkerWatch(served, epoch_seconds=None, read_nodes=lambda: NODES, logs=tmp_path)
    logs: dict[str, str] = {}
    monkeypatch.setattr(
        served.dispatch, "handle_loss", lambda trial, kind, reason, log: logs.update({trial: log})
    )
    (tmp_path / "error.txt").write_text(ENDED)
    (tmp_path / "error.pkl").write_bytes(pickle.dumps(WorkerGoneError("OutOfMemoryError", ENDED)))
    for name, process in (("aaaa", 11), ("bbbb", 22)):
        said = f"said of another pack\n{BEGINS}\nsaid by {name}\n"
        (tmp_path / f"worker-1-{process}.out").write_text(said)
        trial = Trial(name, error_file=tmp_path / "error")
        trial.temporary_state.ray_actor = Actor(name)
        served.suggest(name)
        watch.on_trial_start(0, [trial], trial)
        watch.on_trial_error(0, [trial], trial)
    assert [log.splitlines()[0] for log in logs.values()] == ["said by aaaa", "said by bbbb"]
    assert all("3 GB used / 4 GB" in log for log in logs.values())


def test_a_rest_that_is_lost_costs_nothing(searcher: Make) -> None:
    served = searcher()
    watch = WorkerWatch(served, epoch_seconds=None, read_nodes=list)
    served.on_trial_complete("rest", None, error=True)
    watch.on_trial_error(0, [], Trial("rest"))
    assert (served.failure, served.dispatch.has_new_results) == (None, False)


def test_a_worker_that_says_nothing_for_too_long_is_ended(
    searcher: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[object] = []
    monkeypatch.setattr("search.engine.watch.ray.kill", ended.append)
    received: list[Event] = []
    served = searcher(events=Events(listeners=[received.append]))
    watch = WorkerWatch(served, epoch_seconds=8.0, read_nodes=list)
    trial = Trial()
    served.suggest(trial.trial_id)
    watch.on_step_begin(0, [trial])
    assert not ended
    flight = served.dispatch.in_flight.get(trial.trial_id)
    assert flight is not None
    flight.last_report = time.monotonic() - 10.0 - PATIENCE_SECONDS
    watch._polled = 0.0
    watch.on_step_begin(1, [trial])
    assert ended == [trial.temporary_state.ray_actor]
    watch.on_trial_error(0, [trial], trial)
    assert [event.what for event in received] == ["pack started", "worker hangs", "pack again"]
    assert received[-1].details["kind"] == Kind.TIMEOUT


def test_when_told_to_stop_only_what_is_nearly_done_is_waited_for(searcher: Make) -> None:
    stop = StopRequest()
    served = searcher(stop=stop, workers=2)
    watch = WorkerWatch(served, epoch_seconds=None, read_nodes=list)
    near, far = Trial("near"), Trial("far")
    for trial, seconds in ((near, 1.0), (far, 1000.0)):
        pack = pack_of(served.suggest(trial.trial_id))
        epochs = {cell.key: 1 for cell in pack.cells}
        said = {"epochs": epochs, "most_epochs": 3, "seconds": seconds}
        served.on_trial_result(trial.trial_id, {PROGRESS: [said]})
    watch.on_step_begin(0, [near, far])
    stop.reason, stop.until = "Ctrl-C", time.monotonic() + 30.0
    for _ in range(3):
        watch.on_step_begin(0, [near, far])
    assert near.temporary_state.ray_actor.left == 0
    assert far.temporary_state.ray_actor.left == 1
    assert served.suggest("next") == Searcher.FINISHED
    stop.until = time.monotonic() - LAST_SECONDS - 1.0
    with pytest.raises(KeyboardInterrupt):
        watch.on_step_begin(0, [near, far])


def test_what_was_taken_in_is_forgotten(searcher: Make, tmp_path: Path) -> None:
    """Tune remembers every trial, and all of its last result; ten thousand would not fit."""
    watch = WorkerWatch(searcher(), epoch_seconds=None, read_nodes=list)
    storage = StorageContext(str(tmp_path), "study", trial_dir_name="trial")
    trial = TuneTrial(
        "__fake", config={"pack": b"large", "resume": [3]}, stub=True, storage=storage
    )
    trial.update_last_result({CELLS: [1], PROGRESS: [2], "done": True, "seconds": 1.0})
    watch.on_trial_complete(0, [trial], trial)
    assert CELLS not in trial.last_result and PROGRESS not in trial.last_result
    assert b"large" not in pickle.dumps([trial.config, trial.run_metadata.metric_analysis])
    going_on, last = {CELLS: [1], "done": False}, {CELLS: [1], "done": True}
    watch.on_trial_result(0, [], trial, going_on)
    watch.on_trial_result(0, [], trial, last)
    assert CELLS not in going_on and CELLS in last
