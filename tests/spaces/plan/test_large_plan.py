"""A large study is planned in seconds, and nothing heavy is loaded for it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cases.paths import TRIPTYCH

SECONDS = 2  # of processor time
HEAVY = ("torch", "ray", "optuna", "mlflow")

# Three pairs, each off, shared or private, under eight fusions.
STUDY = """\
study: large
data: planted
base:
  model.projection.width: 16
  model.text.encoder: lstm
  model.audio.encoder: lstm
  model.vision.encoder: lstm
search:
  train.learning_rate: {log_uniform: [2e-4, 5e-3]}
  model.fusion.dropout: {uniform: [0, 0.5], step: 0.1}
  loss.alignment.text_audio.weight: {log_uniform: [1e-2, 1e2]}
  loss.alignment.text_vision.weight: {log_uniform: [1e-2, 1e2]}
  loss.alignment.audio_vision.weight: {log_uniform: [1e-2, 1e2]}
arms:
  - product:
      - pairs: {modes: [off, shared, private]}
      - grid: {model.fusion.kind: [concat, sum, gated, tfn, lmf, mult, misa, reorg_sum]}
        reference: fusion concat
budget: {candidates: 20, tune_seeds: 3, confirm_seeds: 10}
"""

PLAN = """\
import sys, time
from pathlib import Path

from tests.cases.paths import TRIPTYCH
from spaces.plan.plan import plan_study
from spaces.plan.arms_on_data import Versions
from spaces.study_file.load import load_study
started = time.process_time()
plan = plan_study(load_study(Path(sys.argv[1])), Versions(data="", code=""))
cells = plan.cell_count()
print(time.process_time() - started)
print(len(plan.arms), len({arm.name for arm in plan.arms}), plan.study.baseline, sep="|")
print(cells)
print(*[name for name in sys.argv[2:] if name in sys.modules])
"""


@pytest.fixture
def study(tmp_path: Path) -> Path:
    path = tmp_path / "large.yaml"
    path.write_text(STUDY, encoding="utf-8")
    return path


def printed(*command: str, **environment: str) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, **environment}, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_216_arms_are_planned_in_two_seconds_without_torch(study: Path) -> None:
    seconds, arms, cells, heavy = printed(
        sys.executable, "-c", PLAN, str(study), *HEAVY
    ).split("\n")[:4]  # fmt: skip
    assert arms == "216|216|fusion concat / no pair"
    assert int(cells) == 216 * (20 * 3 + 10)
    assert heavy == ""
    assert float(seconds) < SECONDS


def test_the_command_plans_it_without_torch(study: Path, tmp_path: Path) -> None:
    """What it imports is asked of the process at its end."""
    (tmp_path / "sitecustomize.py").write_text(
        "import atexit, sys\n"
        f"atexit.register(lambda: print('HEAVY', *[m for m in {HEAVY!r} if m in sys.modules]))\n",
        encoding="utf-8",
    )
    command = [sys.executable, str(TRIPTYCH), "plan", str(study), "--no-probe"]
    output = printed(*command, "--workdir", str(tmp_path), PYTHONPATH=str(tmp_path))
    *lines, heavy = output.splitlines()
    assert set(heavy.split()) <= {"HEAVY", "optuna"}  # which names its version
    assert "fusion concat / no pair" in output
    assert len(lines) < 300
    assert "15,120" in output or "15120" in output  # cells
