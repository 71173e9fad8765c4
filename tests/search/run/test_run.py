"""A whole study through Ray, as a user runs it: from the study file to the report."""

import csv
import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from search.ledger.ledger import read_full_records, read_ledger, read_pack_sizes
from search.ledger.lines import LEDGER
from search.results.folder import ledger_results, read_manifest
from tests.cases.paths import TRIPTYCH
from tests.cases.studies.whole_runs import wait_for

TABLE_COLUMNS = "arm,metric,n,mean,sd,delta,ci_low,ci_high,p,p_holm,verdict"
CELL_COLUMNS = "key,arm,phase,candidate,seed,status,epochs"
CELLS = 2 * (3 * 2 + 4)


def triptych(*arguments: object, folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [str(TRIPTYCH), *map(str, arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, small_study_text: str) -> Path:
    """A work folder in which the small study has been run."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "study.yaml").write_text(small_study_text, encoding="utf-8")
    result = triptych("run", "study.yaml", "--workers", 2, folder=folder)
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"{CELLS} cells trained" in result.stdout
    assert result.stderr == ""
    return folder


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_run_writes_its_report(finished: Path) -> None:
    report = finished / "runs" / "small" / "report"
    assert {path.name for path in report.iterdir()} >= {
        "report.html", "table.tex", "table.md", "table.csv", "cells.csv",
    }  # fmt: skip
    assert (report / "table.csv").read_text().splitlines()[0] == TABLE_COLUMNS
    assert (report / "cells.csv").read_text().splitlines()[0].startswith(CELL_COLUMNS + ",metric.")


def test_every_cell_is_there_once_and_only_confirm_cells_saw_the_test_split(
    finished: Path,
) -> None:
    cells = rows(finished / "runs" / "small" / "report" / "cells.csv")
    assert len(cells) == len({cell["key"] for cell in cells}) == CELLS
    for cell in cells:
        assert bool(cell["metric.test.mae"]) == (cell["phase"] == "confirm")
        assert cell["metric.valid.mae"]


def test_the_ledger_holds_the_pack_sizes_that_the_workers_measured(finished: Path) -> None:
    sizes = read_pack_sizes(finished / "runs" / "small")
    assert len({size.pack_key for size in sizes}) == 2  # with text and without
    assert all(size.size >= 2 and size.share > 0 and size.device == "cpu" for size in sizes)


def test_a_second_run_trains_nothing(finished: Path) -> None:
    before = (finished / "runs" / "small" / LEDGER).read_bytes()
    result = triptych("run", "study.yaml", folder=finished)
    assert result.returncode == 0
    assert "nothing to do: 20 cells are finished" in result.stdout
    assert "Ray" not in result.stdout
    assert (finished / "runs" / "small" / LEDGER).read_bytes() == before


def test_the_report_from_mlflow_equals_the_ledgers(finished: Path) -> None:
    report = finished / "runs" / "small" / "report"

    def files() -> dict[str, bytes]:
        return {
            path.relative_to(report).as_posix(): path.read_bytes()
            for path in report.rglob("*")
            if path.is_file()
        }

    assert triptych("report", "small", folder=finished).returncode == 0
    from_ledger = files()
    assert {"report.html", "cells.csv"} <= from_ledger.keys()
    result = triptych("report", "small", "--from", "mlflow", folder=finished)
    assert result.returncode == 0, result.stderr
    assert files() == from_ledger


def test_a_run_leaves_what_a_report_wants_beside_the_cells(finished: Path) -> None:
    results = ledger_results(finished / "runs" / "small")
    assert not results.embargoed and results.planned_confirm == 8
    assert results.curves.keys() == set(results.cells["key"])
    assert [(pair.first, pair.second) for pair in results.information] == [
        ("text", "audio"), ("text", "vision"), ("audio", "vision"),
    ]  # fmt: skip
    assert results.tags.keys() >= {"sentiment strength", "text length", "text conflict"}
    assert results.unblindings == ()
    assert read_manifest(finished / "runs" / "small").finished


def test_what_is_said_while_it_runs_has_nothing_of_the_test_split(finished: Path) -> None:
    folder = finished / "runs" / "small"
    cells = [cell for cell in read_full_records(folder) if cell.phase == "confirm"]
    values = {str(cell.metrics["test.mae"]) for cell in cells}
    assert len(values) > 1
    for name in ("events.jsonl", "live.json", "optuna.journal", "runs.jsonl"):
        text = (folder / name).read_text(encoding="utf-8")
        assert "test." not in text and not any(value in text for value in values), name


def test_the_same_study_on_other_workers_gives_the_same_numbers(
    finished: Path, tmp_path: Path, small_study_text: str
) -> None:
    (tmp_path / "study.yaml").write_text(small_study_text, encoding="utf-8")
    result = triptych("run", "study.yaml", "--workers", 1, folder=tmp_path)
    assert result.returncode == 0
    assert without_seconds(tmp_path) == without_seconds(finished)


def without_seconds(folder: Path) -> list[dict[str, str]]:
    cells = rows(folder / "runs" / "small" / "report" / "cells.csv")
    return [{**cell, "metric.seconds": ""} for cell in cells]


@pytest.mark.slow
def test_the_same_study_without_packs_gives_the_same_table(
    finished: Path, tmp_path: Path, small_study_text: str
) -> None:
    (tmp_path / "study.yaml").write_text(small_study_text, encoding="utf-8")
    result = triptych("run", "study.yaml", "--workers", 2, "--pack-size", 1, folder=tmp_path)
    assert result.returncode == 0, result.stderr
    with_packs, without = (
        (folder / "runs" / "small" / "report" / "table.csv").read_text()
        for folder in (finished, tmp_path)
    )
    assert without == with_packs


@pytest.mark.slow
@pytest.mark.parametrize("scheduler", ["bracket", "asha"])
def test_candidates_are_stopped_early_and_told_as_pruned(
    scheduler: str, tmp_path: Path, small_study_text: str
) -> None:
    (tmp_path / "study.yaml").write_text(small_study_text, encoding="utf-8")
    more = ["--set", "budget.candidates=9", "--set", "train.epochs=18", "--set",
            f"budget.scheduler={scheduler}"]  # fmt: skip
    result = triptych("run", "study.yaml", "--workers", 2, *more, folder=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    cells = list(read_ledger(tmp_path / "runs" / "small").values())
    pruned = [cell for cell in cells if cell.status == "pruned"]
    assert {cell.status for cell in cells} == {"complete", "pruned"}
    assert {cell.epochs for cell in pruned} <= {2, 6}
    assert all(len(cell.curve["valid.mae"]) == cell.epochs for cell in pruned)
    assert {cell.status for cell in cells if cell.phase == "confirm"} == {"complete"}
    for arm in {cell.arm for cell in cells}:
        own = [cell for cell in cells if cell.arm == arm]
        assert len([cell for cell in own if cell.phase == "tune"]) == 9 * 2
        assert len([cell for cell in own if cell.phase == "confirm"]) == 4
        assert any(cell.status == "pruned" for cell in own)
    again = triptych("run", "study.yaml", *more, folder=tmp_path)
    assert "nothing to do" in again.stdout


@pytest.mark.slow
@pytest.mark.parametrize("scheduler", ["none", "bracket"])
def test_arms_are_tuned_for_equal_device_seconds(
    scheduler: str, tmp_path: Path, small_study_text: str
) -> None:
    text = small_study_text.replace("candidates: 3", "device_seconds: 8")
    (tmp_path / "study.yaml").write_text(text, encoding="utf-8")
    more = ["--set", f"budget.scheduler={scheduler}", "--set", "train.epochs=18"]
    result = triptych("run", "study.yaml", "--workers", 2, *more, folder=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    seconds: dict[str, float] = {}
    for cell in read_ledger(tmp_path / "runs" / "small").values():
        if cell.phase == "tune":
            seconds[cell.arm] = seconds.get(cell.arm, 0.0) + cell.metrics["seconds"]
    assert len(seconds) == 2
    # The last epoch of an arm may meet a busy machine; `test_budgets` holds the rule to 5 %.
    assert all(0.95 * 8 <= spent <= 1.25 * 8 for spent in seconds.values()), seconds
    page = (tmp_path / "runs" / "small" / "report" / "report.html").read_text()
    assert "were tuned for the same 8 s of training" in page


@pytest.mark.slow
def test_a_study_stops_at_its_ceiling_and_goes_on_with_a_higher_one(
    tmp_path: Path, small_study_text: str
) -> None:
    (tmp_path / "study.yaml").write_text(small_study_text, encoding="utf-8")
    ceiling = ["--set", "budget.max_device_hours=1e-6"]
    stopped = triptych("run", "study.yaml", "--workers", 1, *ceiling, folder=tmp_path)
    assert stopped.returncode == 3, stopped.stdout + stopped.stderr
    assert "stopped before the end: budget.max_device_hours: 1e-06 is reached" in stopped.stdout
    kept = read_ledger(tmp_path / "runs" / "small")
    assert 0 < len(kept) < CELLS
    done = triptych("run", "study.yaml", "--workers", 1, folder=tmp_path)
    assert done.returncode == 0
    assert f"{CELLS - len(kept)} cells trained" in done.stdout


@pytest.mark.slow
def test_a_study_killed_half_way_goes_on_and_ends_the_same(
    finished: Path, tmp_path: Path, small_study_text: str
) -> None:
    (tmp_path / "study.yaml").write_text(small_study_text, encoding="utf-8")
    ledger = tmp_path / "runs" / "small" / LEDGER
    run = subprocess.Popen(
        [str(TRIPTYCH), "run", "study.yaml", "--workers", "2"],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    wait_for(lambda: len(read_ledger(ledger.parent)) >= 4, 120)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    kept = read_ledger(ledger.parent)
    assert 4 <= len(kept) < CELLS
    result = triptych("run", "study.yaml", "--workers", 2, folder=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"{CELLS - len(kept)} cells trained" in result.stdout
    lines = [json.loads(line) for line in ledger.read_text().splitlines()]
    keys = [line["key"] for line in lines if "key" in line]  # the others are pack sizes
    assert len(keys) == len(set(keys)) == CELLS
    assert without_seconds(tmp_path) == without_seconds(finished)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux's /proc")
def test_a_worker_that_is_killed_is_replaced_and_changes_no_number(
    finished: Path, tmp_path: Path, small_study_text: str
) -> None:
    (tmp_path / "study.yaml").write_text(small_study_text, encoding="utf-8")
    with (tmp_path / "said").open("w") as said:
        run = subprocess.Popen(
            [str(TRIPTYCH), "run", "study.yaml", "--workers", "1"], cwd=tmp_path, stdout=said,
            stderr=subprocess.STDOUT,
        )  # fmt: skip
        wait_for(lambda: workers_of(run.pid) or run.poll() is not None, 120)
        for worker in workers_of(run.pid):
            os.kill(worker, signal.SIGKILL)
        assert run.wait(timeout=120) == 0
    said = (tmp_path / "said").read_text()
    assert said.count("trained again") == 1 and "lost worker" in said
    assert without_seconds(tmp_path) == without_seconds(finished)


def workers_of(driver: int) -> list[int]:
    """The processes below a driver that serve trials."""
    parents: dict[int, int] = {}
    serving = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
            after_name = (process / "stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue  # it has ended
        parents[int(process.name)] = int(after_name[1])
        if command.startswith(b"ray::") and b"Trainable.train" in command:
            serving.append(int(process.name))

    def is_below(process: int) -> bool:
        parent = parents.get(process, 0)
        return parent == driver or (parent > 1 and is_below(parent))

    return [process for process in serving if is_below(process)]


def test_ctrl_c_keeps_what_is_finished_and_says_how_to_go_on(
    tmp_path: Path, small_study_text: str
) -> None:
    (tmp_path / "study.yaml").write_text(small_study_text, encoding="utf-8")
    ledger = tmp_path / "runs" / "small" / LEDGER
    run = subprocess.Popen(
        [str(TRIPTYCH), "run", "study.yaml", "--workers", "1", "--set", "train.epochs=200",
         "--set", "train.patience=200"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    wait_for(lambda: len(read_ledger(ledger.parent)) >= 2, 120)
    second = triptych("run", "study.yaml", folder=tmp_path)
    assert second.returncode == 2
    assert "a run of this study is going on" in second.stderr
    assert "running" in triptych("status", "small", folder=tmp_path).stdout
    run.send_signal(signal.SIGINT)
    said, errors = run.communicate(timeout=60)
    assert run.returncode == 130
    assert "the same command goes on" in said
    assert "Traceback" not in errors
    assert "not running" in triptych("status", "small", folder=tmp_path).stdout
