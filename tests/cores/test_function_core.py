"""A study of a user's own function: planned, tuned, killed, resumed, extended, reproduced."""

import csv
import os
import signal
from pathlib import Path

import pytest

from search.ledger.ledger import read_ledger
from search.results.folder import ledger_results, read_manifest
from spaces.errors import StudyError
from spaces.study_file.load import load_study
from tests.cases.function_code import INPUTS, STUDY, TRAIN, write_code
from tests.cases.studies.whole_runs import lines_of, run, start, wait_for

CELLS = 3 * (3 * 2 + 8)
PAUSE = ("--set", "pause=0.05")  # so that it can be killed in the middle


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the study was killed once, and run again to its end."""
    folder = tmp_path_factory.mktemp("gates")
    write_code(folder)
    results, said = folder / "runs" / "gates", folder / "said.txt"
    slow = ("run", "study.yaml", *PAUSE, "--workers", 2)
    driver = start(*slow, folder=folder, said=said)
    wait_for(lambda: len(lines_of(results)) >= 4, why="the first cells")
    os.killpg(driver.pid, signal.SIGKILL)
    driver.wait()
    kept = len(lines_of(results))
    assert 4 <= kept < CELLS
    done = run(*slow, folder=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{CELLS - kept} cells trained" in done.stdout
    return folder


def table_of(folder: Path) -> dict[str, dict[str, str]]:
    path = folder / "runs" / "gates" / "report" / "table.csv"
    with path.open(newline="", encoding="utf-8") as file:
        return {row["arm"]: row for row in csv.DictReader(file) if row["metric"] == "auroc"}


def test_every_cell_is_there_once(finished: Path) -> None:
    records = read_ledger(finished / "runs" / "gates").values()
    assert len(records) == CELLS
    assert {record.status for record in records} == {"complete"}
    for record in records:
        assert ("test.auroc" in record.metrics) == (record.phase == "confirm")


def test_the_table_has_the_known_answer(finished: Path) -> None:
    """A square decides half of the classes."""
    table = table_of(finished)
    assert table["squares false"]["verdict"] == "worse"
    assert float(table["squares false"]["mean"]) < float(table["base"]["mean"]) - 0.05
    page = (finished / "runs" / "gates" / "report" / "report.html").read_text(encoding="utf-8")
    assert "AUROC" in page
    assert "utterance" not in page


def test_nothing_is_left_to_do(finished: Path) -> None:
    again = run("run", "study.yaml", *PAUSE, folder=finished)
    assert f"nothing to do: {CELLS} cells are finished" in again.stdout


def test_the_report_from_mlflow_equals_the_ledgers(finished: Path) -> None:
    before = table_of(finished)
    done = run("report", "gates", "--from", "mlflow", folder=finished)
    assert done.returncode == 0, done.stderr
    assert table_of(finished) == before


def test_its_cells_are_made_again_without_the_users_folder(finished: Path, tmp_path: Path) -> None:
    """From the files that are kept with the results."""
    moved = tmp_path / "elsewhere"
    (finished / "runs").rename(moved)
    try:
        done = run("reproduce", str(moved / "gates"), "base", folder=tmp_path)
    finally:
        moved.rename(finished / "runs")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "row 'base': the same to the bit; 8 of 8 cells the same" in done.stdout


def test_the_kept_study_is_the_one_that_was_asked(finished: Path) -> None:
    kept = load_study(finished / "runs" / "gates" / "study.yaml")
    assert kept == load_study(finished / "study.yaml", ["pause=0.05"])
    assert {path.name for path in (finished / "runs" / "gates" / "code").glob("*/*")} == {
        "train.py", "inputs.py",
    }  # fmt: skip


@pytest.mark.slow
def test_more_seeds_train_what_is_new(finished: Path) -> None:
    done = run("run", "study.yaml", *PAUSE, "--set", "budget.confirm_seeds=9", folder=finished)
    assert done.returncode == 0, done.stderr
    assert "3 cells trained" in done.stdout
    back = run("report", "gates", folder=finished)
    assert back.returncode == 0


@pytest.mark.parametrize(
    ("train", "inputs", "stale", "named"),
    [
        (TRAIN.replace("# step of the descent", "# another comment"), INPUTS, False, ""),
        (TRAIN, INPUTS.replace("import numpy as np", "import numpy as np  # arrays"), False, ""),
        (TRAIN.replace("0.1 * weights", "0.2 * weights"), INPUTS, True, "train.py changed"),
        (TRAIN, INPUTS.replace("- 1", "- 2"), True, "inputs.py changed"),
        ("import json\n" + TRAIN, INPUTS, True, "train.py changed"),
    ],
)
def test_what_makes_cells_stale_is_named(
    finished: Path, train: str, inputs: str, stale: bool, named: str
) -> None:
    try:
        write_code(finished, train=train, inputs=inputs)
        done = run("plan", "study.yaml", *PAUSE, "--no-probe", "--why", folder=finished)
    finally:
        write_code(finished)
    assert done.returncode == 0, done.stderr
    assert ("stale cells" in done.stdout) == stale, done.stdout
    assert named in done.stdout


def test_facts_and_provenance_are_those_of_the_function(finished: Path) -> None:
    facts = read_manifest(finished / "runs" / "gates").facts
    assert facts.core == "train.py"
    assert facts.provenance["data"] == "load of train.py"
    assert "file train.py" in facts.provenance
    results = ledger_results(finished / "runs" / "gates")
    assert results.facts.primary == "auroc"


def test_a_study_has_to_name_its_task(tmp_path: Path) -> None:
    path = write_code(tmp_path, STUDY.replace("task: binary\n", ""))
    with pytest.raises(StudyError, match=r"'task' is missing: .* one of regression, binary"):
        load_study(path)
    path = write_code(tmp_path, STUDY.replace("task: binary", "task: binari"))
    with pytest.raises(StudyError, match=r"study.yaml:4: task: .* did you mean 'binary'"):
        load_study(path)


def test_schedulers_need_the_number_of_epochs(tmp_path: Path) -> None:
    study = STUDY.replace("budget: {", "budget: {scheduler: bracket, ")
    assert load_study(write_code(tmp_path, study)).budget.scheduler == "bracket"
    train = TRAIN.replace("epochs", "turns")
    with pytest.raises(StudyError, match="has no field that tells how many there are"):
        load_study(write_code(tmp_path, study, train=train))
