"""While a study is unfinished nothing shows its test metrics, unless somebody said so on record."""

import io
import json
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from click.testing import CliRunner
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rich.console import Console

from msa_core.data.dataset import Dataset
from msa_core.data.planted import generate_planted
from reports.mlflow_source import read_mlflow
from search.cli import main
from search.ledger.ledger import Ledger, read_ledger
from search.ledger.record import CellRecord
from search.report.ledger_export import FORMATS, export_cells
from search.report.write_and_print import write_and_print_report
from search.results.embargo import is_embargoed
from search.results.folder import (
    Manifest,
    ledger_results,
    measure_completion,
    read_manifest,
    select_cells,
    write_manifest,
)
from search.results.unblinding_log import UNBLINDING_LOG
from search.schedule.schedule import Schedule
from search.screen.status import StatusOptions, show_status
from search.tracking import Tracker, local_store, sync_study
from search.tracking.run_contents import SEALED
from spaces.plan.plan import Phase
from tests.cases.servers.shaky_server import ShakyServer
from tests.cases.studies.made_up import train
from tests.cases.studies.sealed_studies import (
    DATA,
    SECRETS,
    STUDY,
    filled,
    made_up_cells,
    plan_of,
    track,
    unfinished_study,
)


def everything_shown(folder: Path, manifest: Manifest) -> dict[str, str]:
    """What each way to look at a study says."""
    said = io.StringIO()
    console = Console(file=said, width=200)
    write_and_print_report(ledger_results(folder), folder, console)
    shown = {"terminal": said.getvalue()}
    for file in (folder / "report").rglob("*"):
        if file.is_file():
            shown[file.name] = file.read_bytes().decode("latin-1")
    for as_json in (False, True):
        with redirect_stdout(io.StringIO()) as out:
            show_status(str(folder), folder, StatusOptions(as_json=as_json, failed=True))
        shown[f"status {as_json}"] = out.getvalue()
    for form in FORMATS:
        if form != "parquet":
            out = io.StringIO()
            export_cells(folder, form, None, out, sealed=is_embargoed(folder))
            shown[f"export {form}"] = out.getvalue()
    shown["tracked"] = _tracked(folder, manifest)
    return shown


def _tracked(folder: Path, manifest: Manifest) -> str:
    """All that a tracking server has, after `sync`."""
    server = ShakyServer()
    track(folder, manifest, server)
    return "\n".join(
        str([run.data.tags, run.data.params, sorted(run.points), run.artifacts])
        for kind in ("study", "arm", "cell")
        for run in server.active(kind)
    )


@given(left_out=st.sets(st.integers(0, 19), max_size=12))
@example(left_out=set())
@example(left_out={19})
@settings(max_examples=6)
def test_no_test_value_is_shown_unless_every_cell_is_there(
    left_out: set[int],
) -> None:
    data = generate_planted(DATA)
    with TemporaryDirectory() as name:
        folder = Path(name)
        plan = plan_of(folder)
        cells = made_up_cells(plan, data)
        assert len(cells) == 20
        there = [cell for place, cell in enumerate(cells) if place not in left_out]
        manifest = filled(folder, plan, data, there)
        results = ledger_results(folder)
        assert results.embargoed == bool(left_out) == is_embargoed(folder)
        shown = everything_shown(folder, manifest)
        predictions = [cell.predictions for cell in cells if cell.predictions]
        for where, text in shown.items():
            found = SECRETS.search(text)
            assert found is None or not left_out, (where, found)
            assert not (left_out and any(one in text for one in predictions)), where
        if not left_out:  # else this test would prove nothing
            for where in ("terminal", "cells.csv", "table.csv", "export csv", "tracked"):
                assert SECRETS.search(shown[where]), where


@pytest.fixture
def data() -> Dataset:
    return generate_planted(DATA)


@pytest.fixture
def unfinished(tmp_path: Path, data: Dataset) -> tuple[Path, list[CellRecord]]:
    """A folder that lacks one confirm cell, and all cells."""
    return unfinished_study(tmp_path, data)


def test_a_study_of_failed_cells_is_finished(tmp_path: Path, data: Dataset) -> None:
    plan = plan_of(tmp_path)
    schedule = Schedule(plan, [])
    cells: list[CellRecord] = []
    while pack := schedule.next_pack():
        failed = [
            replace(record, reason="out of luck", kind="exception")
            for record in train(pack, "failed")
        ]
        schedule.add_results(failed)
        cells += failed
    filled(tmp_path, plan, data, cells)
    results = ledger_results(tmp_path)
    assert not results.embargoed
    assert len(results.cells) == 2 * 3 * 2  # nothing could be confirmed
    assert results.labels is None


def test_a_smaller_space_than_the_budget_is_finished_when_a_run_said_so(
    tmp_path: Path, data: Dataset
) -> None:
    text = STUDY.replace("{log_uniform: [1e-3, 1e-1]}", "{choice: [0.01, 0.02]}")
    plan = plan_of(tmp_path, text)
    cells = made_up_cells(plan, data)
    assert len(cells) == 2 * (2 * 2 + 4)
    manifest = filled(tmp_path, plan, data, cells)
    assert is_embargoed(tmp_path)
    write_manifest(tmp_path, replace(manifest, finished=True))
    assert not is_embargoed(tmp_path)


