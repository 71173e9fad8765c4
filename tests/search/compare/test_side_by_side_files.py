"""Results folders side by side: what is read, written and refused."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from msa_core.data.dataset import Dataset
from reports.results import ResultsError
from search.compare.side_by_side import NAME, write_side_by_side
from search.ledger.ledger import Ledger
from search.results.facts import manifest_of
from search.results.folder import write_manifest
from search.schedule.schedule import Schedule
from search.worker.pack_work import train_cells
from search.worker.worker import Worker
from spaces.plan.plan import plan_study
from spaces.plan.planned_arms import Versions
from spaces.study_file.load import load_study


def test_two_folders_are_written_as_columns(
    small_study_text: str,
    small_data: Dataset,
    write_study: Callable[[str], Path],
    tmp_path: Path,
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    plan = plan_study(load_study(write_study(small_study_text)), Versions(data="", code=""))
    with Ledger(one) as ledger:
        write_manifest(one, manifest_of(plan, small_data, tracking_uri="uri"))
        schedule = Schedule(plan, ledger.records.values())
        while pack := schedule.next_pack():
            records = train_cells(pack, Worker.of(small_data))
            ledger.append(records)
            schedule.receive(records)
    shutil.copytree(one, two)
    sides = write_side_by_side([one, two], tmp_path / "out")
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written == {f"{NAME}.{kind}" for kind in ("tex", "md", "csv")}
    assert len({study.name for study in sides.studies}) == 2  # told apart by their folders
    for row in sides.rows:  # the same study twice: the same numbers
        first, second = row.cells
        assert first == second is not None
    lines = (tmp_path / "out" / f"{NAME}.csv").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 1 + 2 * len(sides.rows)


def test_one_folder_or_the_same_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="at least two"):
        write_side_by_side([tmp_path], tmp_path / "out")
    with pytest.raises(ResultsError, match="given twice"):
        write_side_by_side([tmp_path, tmp_path / "."], tmp_path / "out")
    with pytest.raises(ResultsError, match="holds no results"):
        write_side_by_side([tmp_path, tmp_path / "other"], tmp_path / "out")
    assert not (tmp_path / "out").exists()
