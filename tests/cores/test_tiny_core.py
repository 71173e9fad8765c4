"""A study of a core that the platform has never seen: planned, tuned, killed, resumed, reported."""

import csv
import os
import signal
from pathlib import Path

import pytest

from search.ledger.ledger import read_ledger
from search.results.folder import ledger_results, read_manifest
from spaces.errors import StudyError
from spaces.study_file.load import load_study
from spaces.study_file.writing import write_study as study_text
from tests.cases.paths import REPOSITORY
from tests.cases.studies.whole_runs import lines_of, run, start, wait_for

pytestmark = pytest.mark.slow

# So that every process finds the core, which is no installed package.
HERE = {"PYTHONPATH": str(REPOSITORY)}
STUDY = """\
study: ridge
core: tests.cases.ridge_core:CORE
question: Do squares matter?
data: {rows: 120}
base: {fit.rounds: 2, input.squares: true}
search: {fit.strength: {log_uniform: [0.1, 100]}}
arms:
  - leave_one_out:
      squares: {input.squares: false}
      first half: {input.first: false}
claims: [without first half is worse]
margin: {accuracy: 0.02}
budget: {candidates: 3, tune_seeds: 2, confirm_seeds: 8}
"""
CELLS = 3 * (3 * 2 + 8)
PAUSE = ("--set", "fit.pause=0.1")  # so that it can be killed in the middle


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the study was killed once, and run again to its end."""
    folder = tmp_path_factory.mktemp("ridge")
    (folder / "ridge.yaml").write_text(STUDY, encoding="utf-8")
    results, said = folder / "runs" / "ridge", folder / "said.txt"
    slow = ("run", "ridge.yaml", *PAUSE, "--workers", 2)
    driver = start(*slow, folder=folder, said=said, environment=HERE)
    wait_for(lambda: len(lines_of(results)) >= 4, why="the first cells")
    os.killpg(driver.pid, signal.SIGKILL)
    driver.wait()
    kept = len(lines_of(results))
    assert 4 <= kept < CELLS
    done = run(*slow, folder=folder, environment=HERE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{CELLS - kept} cells trained" in done.stdout
    return folder


def table_of(folder: Path) -> dict[str, dict[str, str]]:
    path = folder / "runs" / "ridge" / "report" / "table.csv"
    with path.open(newline="", encoding="utf-8") as file:
        return {row["arm"]: row for row in csv.DictReader(file)}


def test_every_cell_is_there_once(finished: Path) -> None:
    records = read_ledger(finished / "runs" / "ridge").values()
    assert len(records) == CELLS
    assert {record.status for record in records} == {"complete"}
    for record in records:
        assert ("test.accuracy" in record.metrics) == (record.phase == "confirm")


def test_the_table_has_the_known_answer(finished: Path) -> None:
    """The first half of the features decides two of the three classes, a square the third."""
    table = table_of(finished)
    assert float(table["full"]["mean"]) > float(table["without squares"]["mean"]) + 0.05
    assert float(table["without squares"]["mean"]) > float(table["without first half"]["mean"])
    assert table["without first half"]["verdict"] == "worse"
    facts = read_manifest(finished / "runs" / "ridge").facts
    assert facts.core == "tests.cases.ridge_core:CORE"
    assert "hoerl1970ridge" in facts.references
    assert facts.provenance["data"] == "120 generated rows"
    page = (finished / "runs" / "ridge" / "report" / "report.html").read_text(encoding="utf-8")
    assert "Accuracy" in page


def test_the_plan_names_its_size_and_nothing_is_left(finished: Path) -> None:
    done = run("plan", "ridge.yaml", *PAUSE, folder=finished, environment=HERE)
    assert done.returncode == 0, done.stderr
    assert f"{CELLS} of {CELLS} cells are in the ledger" in done.stdout
    again = run("run", "ridge.yaml", *PAUSE, folder=finished, environment=HERE)
    assert f"nothing to do: {CELLS} cells are finished" in again.stdout


def test_the_report_from_mlflow_equals_the_ledgers(finished: Path) -> None:
    before = table_of(finished)
    done = run("report", "ridge", "--from", "mlflow", folder=finished, environment=HERE)
    assert done.returncode == 0, done.stderr
    assert table_of(finished) == before


def test_its_cells_are_made_again(finished: Path) -> None:
    done = run("reproduce", "ridge", "full", folder=finished, environment=HERE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "row 'full': the same to the bit; 8 of 8 cells the same" in done.stdout


def test_status_and_export_know_it(finished: Path) -> None:
    assert run("status", "ridge", folder=finished, environment=HERE).returncode == 0
    results = ledger_results(finished / "runs" / "ridge")
    assert results.facts.primary == "accuracy"
    assert results.information == ()
    assert not results.tags


def test_the_kept_study_is_the_one_that_was_asked(finished: Path) -> None:
    kept = load_study(finished / "runs" / "ridge" / "study.yaml")
    assert kept == load_study(finished / "ridge.yaml", ["fit.pause=0.1"])
    assert "core: tests.cases.ridge_core:CORE" in study_text(kept)


def test_a_core_that_is_not_there_is_refused_with_the_line(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    for name, why in (
        ("ridgy", "is no core"),
        ("no.such:CORE", "can't be imported"),
        ("json:dumps", "is no core: it has no name, config_class"),
    ):
        path.write_text(STUDY.replace("tests.cases.ridge_core:CORE", name), encoding="utf-8")
        with pytest.raises(StudyError, match=rf"study.yaml:2: core: .*{why}"):
            load_study(path)


def test_what_only_another_core_has_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(STUDY + "plugins: [mine.py]\n", encoding="utf-8")
    (tmp_path / "mine.py").write_text("", encoding="utf-8")
    with pytest.raises(StudyError, match="takes no plugins"):
        load_study(path)
    path.write_text(STUDY.replace("leave_one_out:", "pairs:"), encoding="utf-8")
    with pytest.raises(StudyError, match="has no groups of fields"):
        load_study(path)


def test_a_study_of_the_core_that_ships_does_not_name_it(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text("study: s\narms: [{explicit: {full: {}}}]\n", encoding="utf-8")
    study = load_study(path)
    assert study.core.name == "msa"
    assert "core" not in study_text(study)