@pytest.mark.parametrize("lost", [0, -1])
def test_what_was_finished_and_lost_cells_is_sealed_again(
    tmp_path: Path, data: Dataset, lost: int
) -> None:
    """Only candidates that were never planned may be missing."""
    text = STUDY.replace("tune_seeds: 2", "tune_seeds: 2, device_seconds: 2").replace(
        "candidates: 3, ", ""
    )
    plan = plan_of(tmp_path, text)
    cells = made_up_cells(plan, data)
    manifest = replace(filled(tmp_path, plan, data, cells), finished=True)
    write_manifest(tmp_path, manifest)
    assert not is_embargoed(tmp_path)
    confirmed = [cell for cell in cells if cell.phase == Phase.CONFIRM]
    (tmp_path / "ledger.jsonl").unlink()
    with Ledger(tmp_path) as ledger:
        ledger.append(cell for cell in cells if cell.key != confirmed[lost].key)
    assert is_embargoed(tmp_path)
    (tmp_path / "ledger.jsonl").unlink()
    assert is_embargoed(tmp_path)


def test_the_front_door_says_what_is_sealed_and_what_opens_it(
    unfinished: tuple[Path, list[CellRecord]],
) -> None:
    folder, _ = unfinished
    door = CliRunner()
    said = door.invoke(main, ["report", str(folder)])
    assert said.exit_code == 0
    assert "test metrics are sealed: 7 of 8 confirm cells are done" in said.output
    assert "--unseal" in said.output and not SECRETS.search(said.output)
    said = door.invoke(main, ["ledger", "export", str(folder)])
    assert said.exit_code == 0 and not SECRETS.search(said.output)
    assert "sealed and left out" in said.stderr
    assert not (folder / UNBLINDING_LOG).exists()
    said = door.invoke(main, ["report", str(folder), "--unseal"])
    assert said.exit_code == 0 and "opened early" in said.output
    assert SECRETS.search(said.output)
    said = door.invoke(main, ["ledger", "export", str(folder), "--unseal"])
    assert SECRETS.search(said.output)
    assert len((folder / UNBLINDING_LOG).read_text().splitlines()) == 2
    said = door.invoke(main, ["report", str(folder), "--unseal", "--from", "mlflow"])
    assert said.exit_code == 2 and "leave out --from mlflow" in said.output


def test_tracked_cells_are_opened_in_place_at_the_end(
    unfinished: tuple[Path, list[CellRecord]],
) -> None:
    folder, cells = unfinished
    manifest = read_manifest(folder)
    server = ShakyServer()
    track(folder, manifest, server)
    sealed = {run.data.tags["triptych.key"]: run for run in server.active("cell")}
    assert sum(run.data.tags.get(SEALED) == "1" for run in sealed.values()) == 7
    assert not [point for run in sealed.values() for point in run.points if "test" in point[0]]
    assert not any(run.artifacts for run in sealed.values())
    assert not any(run.points for run in server.active("arm"))
    with Ledger(folder) as ledger:
        ledger.append(cells[-1:])
    for _ in range(2):  # the second time there is nothing to do
        track(folder, manifest, server)
        opened = {run.data.tags["triptych.key"]: run for run in server.active("cell")}
        assert all(opened[key] is run for key, run in sealed.items())
        assert not any(run.data.tags.get(SEALED) == "1" for run in opened.values())
        for cell in cells:
            tested = {name for name, _, _ in opened[cell.key].points if name.startswith("test.")}
            assert tested == {name for name in cell.metrics if name.startswith("test.")}
    assert any("confirm.mean.test.mae" in str(run.points) for run in server.active("arm"))


def test_what_is_open_stays_so_while_a_failed_cell_is_trained_again(
    tmp_path: Path, data: Dataset
) -> None:
    plan = plan_of(tmp_path)
    cells = made_up_cells(plan, data)
    lost = replace(
        cells[-1], status="failed", reason="out of luck", kind="exception", predictions="",
        metrics={"seconds": 0.5},
    )  # fmt: skip
    manifest = filled(tmp_path, plan, data, [*cells[:-1], lost])
    server = ShakyServer()
    track(tmp_path, manifest, server)
    before = len(server.runs)
    tracker = Tracker(manifest, tmp_path, client=server)
    tracker.write_cells(cells)  # as while a run goes on
    again = {run.data.tags["triptych.key"]: run for run in server.active("cell")}
    assert len(server.runs) == before + 1
    assert again[cells[-1].key].data.tags[SEALED] == "1"
    assert again[cells[-2].key].data.tags.get(SEALED, "0") == "0"


def test_a_server_that_was_told_more_is_read_sealed(
    unfinished: tuple[Path, list[CellRecord]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As runs of before the lock were: test metrics are there, and the study is not finished."""
    folder, _ = unfinished
    monkeypatch.setattr("search.tracking.run_contents.without_test", dict)
    assert sync_study(folder).failure == ""
    read = read_mlflow(local_store(folder), "small")
    assert read.embargoed and not [name for name in read.cells if "test" in name]
    assert json.loads((folder / "tracking.json").read_text())["complete"] is False


def test_select_cells_is_what_the_standing_has(
    unfinished: tuple[Path, list[CellRecord]],
) -> None:
    folder, _ = unfinished
    records = read_ledger(folder)
    standing = measure_completion(read_manifest(folder), records)
    assert select_cells(read_manifest(folder), records) == standing.cells
    assert (standing.confirm_done, standing.confirm_planned) == (7, 8)


def test_a_ledger_without_a_plan_is_not_sealed(
    unfinished: tuple[Path, list[CellRecord]],
) -> None:
    folder, _ = unfinished
    (folder / "plan.json").unlink()
    assert not is_embargoed(folder)
