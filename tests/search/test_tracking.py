"""MLflow is brought up to date with the ledger: each cell once, whatever happened before."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from msa_core.data.dataset import Dataset
from reports.mlflow_source import read_mlflow
from search.folder import Manifest
from search.ledger import CellRecord
from search.run import manifest_of
from search.schedule import Schedule
from search.tracking import BackgroundTracking, Tracker, local_store
from search.trainable import Worker, train_cells
from spaces.plan import plan_study
from spaces.planned import Versions
from spaces.study import load_study


@pytest.fixture
def study(
    small_study_text: str, write_study: Callable[[str], Path], small_data: Dataset, tmp_path: Path
) -> tuple[Manifest, list[CellRecord]]:
    path = write_study(small_study_text)
    plan = plan_study(load_study(path, ["train.epochs=1"]), Versions(data="", code=""))
    schedule = Schedule(plan, [])
    cells = []
    while pack := schedule.next_pack():
        records = train_cells(pack, Worker.of(small_data))
        schedule.receive(records)
        cells += records
    return manifest_of(plan, small_data, local_store(tmp_path)), cells


def test_every_cell_is_written_once_whatever_was_there(
    study: tuple[Manifest, list[CellRecord]], tmp_path: Path
) -> None:
    manifest, cells = study
    first = Tracker(manifest, tmp_path)
    first.write(cells[:7])
    # A writer that died between a run's start and its end leaves it open.
    run = first.cell_runs[cells[3].key]
    first.client.update_run(run, status="RUNNING")

    second = Tracker(manifest, tmp_path)
    assert second.study_run == first.study_run
    assert set(second.cell_runs) == {cell.key for cell in cells[:7]} - {cells[3].key}
    second.finish(cells, complete=True)
    results = read_mlflow(manifest.tracking_uri, "small", plan=manifest.digest)
    assert sorted(results.cells["key"]) == sorted(cell.key for cell in cells)

    third = Tracker(manifest, tmp_path)
    third.finish(cells[:-1], complete=True)  # the plan no longer holds the last one
    results = read_mlflow(manifest.tracking_uri, "small", plan=manifest.digest)
    assert sorted(results.cells["key"]) == sorted(cell.key for cell in cells[:-1])


def test_a_cell_trained_again_replaces_its_failure(
    study: tuple[Manifest, list[CellRecord]], tmp_path: Path
) -> None:
    manifest, cells = study
    failed = replace(cells[0], status="failed", reason="why", metrics={}, predictions="")
    Tracker(manifest, tmp_path).finish([failed], complete=True)
    Tracker(manifest, tmp_path).finish(cells[:1], complete=True)
    results = read_mlflow(manifest.tracking_uri, "small")
    assert list(results.cells["status"]) == ["complete"]
    assert not results.reasons


def test_a_tracking_server_that_fails_is_remembered_and_stops_nothing(tmp_path: Path) -> None:
    def no_server() -> Tracker:
        raise ConnectionError("no tracking server answers")

    tracking = BackgroundTracking(no_server, list)
    tracking.notify()
    tracking.close(complete=True)
    assert isinstance(tracking.failure, ConnectionError)
