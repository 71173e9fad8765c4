"""A worker that can't import what it needs: the run ends at the first one."""

import pickle
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import RayActorError, RayTaskError

from search.engine.dispatch import Dispatch
from search.engine.searcher import PackSearcher
from search.engine.session import _job_config
from search.engine.watch import WorkerWatch
from search.results.history import RunEnd
from search.schedule.schedule import Schedule
from search.worker.pack_work import REFUSED
from spaces.plan.arms_on_data import Versions
from spaces.plan.plan import plan_study
from spaces.study_file.load import load_study

BEFORE = (
    "The actor died because of an error raised in its creation task, ray::PackTrainable()\n"
    "RuntimeError: The actor with name ImplicitFunc failed to import on the worker.\n\n"
    "Traceback (most recent call last):\n"
    '  File "loads.py", line 1\n'
    "ModuleNotFoundError: No module named 'search.engine'\n"
)


@pytest.fixture
def served(small_study_text: str, write_study: Callable[[str], Path]) -> PackSearcher:
    plan = plan_study(load_study(write_study(small_study_text)), Versions(data="", code=""))
    return PackSearcher(
        Dispatch(schedule=Schedule(plan, []), write_cells=lambda cells, measured: cells)
    )


def assert_ended(served: PackSearcher, reason: str) -> None:
    dispatch = served.dispatch
    assert served.failure is None
    assert dispatch.is_over
    assert dispatch.ended == RunEnd.FAILING
    assert dispatch.why == (
        f"a worker can't begin: {reason}; once that is mended, the same command goes on"
    )
    assert not dispatch.in_flight
    assert served.suggest("next") == PackSearcher.FINISHED


def test_a_worker_that_refuses_ends_the_run(served: PackSearcher) -> None:
    served.suggest("trial")
    served.on_trial_complete("trial", {"done": True, REFUSED: "on this worker: own.py:1: no"})
    assert_ended(served, "on this worker: own.py:1: no")


@pytest.mark.parametrize(
    ("error", "text", "reason"),
    [
        (RayActorError(None, BEFORE), BEFORE, "ModuleNotFoundError: No module named 'search.eng"),
        (RayTaskError("step", "...", ImportError("no\nmore")), "", "ImportError: no"),
    ],
)
def test_an_import_error_of_a_worker_ends_the_run(
    served: PackSearcher, tmp_path: Path, error: Exception, text: str, reason: str
) -> None:
    (tmp_path / "error.pkl").write_bytes(pickle.dumps(error))
    (tmp_path / "error.txt").write_text(text)
    trial: Any = SimpleNamespace(
        trial_id="trial",
        pickled_error_file=str(tmp_path / "error.pkl"),
        error_file=str(tmp_path / "error.txt"),
    )
    served.suggest("trial")
    WorkerWatch(served, epoch_seconds=None, read_nodes=list).on_trial_error(0, [trial], trial)
    assert served.dispatch.refusal.startswith(reason)
    assert_ended(served, served.dispatch.refusal)


def test_an_import_error_while_a_cell_trains_is_that_of_the_cell(
    served: PackSearcher, tmp_path: Path
) -> None:
    """What a lost worker has printed is no reason to end the run."""
    printed = "ModuleNotFoundError: No module named 'optional'\nThe worker died unexpectedly\n"
    (tmp_path / "error.pkl").write_bytes(pickle.dumps(RayActorError(None, printed)))
    (tmp_path / "error.txt").write_text(printed)
    trial: Any = SimpleNamespace(
        trial_id="trial",
        pickled_error_file=str(tmp_path / "error.pkl"),
        error_file=str(tmp_path / "error.txt"),
    )
    served.suggest("trial")
    WorkerWatch(served, epoch_seconds=None, read_nodes=list).on_trial_error(0, [trial], trial)
    assert served.dispatch.refusal == ""


def test_a_job_gives_its_workers_no_folder_of_the_driver() -> None:
    config = _job_config()
    config._py_driver_sys_path.extend(["/home/somebody"])
    assert config._get_proto_job_config().py_driver_sys_path == []
