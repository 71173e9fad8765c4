import csv
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from reports.write import write_report

FILES = {"report.html", "table.tex", "table.md", "table.csv", "cells.csv"}


def written(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by its name there."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_report_is_its_files_and_the_same_twice(synthetic: ModuleType, tmp_path: Path) -> None:
    results, folder = synthetic.make_results(utterances=30), tmp_path / "report"
    report = write_report(results, synthetic.METRICS, folder)
    first = written(folder)
    assert set(first) == set(report.files)
    assert {name for name in first if "/" not in name} >= FILES
    assert {"paper/main.tex", "paper/methods.md", "paper/references.bib"} <= set(first)
    write_report(results, synthetic.METRICS, folder)
    assert written(folder) == first


def test_what_an_earlier_report_had_and_this_one_has_not_is_removed(
    synthetic: ModuleType, tmp_path: Path
) -> None:
    write_report(synthetic.make_results(utterances=30), synthetic.METRICS, tmp_path)
    mine = tmp_path / "my notes.csv"
    mine.write_text("a\n")
    report = write_report(
        synthetic.make_results(seeds=(), tuned=False), synthetic.METRICS, tmp_path
    )
    assert set(written(tmp_path)) == {*report.files, mine.name}
    assert not [name for name in report.files if name.endswith(".pdf")]


def test_cells_csv_has_every_cell_in_order_and_every_digit(
    synthetic: ModuleType, tmp_path: Path
) -> None:
    results = synthetic.make_results(utterances=30)
    shuffled = replace(results, cells=results.cells.sample(frac=1, random_state=3))
    report = write_report(shuffled, synthetic.METRICS, tmp_path)
    with report.files["cells.csv"].open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[:7] == ["key", "arm", "phase", "candidate", "seed", "status", "epochs"]
    assert list(rows[0])[7:] == sorted(c for c in results.cells.columns if "." in c)
    order = [(results.facts.arms.index(r["arm"]), r["phase"] != "tune") for r in rows]
    assert order == sorted(order) and len(rows) == len(results.cells)
    stored = results.cells.set_index("key")["metric.test.mae"]
    confirm = [r for r in rows if r["phase"] == "confirm"]
    assert all(float(r["metric.test.mae"]) == stored[r["key"]] for r in confirm)
    assert {r["metric.test.mae"] for r in rows if r["phase"] == "tune"} == {""}
    assert {r["epochs"] for r in rows} == {"5", "7"}


@pytest.mark.parametrize("tuned", [True, False])
@pytest.mark.parametrize("noise", [{"full": 0.5}, {"full": 0.5, "other": 0.6}])
@pytest.mark.parametrize("seeds", [(), (0,), (0, 1)])
def test_incomplete_and_single_arm_studies_get_a_report(
    synthetic: ModuleType,
    tmp_path: Path,
    noise: dict[str, float],
    seeds: tuple[int, ...],
    tuned: bool,
) -> None:
    results = synthetic.make_results(noise, seeds=seeds, tuned=tuned, confirm_seeds=(0, 1, 2))
    report = write_report(results, synthetic.METRICS, tmp_path)
    for path in (report.html, report.files["table.md"], report.files["table.csv"]):
        text = path.read_text(encoding="utf-8")
        assert "Which parts matter?" in text or path == report.files["table.csv"]
    for path in (report.files["table.md"], report.files["table.csv"], report.files["table.tex"]):
        assert "nan" not in path.read_text(encoding="utf-8").lower()


def test_a_failed_write_leaves_the_old_file(
    synthetic: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = synthetic.make_results(utterances=20)
    report = write_report(results, synthetic.METRICS, tmp_path)
    before = report.files["cells.csv"].read_bytes()

    def fail(self: Path, target: Path) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_report(results, synthetic.METRICS, tmp_path)
    assert report.files["cells.csv"].read_bytes() == before
    assert set(written(tmp_path)) == set(report.files)
