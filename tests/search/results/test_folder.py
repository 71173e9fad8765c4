"""A results folder: the plan it remembers, and which of the ledger's cells make its report."""

from collections.abc import Callable
from pathlib import Path

import pytest

from msa_core.core import CORE
from msa_core.data.dataset import Dataset
from reports.results import ResultsError
from search.engine.run_study import manifest_of
from search.ledger.ledger import Ledger, read_ledger
from search.ledger.record import CellRecord
from search.results.folder import ledger_results, read_manifest, select_cells, write_manifest
from search.results.layout import PLAN
from search.schedule.schedule import Schedule
from search.worker.worker import Worker
from spaces.plan.arms_on_data import Versions
from spaces.plan.plan import Plan, plan_study
from spaces.study_file.load import load_study
from tests.cases.studies.in_process import train_cells


@pytest.fixture
def make_plan(small_study_text: str, write_study: Callable[[str], Path]) -> Callable[..., Plan]:
    path = write_study(small_study_text)
    return lambda *overrides: plan_study(load_study(path, overrides), Versions(data="", code=""))


def finish(plan: Plan, data: Dataset, folder: Path) -> list[CellRecord]:
    """Train what the folder lacks; returns the cells trained."""
    trained = []
    with Ledger(folder) as ledger:
        write_manifest(folder, manifest_of(plan, data, tracking_uri="uri"))
        schedule = Schedule(plan, ledger.records.values())
        while pack := schedule.next_pack():
            records = train_cells(pack, Worker.for_data(CORE, data))
            ledger.append(records)
            schedule.add_results(records)
            trained += records
    return trained


def test_the_plan_is_read_back(
    make_plan: Callable[..., Plan], small_data: Dataset, tmp_path: Path
) -> None:
    manifest = manifest_of(make_plan(), small_data, tracking_uri="uri")
    write_manifest(tmp_path, manifest)
    again = read_manifest(tmp_path)
    assert again.facts == manifest.facts
    assert (again.arm_keys, again.tracking_uri) == (manifest.arm_keys, "uri")
    assert again.test_labels.tolist() == manifest.test_labels.tolist()
    assert again.digest == manifest.digest


def test_a_damaged_plan_is_one_message(tmp_path: Path) -> None:
    (tmp_path / PLAN).write_text("{")
    with pytest.raises(ResultsError, match=r"plan\.json is damaged"):
        read_manifest(tmp_path)


def test_a_smaller_budget_leaves_the_extra_cells_out(
    make_plan: Callable[..., Plan], small_data: Dataset, tmp_path: Path
) -> None:
    finish(make_plan(), small_data, tmp_path)
    smaller = make_plan("budget.candidates=1", "budget.confirm_seeds=2")
    finish(smaller, small_data, tmp_path)
    cells = ledger_results(tmp_path).cells
    assert len(cells) == smaller.cell_count() == 2 * (1 * 2 + 2)
    assert set(cells["candidate"]) == {0}


def test_a_larger_budget_keeps_confirm_cells_of_the_new_best_only(
    make_plan: Callable[..., Plan], small_data: Dataset, tmp_path: Path
) -> None:
    first = finish(make_plan("budget.candidates=1"), small_data, tmp_path)
    larger = make_plan("budget.candidates=6")
    second = finish(larger, small_data, tmp_path)
    assert not {cell.key for cell in first} & {cell.key for cell in second}
    cells = ledger_results(tmp_path).cells
    assert len(cells) == larger.cell_count()
    for arm, own in cells[cells["phase"] == "confirm"].groupby("arm"):
        assert len(set(own["candidate"])) == 1
        assert len(own) == 4, arm


def test_cells_of_another_configuration_are_not_mixed_in(
    make_plan: Callable[..., Plan], small_data: Dataset, tmp_path: Path
) -> None:
    finish(make_plan(), small_data, tmp_path)
    other = make_plan("train.epochs=2")
    assert select_cells(manifest_of(other, small_data, ""), read_ledger(tmp_path)) == []
