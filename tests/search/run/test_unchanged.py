"""A finished study is known to be finished by what lies in its folder, and by nothing less."""

import dataclasses
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from search.engine.options import RunOptions
from search.ledger.lines import LEDGER
from search.results.folder import keep_study, read_manifest, write_manifest
from search.results.layout import JOURNAL, REPORT
from search.results.plan_facts import manifest_of
from search.results.shared_information import MODALITIES
from search.results.unblinding_log import record_early_unblinding, record_seen_plan
from search.run import unchanged
from search.run.unchanged import (
    FINISHED,
    Finished,
    digest_inputs,
    nothing_to_do,
    print_nothing_to_do,
    write_finished,
)
from search.study.open import OpenedStudy, StaleAnswer, open_study
from search.tracking.marker import MARKER, Marker, plan_digest, write_marker
from search.tracking.run_contents import digest_files, late_files
from search.tracking.store import local_store

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


@pytest.fixture
def path(write_study: WriteStudy, small_study_text: str) -> Path:
    """The file of a study that is finished, with its report, and known to be.

    What is in its ledger and its report is of no matter here.
    """
    path = write_study(small_study_text)
    opened = opened_from(path)
    assert opened.dataset is not None
    folder = opened.folder
    (folder / REPORT / "paper").mkdir(parents=True)
    keep_study(folder, opened.study)
    manifest = manifest_of(opened.plan, opened.dataset, local_store(folder))
    write_manifest(folder, manifest)
    for name in ("mlflow.db", JOURNAL, LEDGER):
        (folder / name).write_text("made up\n")
    marker = Marker(
        plan=plan_digest(manifest),
        ledger_bytes=(folder / LEDGER).stat().st_size,
        complete=True,
        study_run="1",
        artifacts="",
        files=digest_files(late_files(folder, manifest)),
    )
    write_marker(folder, manifest, marker)
    name = digest_inputs(opened, RunOptions())
    for file in REPORT_FILES:
        (folder / REPORT / file).write_text("made up")
    write_finished(folder, name, cells=20, failed=0, ended="complete", said=["Text matters."])
    return path


def found(path: Path, *overrides: str, **options: object) -> Finished | None:
    """What is known of the study, opened again."""
    return nothing_to_do(opened_from(path, *overrides), RunOptions(**options))  # type: ignore[arg-type]


def test_nothing_is_to_be_done_and_it_says_what_came_out(path: Path) -> None:
    kept = found(path)
    assert kept is not None
    assert (kept.cells, kept.failed, kept.ended) == (20, 0, "complete")
    said: list[str] = []
    folder = opened_from(path).folder
    print_nothing_to_do(kept, folder, said.append)
    assert said == [
        "nothing to do: 20 cells are finished",
        "Text matters.",
        f"report: {folder / 'report' / 'report.html'}",
    ]
    print_nothing_to_do(dataclasses.replace(kept, failed=2), folder, said.append)
    assert said[3] == "nothing to do: 20 cells are finished (2 of them failed)"


@pytest.mark.parametrize("name", [
    "report/report.html", "report/paper/bars.svg", "plan.json", "study.yaml", JOURNAL, "mlflow.db",
    LEDGER, MARKER, FINISHED,
])  # fmt: skip
def test_whatever_is_gone_is_to_be_made_again(name: str, path: Path) -> None:
    (opened_from(path).folder / name).unlink()
    assert found(path) is None


@pytest.mark.parametrize("name", ["report/table.tex", "plan.json", "study.yaml", LEDGER])
def test_whatever_was_changed_is_looked_at(name: str, path: Path) -> None:
    with (opened_from(path).folder / name).open("a") as file:
        file.write("\n")
    assert found(path) is None


def test_a_new_file_in_the_report_is_looked_at(path: Path) -> None:
    (opened_from(path).folder / "report" / "claims.csv").touch()
    assert found(path) is None


def test_another_look_at_test_metrics_is_to_be_reported(path: Path) -> None:
    opened = opened_from(path)
    size = read_manifest(opened.folder).size
    record_seen_plan(opened.folder, size)  # of this very plan, which did not grow
    assert found(path) is not None
    record_early_unblinding(opened.folder, size, 1, 8)
    assert found(path) is None


def test_what_is_known_of_the_modalities_is_part_of_a_report(path: Path) -> None:
    (opened_from(path).folder / MODALITIES).write_text("{}")
    assert found(path) is None


@pytest.mark.parametrize(
    "override",
    ["budget.candidates=4", "budget.confirm_seeds=5", "question=Why?", "margin.mae=0.1"],
)
def test_another_study_is_to_be_run(override: str, path: Path) -> None:
    assert found(path, override) is None


def test_a_new_claim_is_to_be_judged(path: Path) -> None:
    path.write_text(path.read_text() + "claims: [without text is worse]\n")
    assert found(path) is None


def test_other_code_may_write_another_report(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unchanged, "_code_digest", lambda: "other code")
    assert found(path) is None


def test_the_digest_of_the_code_is_of_every_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unchanged, "__file__", str(tmp_path / "search" / "run" / "unchanged.py"))
    for package in unchanged.PACKAGES:
        (tmp_path / package).mkdir()
    page = tmp_path / "reports" / "page.html.j2"
    page.write_text("a report")
    before = unchanged._code_digest.__wrapped__()
    page.write_text("another one")
    assert unchanged._code_digest.__wrapped__() != before
    page.write_text("a report")
    assert unchanged._code_digest.__wrapped__() == before
    page.rename(tmp_path / "reports" / "other.html.j2")
    assert unchanged._code_digest.__wrapped__() != before


def test_another_tracking_server_has_nothing_of_it(path: Path) -> None:
    assert found(path, tracking_uri="http://elsewhere:5000") is None


def test_failed_cells_can_be_tried_again(path: Path) -> None:
    opened = opened_from(path)
    name = digest_inputs(opened, RunOptions())
    write_finished(opened.folder, name, cells=20, failed=1, ended="incomplete", said=[])
    kept = found(path)
    assert kept is not None
    assert kept.ended == "incomplete"
    assert found(path, retry_failed=True) is None


def test_cells_of_another_version_are_asked_about(path: Path) -> None:
    opened = opened_from(path)
    other = replace(opened.plan.versions, code="other")
    assert nothing_to_do(replace(opened, stale=object()), RunOptions()) is None  # type: ignore[arg-type]
    assert nothing_to_do(
        replace(opened, plan=replace(opened.plan, versions=other)), RunOptions()
    ) is None  # fmt: skip


def test_what_another_version_remembered_is_passed_over(path: Path) -> None:
    for text in ("", "[]", "{}", '{"cells": 3}', "null"):
        (opened_from(path).folder / FINISHED).write_text(text)
        assert found(path) is None


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
