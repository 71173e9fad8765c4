"""The driver is killed again and again: no finished cell is lost, and none is trained twice."""

import os
import random
import signal
import time
from pathlib import Path

import pytest

from tests.cases.function_code import write_code
from tests.cases.studies.whole_runs import cells_of, lines_of, run, start

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]
KILLS = 20
# No sampler that learns: the arms are given, and what is searched is asked for by number.
STUDY = """\
study: killed
data:
  planted: {train: 1500, valid: 300, test: 300, steps: 6, width: 12}
base:
  train.epochs: 12
  train.patience: 12
search:
  train.learning_rate: {log_uniform: [1e-3, 1e-1]}
sampler: random
arms:
  - leave_one_out:
      text: {model.text.use: false}
      audio: {model.audio.use: false}
      vision: {model.vision.use: false}
budget: {candidates: 8, tune_seeds: 2, confirm_seeds: 10}
"""
# A training function that keeps a checkpoint; an epoch of it waits, so that it can be killed there.
FUNCTIONS = """\
study: killed
core: train.py
task: binary
base: {pause: 0.1}
search: {learning_rate: {log_uniform: [0.1, 10]}}
sampler: random
arms:
  - leave_one_out: {squares: {squares: false}, descent: {epochs: 2}}
  - explicit: {decay: {penalty: l2}}
budget: {candidates: 8, tune_seeds: 2, confirm_seeds: 10}
"""
ARMS = 4
CELLS = ARMS * (8 * 2 + 10)


@pytest.fixture(params=[STUDY, FUNCTIONS], ids=["msa", "function"])
def studies(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    for name in ("killed", "whole"):
        (tmp_path / name).mkdir()
        write_code(tmp_path / name, request.param)
    return tmp_path


def test_killed_at_twenty_moments_it_ends_as_if_nothing_had_happened(studies: Path) -> None:
    seed = random.randrange(10**6)
    draw = random.Random(seed)
    place = studies / "killed"
    results = place / "runs" / "killed"
    finished: set[str] = set()
    moments = []
    for kill in range(KILLS):
        began = time.monotonic()
        process = start(
            "run", "study.yaml", "--workers", 2, folder=place, said=studies / "said",
            # Checkpoints too: a cell may be killed and gone on with many times.
            environment={"TRIPTYCH_TEST": str(kill)},
        )  # fmt: skip
        before = len(lines_of(results))
        # Half of them at any moment from the start on, half once there is something to lose.
        wait = draw.uniform(0.0, 9.0)
        while time.monotonic() - began < wait or (
            kill % 2 and len(lines_of(results)) == before and process.poll() is None
        ):
            time.sleep(0.02)
        alive = process.poll() is None
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        moments.append(alive)
        held = {line["key"] for line in lines_of(results)}
        assert finished <= held, f"seed {seed}: a finished cell is gone"
        finished = held
        if len(finished) == CELLS:
            break
    assert sum(moments) == KILLS, f"seed {seed}: the study was over after {len(moments)} kills"
    last = run("run", "study.yaml", "--workers", 2, folder=place)
    assert last.returncode == 0, last.stdout + last.stderr
    assert f"{CELLS - len(finished)} cells trained" in last.stdout, f"seed {seed}"
    keys = [line["key"] for line in lines_of(results)]
    assert len(keys) == len(set(keys)) == CELLS, f"seed {seed}: a cell was trained twice"
    whole = run("run", "study.yaml", "--workers", 2, folder=studies / "whole")
    assert whole.returncode == 0
    assert cells_of(results) == cells_of(studies / "whole" / "runs" / "killed"), f"seed {seed}"
    assert_nothing_is_running(results)


def assert_nothing_is_running(results: Path) -> None:
    """Optuna's journal, as its dashboard reads it."""
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    storage = JournalStorage(JournalFileBackend(str(results / "optuna.journal")))
    studies = optuna.get_all_study_summaries(storage)
    assert len(studies) == ARMS
    for study in studies:
        states = [
            trial.state.name
            for trial in optuna.load_study(study_name=study.study_name, storage=storage).trials
        ]
        assert states.count("COMPLETE") == 8
        assert not {"RUNNING", "WAITING"} & set(states)
