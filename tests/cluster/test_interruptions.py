"""Long cells that are interrupted: by Ctrl-C, by a preemption, by the driver's death."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cases.studies.whole_runs import cells_of, events_of, lines_of, run, start, wait_for

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]
STUDY = """\
study: long
data:
  planted: {train: 1200, valid: 300, test: 300, steps: 6, width: 12}
base:
  train.epochs: 150
  train.patience: 150
search: {}
arms:
  - explicit:
      full: {}
      summed: {model.fusion.kind: sum}
baseline: full
budget: {candidates: 1, tune_seeds: 1, confirm_seeds: 3}
"""
CELLS = 2 * 3
RUN = (
    "run", "study.yaml", "--workers", 2, "--plain", "--checkpoint-minutes", 0.05,
    "--grace-seconds", 1,
)  # fmt: skip


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    folder = tmp_path_factory.mktemp("whole")
    (folder / "study.yaml").write_text(STUDY, encoding="utf-8")
    done = run(*RUN, folder=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return cells_of(folder / "runs" / "long")


def begun(folder: Path, what: str) -> "subprocess.Popen[bytes]":
    """A run that has been training for a while, or has left checkpoints."""
    (folder / "study.yaml").write_text(STUDY, encoding="utf-8")
    process = start(*RUN, folder=folder, said=folder / "said")
    wait_for(
        lambda: list((folder / "runs" / "long").glob(what)) or process.poll() is not None, why=what
    )
    assert process.poll() is None, (folder / "said").read_text()
    return process


def goes_on(folder: Path, uninterrupted: list[dict[str, str]]) -> None:
    """From its checkpoints, to the same numbers."""
    results = folder / "runs" / "long"
    held = len(lines_of(results))
    assert held < CELLS
    done = run(*RUN, folder=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{CELLS - held} cells trained" in done.stdout
    assert sum(event["resumed"] for event in events_of(results, "pack started")) > 0
    assert cells_of(results) == uninterrupted
    assert not list((results / "checkpoints").glob("*"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_gently_and_it_goes_on_where_it_was(
    tmp_path: Path, number: signal.Signals, uninterrupted: list[dict[str, str]]
) -> None:
    process = begun(tmp_path, "checkpoints/*.pt")
    # A terminal sends Ctrl-C to the whole group, a scheduler its SIGTERM to the process it started.
    (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
    assert process.wait(timeout=90) == 130, (tmp_path / "said").read_text()
    said = (tmp_path / "said").read_text()
    assert "no more work is handed out" in said and "the same command" in said
    assert "Traceback" not in said
    assert "not running" in run("status", "long", folder=tmp_path).stdout
    for source in ("ledger", "mlflow"):
        report = run("report", "long", "--from", source, folder=tmp_path)
        assert report.returncode == 0, report.stderr
        assert "test metrics are sealed" in report.stdout
        assert "metric.test" not in (tmp_path / "runs/long/report/cells.csv").read_text()
    goes_on(tmp_path, uninterrupted)


def test_a_second_ctrl_c_ends_it_at_once(
    tmp_path: Path, uninterrupted: list[dict[str, str]]
) -> None:
    process = begun(tmp_path, "checkpoints/*.pt")
    process.send_signal(signal.SIGINT)
    wait_for(lambda: "no more work is handed out" in (tmp_path / "said").read_text())
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 130
    assert "Traceback" not in (tmp_path / "said").read_text()
    goes_on(tmp_path, uninterrupted)


def test_a_driver_that_is_killed_leaves_checkpoints_to_go_on_from(
    tmp_path: Path, uninterrupted: list[dict[str, str]]
) -> None:
    process = begun(tmp_path, "checkpoints/*.pt")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    goes_on(tmp_path, uninterrupted)
