"""A report from MLflow alone is the report from the ledger, file by file and byte by byte."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from msa_core.core import CORE
from msa_core.data.dataset import Dataset
from msa_core.metrics import SCHEMES
from reports.mlflow_source import read_mlflow
from reports.results import Results
from reports.write import write_report
from search.ledger.ledger import Ledger
from search.ledger.record import CellRecord
from search.results.embargo import lift_embargo
from search.results.folder import ledger_results, write_manifest
from search.results.plan_facts import manifest_of, with_tags
from search.results.shared_information import keep_information
from search.results.unblinding_log import record_seen_plan
from search.schedule.schedule import Schedule
from search.tracking import local_store, sync_study
from search.worker.worker import Worker
from spaces.plan.arms_on_data import Versions
from spaces.plan.plan import Phase, plan_study
from spaces.study_file.load import load_study
from tests.cases.studies.in_process import train_cells

CLAIM = "claims: [without text is worse by at least 0.01]\n"


@pytest.fixture
def trained(
    small_study_text: str, write_study: Callable[[str], Path], small_data: Dataset, tmp_path: Path
) -> tuple[Path, list[CellRecord]]:
    """A folder with a plan and no cell, and the cells: one failed, others by another core."""
    folder = tmp_path / "runs" / "small"
    folder.mkdir(parents=True)
    text = small_study_text + CLAIM
    versions = Versions(data=small_data.fingerprint, code="")
    plan = plan_study(load_study(write_study(text)), versions)
    manifest = with_tags(manifest_of(plan, small_data, local_store(folder)), CORE, small_data)
    write_manifest(folder, manifest)
    keep_information(folder, CORE, small_data)
    smaller = replace(manifest.size, plan="before", confirm_seeds=2)
    record_seen_plan(folder, smaller)
    schedule, cells = Schedule(plan, []), []
    while pack := schedule.next_pack():
        records = train_cells(pack, Worker.for_data(CORE, small_data))
        schedule.add_results(records)
        cells += records
    cells[0] = replace(cells[0], code="another core")
    lost = next(place for place, cell in enumerate(cells) if cell.phase == Phase.CONFIRM)
    cells[lost] = replace(
        cells[lost], status="failed", reason="out of <luck>\0", kind="exception", log="a\n" * 3000,
        metrics={"seconds": 0.5}, predictions="", curve={"valid.mae": [1.5, None, 0.1]},
    )  # fmt: skip
    return folder, cells


def _report_files(results: Results, folder: Path) -> dict[str, bytes]:
    write_report(results, SCHEMES["mosi"], folder)
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


@pytest.mark.parametrize("missing", [0, 3], ids=["finished", "sealed"])
def test_the_report_from_mlflow_is_that_from_the_ledger(
    missing: int, trained: tuple[Path, list[CellRecord]], tmp_path: Path
) -> None:
    folder, cells = trained
    with Ledger(folder) as ledger:
        ledger.append(cells[: len(cells) - missing])
    assert lift_embargo(folder) == bool(missing)
    assert sync_study(folder).failure == ""
    own, read = ledger_results(folder), read_mlflow(local_store(folder), "small")
    assert own.embargoed == read.embargoed == bool(missing)
    assert own.facts == read.facts and own.logs == read.logs and own.tags == read.tags
    assert own.information == read.information and len(own.information) == 3
    assert own.unblindings == read.unblindings and len(own.unblindings) == 1 + bool(missing)
    assert own.planned_confirm == read.planned_confirm == 8
    assert own.curves.keys() == read.curves.keys() == set(own.cells["key"])
    for key, curve in own.curves.items():
        np.testing.assert_array_equal(read.curves[key], curve)
    there, here = _report_files(read, tmp_path / "there"), _report_files(own, tmp_path / "here")
    assert there.keys() == here.keys() and len(here) >= 6
    for name in here:
        assert there[name] == here[name], name
