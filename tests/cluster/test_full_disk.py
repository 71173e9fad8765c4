"""The results folder is on a disk that fills up: the run waits, says so, and goes on."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cases.studies.whole_runs import cells_of, events_of, lines_of, run, start, wait_for

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]
MEGABYTE = 2**20
DISK = 40 * MEGABYTE
STUDY = """\
study: full
data:
  planted: {train: 400, valid: 200, test: 200, steps: 4, width: 8}
base:
  train.epochs: 8
search:
  train.learning_rate: {log_uniform: [1e-3, 1e-1]}
sampler: random
arms:
  - leave_one_out:
      text: {model.text.use: false}
budget: {candidates: 30, tune_seeds: 2, confirm_seeds: 20}
"""
CELLS = 2 * (30 * 2 + 20)


@pytest.fixture
def small_disk(tmp_path: Path, program: Callable[[str], str]) -> Iterator[Path]:
    """A folder on a disk of 40 MB."""
    program("mount")
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no disk can be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(path: Path) -> None:
    """Take what is left of the disk."""
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 4096)
        except OSError:
            os.fsync(file.fileno())


def test_it_pauses_says_so_and_goes_on_when_there_is_room(small_disk: Path, tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(STUDY, encoding="utf-8")
    results, said = small_disk / "runs" / "full", tmp_path / "said"
    process = start(
        "run", "study.yaml", "--workers", 2, "--workdir", small_disk, "--plain",
        folder=tmp_path, said=said,
    )  # fmt: skip
    wait_for(lambda: lines_of(results) or process.poll() is not None)
    fill(small_disk / "others")
    wait_for(lambda: "make room" in said.read_text() or process.poll() is not None)
    assert process.poll() is None, said.read_text()
    held = len(lines_of(results))
    assert held < CELLS
    shown = run("status", "full", "--workdir", small_disk, folder=tmp_path)
    assert shown.returncode == 0, shown.stderr
    (small_disk / "others").unlink()
    assert process.wait(timeout=300) == 0, said.read_text()
    keys = [line["key"] for line in lines_of(results)]
    assert len(keys) == len(set(keys)) == CELLS
    assert len(events_of(results, "went on")) == said.read_text().count("make room") >= 1
    assert run("run", "study.yaml", folder=tmp_path).returncode == 0
    assert cells_of(results) == cells_of(tmp_path / "runs" / "full")


def test_a_folder_without_any_room_is_refused_in_one_line(small_disk: Path, tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(STUDY, encoding="utf-8")
    fill(small_disk / "others")
    done = run("run", "study.yaml", "--workdir", small_disk, folder=tmp_path)
    assert done.returncode == 2
    assert "No space left" in done.stderr and "Traceback" not in done.stderr
    (small_disk / "others").unlink()
    assert not lines_of(small_disk / "runs" / "full")
