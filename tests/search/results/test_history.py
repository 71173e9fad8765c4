"""What a folder remembers of its runs and of its last estimate."""

import subprocess
import sys
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path

import pytest

from search.results.history import (
    ESTIMATE_FILE,
    RUN_HISTORY,
    KeptEstimate,
    RunRecord,
    append_run,
    estimate_check_line,
    format_duration,
    keep_estimate,
    overhead_line,
    read_estimate,
    read_runs,
    utc_timestamp,
)

RUN = RunRecord(
    started="2026-01-01T00:00:00+00:00",
    wall_seconds=85.0,
    startup_seconds=8.0,
    device_seconds=120.0,
    cells=560,
    workers=2,
    ended="complete",
    estimate_seconds=92.0,
)
ESTIMATE = KeptEstimate(plan="a plan", wall_seconds=92.0, workers=2)
# As an older version wrote it, with numbers that no comparison needs.
FILED = {**asdict(ESTIMATE), "device_seconds": 130.0, "basis": "probe"}


def test_runs_come_back_in_their_order(tmp_path: Path) -> None:
    runs = [RUN, replace(RUN, ended="interrupted", cells=3, estimate_seconds=None)]
    for run in runs:
        append_run(tmp_path, run)
    assert read_runs(tmp_path) == runs


def test_a_folder_without_runs_has_none(tmp_path: Path) -> None:
    assert read_runs(tmp_path) == []
    assert read_runs(tmp_path / "nowhere") == []


@pytest.mark.parametrize("keep", [1, 20, -2, -1])
def test_a_torn_last_line_is_passed_over_and_does_not_harm_the_next(
    tmp_path: Path, keep: int
) -> None:
    append_run(tmp_path, RUN)
    whole = (tmp_path / RUN_HISTORY).read_bytes()
    append_run(tmp_path, RUN)
    (tmp_path / RUN_HISTORY).write_bytes(whole + whole[:keep])
    torn = [RUN, RUN] if keep == -1 else [RUN]  # only the newline is missing
    assert read_runs(tmp_path) == torn
    append_run(tmp_path, replace(RUN, cells=1))
    assert read_runs(tmp_path) == [*torn, replace(RUN, cells=1)]


def test_what_is_no_record_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / RUN_HISTORY).write_bytes(b'[1]\n"x"\n{"cells": 3}\n\xff\xfe\n\n')
    append_run(tmp_path, RUN)
    assert read_runs(tmp_path) == [RUN]


def test_fields_of_a_later_version_are_passed_over(tmp_path: Path) -> None:
    append_run(tmp_path, RUN)
    path = tmp_path / RUN_HISTORY
    path.write_text(path.read_text().replace('{"started"', '{"colour":"red","started"'))
    assert read_runs(tmp_path) == [RUN]


def test_an_estimate_is_read_for_its_own_plan_only(tmp_path: Path) -> None:
    keep_estimate(tmp_path / "new", FILED)
    assert read_estimate(tmp_path / "new", "a plan") == ESTIMATE
    assert read_estimate(tmp_path / "new", "another") is None
    assert read_estimate(tmp_path, "a plan") is None
    assert [path.name for path in (tmp_path / "new").iterdir()] == [ESTIMATE_FILE]


def test_a_damaged_estimate_is_none(tmp_path: Path) -> None:
    (tmp_path / ESTIMATE_FILE).write_text('{"plan": "a pl')
    assert read_estimate(tmp_path, "a plan") is None


def test_the_truth_is_one_line() -> None:
    assert estimate_check_line(ESTIMATE, RUN) == "planned 1:32, took 1:25 (estimate 8 % too high)"
    low = replace(ESTIMATE, wall_seconds=68.0)
    assert estimate_check_line(low, RUN) == "planned 1:08, took 1:25 (estimate 20 % too low)"
    right = replace(ESTIMATE, wall_seconds=85.1)
    assert estimate_check_line(right, RUN) == "planned 1:25, took 1:25 (estimate right)"


def test_overhead_is_the_workers_time_by_what_the_cells_took() -> None:
    run = replace(RUN, workers=2, device_seconds=120.0, training_seconds=63.0)
    assert run.overhead == pytest.approx(1.05)
    assert overhead_line(run) == "2 workers trained for 1:03, 1.05 x what the cells took (2:00)"
    for unknown in ({"training_seconds": 0.0}, {"device_seconds": 0.0}, {"workers": 0}):
        assert replace(run, **unknown).overhead is None
        assert overhead_line(replace(run, **unknown)) == ""


def test_what_cannot_be_compared_is_not() -> None:
    assert estimate_check_line(None, RUN) == ""
    assert estimate_check_line(ESTIMATE, replace(RUN, ended="interrupted")) == ""
    assert estimate_check_line(ESTIMATE, replace(RUN, workers=4)) == ""
    assert estimate_check_line(ESTIMATE, replace(RUN, cells=0)) == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (59.6, "1:00"), (95, "1:35"), (3600, "1:00 h"), (5400, "1:30 h"),
     (36 * 3600, "36:00 h"), (60 * 3600, "2.5 days")],
)  # fmt: skip
def test_durations(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


def test_the_time_has_its_zone() -> None:
    assert datetime.fromisoformat(utc_timestamp()).tzinfo is not None


def test_history_imports_nothing_heavy() -> None:
    code = (
        "import sys, search.results.history; "
        "print(*(m for m in ('torch', 'numpy') if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
