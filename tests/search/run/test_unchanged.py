"""A finished study is known to be finished by what lies in its folder, and by nothing less."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from msa_core.core import CORE
from msa_core.data.dataset import Dataset
from search.engine.options import RunOptions
from search.ledger.ledger import Ledger, read_full_records
from search.ledger.lines import LEDGER
from search.results.folder import keep_study, read_manifest, write_manifest
from search.results.layout import ANSWER, REPORT
from search.results.plan_facts import manifest_of
from search.results.shared_information import MODALITIES, keep_information
from search.results.unblinding_log import record_early_unblinding, record_seen_plan
from search.run.unchanged import print_if_unchanged
from search.study.open import OpenedStudy, StaleAnswer, open_study
from search.tracking import local_store
from search.tracking.marker import MARKER, Marker, ledger_size, state_digest, write_marker
from search.tracking.report import _report_digest
from search.tracking.run_contents import late_files
from tests.cases.studies.sealed_studies import filled, made_up_cells

WriteStudy = Callable[[str], Path]
REPORT_FILES = ("report.html", "table.tex", "cells.csv", "paper/bars.svg")


def opened_from(path: Path, *overrides: str) -> OpenedStudy:
    """A study, in a work folder beside its file."""
    (opened,) = open_study(
        str(path),
        (),
        overrides,
        path.parent,
        need_data=True,
        stale_answer=StaleAnswer.RERUN,
        fetch=lambda folder: None,
    )
    return opened


def mark(opened: OpenedStudy) -> None:
    """Note that the tracking server has all of a study as it is now, and its report."""
    assert opened.dataset is not None
    folder = opened.folder
    manifest = manifest_of(opened.plan, opened.dataset, local_store(folder))
    marker = Marker(
        state=state_digest(manifest, ledger_size(folder), late_files(folder, manifest)),
        complete=True,
        study_run="1",
        artifacts="",
        report=_report_digest(folder),
    )
    write_marker(folder, marker)


@pytest.fixture
def path(write_study: WriteStudy, small_study_text: str, small_data: Dataset) -> Path:
    """The file of a study that is finished, with a made-up report."""
    path = write_study(small_study_text)
    opened = opened_from(path)
    assert opened.dataset is not None
    folder = opened.folder
    (folder / REPORT / "paper").mkdir(parents=True)
    keep_study(folder, opened.plan.study)
    manifest = filled(folder, opened.plan, small_data, made_up_cells(opened.plan, small_data))
    write_manifest(folder, replace(manifest, finished=True))
    (folder / "mlflow.db").write_text("made up\n")
    for file in REPORT_FILES:
        (folder / REPORT / file).write_text("made up")
    (folder / REPORT / ANSWER).write_text("Text matters.\n")
    mark(opened)
    return path


def said(path: Path, *overrides: str, **options: object) -> list[str]:
    """What is printed of the study, opened again; nothing where there may be work."""
    lines: list[str] = []
    found = print_if_unchanged(
        opened_from(path, *overrides),
        RunOptions(**options),  # type: ignore[arg-type]
        lines.append,
    )
    assert found == bool(lines)
    return lines


def test_nothing_is_to_be_done_and_it_says_what_came_out(path: Path) -> None:
    assert said(path) == [
        "nothing to do: 20 cells are finished",
        "Text matters.",
        f"report: {opened_from(path).folder / 'report' / 'report.html'}",
    ]


@pytest.mark.parametrize("name", [
    "report/report.html", "report/paper/bars.svg", f"report/{ANSWER}", "plan.json", "study.yaml",
    "mlflow.db", LEDGER, MARKER,
])  # fmt: skip
def test_whatever_is_gone_is_to_be_made_again(name: str, path: Path) -> None:
    (opened_from(path).folder / name).unlink()
    assert not said(path)


@pytest.mark.parametrize("name", ["report/table.tex", "study.yaml", LEDGER])
def test_whatever_was_changed_is_looked_at(name: str, path: Path) -> None:
    with (opened_from(path).folder / name).open("a") as file:
        file.write("\n")
    assert not said(path)


def test_a_new_file_in_the_report_is_looked_at(path: Path) -> None:
    (opened_from(path).folder / "report" / "claims.csv").touch()
    assert not said(path)


def test_another_look_at_test_metrics_is_to_be_reported(path: Path) -> None:
    opened = opened_from(path)
    size = read_manifest(opened.folder).size
    record_seen_plan(opened.folder, size)  # of this very plan, which did not grow
    assert said(path)
    record_early_unblinding(opened.folder, size, 1, 8)
    assert not said(path)


def test_what_is_known_of_the_modalities_is_part_of_a_report(
    path: Path, small_data: Dataset
) -> None:
    folder = opened_from(path).folder
    keep_information(folder, CORE, small_data)
    assert (folder / MODALITIES).exists()
    assert not said(path)


@pytest.mark.parametrize(
    "override",
    ["budget.candidates=4", "budget.confirm_seeds=5", "question=Why?", "margin.mae=0.1",
     "budget.max_device_hours=9"],
)  # fmt: skip
def test_another_study_is_to_be_run(override: str, path: Path) -> None:
    assert not said(path, override)


def test_a_new_claim_is_to_be_judged(path: Path) -> None:
    path.write_text(path.read_text() + "claims: [without text is worse]\n")
    assert not said(path)


def test_another_version_may_write_another_report(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.provenance._git_commit", lambda: "another")
    assert not said(path)


def test_another_tracking_server_has_nothing_of_it(path: Path) -> None:
    assert not said(path, tracking_uri="http://elsewhere:5000")


def test_a_mirror_is_to_be_filled(path: Path, tmp_path: Path) -> None:
    assert not said(path, mirror=tmp_path.as_uri())


def test_of_failed_cells_the_run_tells(path: Path) -> None:
    opened = opened_from(path)
    first, *others = read_full_records(opened.folder)
    failed = replace(first, status="failed", reason="luck", kind="exception")
    (opened.folder / LEDGER).unlink()
    with Ledger(opened.folder) as ledger:
        ledger.append([failed, *others])
    mark(opened)
    assert not said(path)


def test_cells_of_another_version_are_asked_about(path: Path) -> None:
    opened = opened_from(path)
    other = replace(opened.plan, versions=replace(opened.plan.versions, code="other"))
    for changed in (replace(opened, stale=object()), replace(opened, plan=other)):  # type: ignore[arg-type]
        assert not print_if_unchanged(changed, RunOptions(), print)


def test_it_needs_no_training_no_sampler_no_server_and_no_statistics() -> None:
    heavy = "torch ray optuna mlflow scipy statsmodels plotly"
    asked = (
        "import sys, search.run.unchanged; "
        f"print([m for m in '{heavy}'.split() if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", asked], capture_output=True, text=True, check=True, timeout=100
    )
    assert done.stdout.strip() == "[]"
