"""Who looks at test metrics early, or lets a study grow after a look, is in every later report."""

import re
from pathlib import Path

import pytest

from msa_core.data.dataset import Dataset
from msa_core.data.planted import generate_planted
from msa_core.metrics import SCHEMES
from reports.mlflow_source import read_mlflow
from reports.results import ResultsError
from reports.write import write_report
from search.engine.options import RunOptions
from search.engine.run_study import manifest_for
from search.ledger.ledger import Ledger
from search.ledger.record import CellRecord
from search.results.embargo import lift_embargo
from search.results.folder import (
    ledger_results,
    read_manifest,
    write_manifest,
)
from search.results.unblinding_log import UNBLINDING_LOG, record_seen_plan, unblinding_sentences
from search.tracking import local_store, sync_study
from tests.cases.studies.sealed_studies import (
    DATA,
    SECRET,
    STUDY,
    filled,
    made_up_cells,
    plan_of,
    unfinished_study,
)


@pytest.fixture
def data() -> Dataset:
    return generate_planted(DATA)


@pytest.fixture
def unfinished(tmp_path: Path, data: Dataset) -> tuple[Path, list[CellRecord]]:
    """A folder that lacks one confirm cell, and all cells."""
    return unfinished_study(tmp_path, data)


def test_an_early_opening_is_in_every_later_report(
    unfinished: tuple[Path, list[CellRecord]],
) -> None:
    folder, cells = unfinished
    assert ledger_results(folder).unblindings == ()
    assert lift_embargo(folder)
    early = ledger_results(folder, unseal=True)
    assert not early.embargoed
    assert early.cells["metric.test.mae"].max() > SECRET - 1
    assert len(early.predictions) == 7
    (sentence,) = early.unblindings
    assert re.fullmatch(
        r"Test metrics were opened early, on \d{4}-\d\d-\d\d at \d\d:\d\d UTC, when 7 of 8 confirm "
        r"cells were done\.",
        sentence,
    )
    sealed = ledger_results(folder)
    assert sealed.embargoed  # it was opened once, not for good
    assert sealed.unblindings == (sentence,)
    lift_embargo(folder)
    with Ledger(folder) as ledger:
        ledger.append(cells[-1:])
    assert not lift_embargo(folder)  # there is nothing to open any more
    final = ledger_results(folder)
    assert len(final.unblindings) == 2 and final.unblindings[0] == sentence
    report = write_report(final, SCHEMES["mosi"], folder / "report")
    assert "opened early" in report.html.read_text(encoding="utf-8")
    assert sync_study(folder).failure == ""
    assert read_mlflow(local_store(folder), "small").unblindings == final.unblindings


def test_before_the_first_confirm_cell_there_is_nothing_to_open(
    tmp_path: Path, data: Dataset
) -> None:
    plan = plan_of(tmp_path)
    folder = tmp_path / "runs" / "small"
    folder.mkdir(parents=True)
    tuned = [cell for cell in made_up_cells(plan, data) if cell.phase == "tune"]
    filled(folder, plan, data, tuned)
    assert not lift_embargo(folder)
    assert not (folder / UNBLINDING_LOG).exists()
    assert ledger_results(folder).embargoed


def test_an_opening_that_cannot_be_written_down_shows_nothing(
    unfinished: tuple[Path, list[CellRecord]],
) -> None:
    (unfinished[0] / UNBLINDING_LOG).mkdir()
    with pytest.raises(ResultsError, match="shown only if that is written down"):
        lift_embargo(unfinished[0])


def test_what_is_no_record_of_an_opening_is_passed_over(
    unfinished: tuple[Path, list[CellRecord]],
) -> None:
    folder, _ = unfinished
    (folder / UNBLINDING_LOG).write_text(
        '{\n[]\n{"what": "early"}\n{"what": "seen"}\n{"x": 1}', "utf-8"
    )
    assert ledger_results(folder).unblindings == ()
    lift_embargo(folder)
    assert len(ledger_results(folder).unblindings) == 1


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (("budget.confirm_seeds=6",), "with 4 confirm seeds before the study grew to 6."),
        (("budget.candidates=5",), "with 3 candidates per arm before the study grew to 5."),
        (
            ("budget.confirm_seeds=6", "budget.candidates=5"),
            "with 4 confirm seeds and 3 candidates per arm before the study grew to 6 and 5.",
        ),
        (("budget.confirm_seeds=3",), ""),
        (("train.epochs=2", "budget.confirm_seeds=6"), ""),
    ],
)
def test_growth_after_a_look_is_said(
    overrides: tuple[str, ...], sentence: str, tmp_path: Path, data: Dataset
) -> None:
    plan = plan_of(tmp_path)
    filled(tmp_path, plan, data, made_up_cells(plan, data))
    other = plan_of(tmp_path, STUDY, *overrides)
    with Ledger(tmp_path) as ledger:
        for again in (plan, other, other):
            manifest = manifest_for(again, data, ledger, RunOptions())
            write_manifest(tmp_path, manifest)
    wanted = (f"Test metrics had been seen {sentence}",) if sentence else ()
    assert ledger_results(tmp_path).unblindings == wanted
    assert read_manifest(tmp_path).finished is False


def test_an_unfinished_plan_was_not_seen(
    unfinished: tuple[Path, list[CellRecord]], tmp_path: Path, data: Dataset
) -> None:
    folder, _ = unfinished
    larger = plan_of(tmp_path, STUDY, "budget.confirm_seeds=6")
    with Ledger(folder) as ledger:
        assert not manifest_for(larger, data, ledger, RunOptions()).finished
    assert not (folder / UNBLINDING_LOG).exists()


def test_a_plan_is_noted_once(unfinished: tuple[Path, list[CellRecord]]) -> None:
    folder, _ = unfinished
    size = read_manifest(folder).size
    for _ in range(2):
        record_seen_plan(folder, size)
    assert len((folder / UNBLINDING_LOG).read_text().splitlines()) == 1
    assert unblinding_sentences(folder, size) == ()
