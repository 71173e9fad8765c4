"""`reports.load`: types, round trips and errors."""

import subprocess
import sys
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import reports
from reports.loading import TABLES, load
from reports.render_csv import evidence_csvs, render_cells_csv, render_csv
from reports.results import ResultsError


@pytest.fixture
def folder(full: Any, tmp_path: Path) -> Path:
    report = tmp_path / "report"
    report.mkdir()
    (report / "cells.csv").write_text(render_cells_csv(full.results), encoding="utf-8")
    (report / "table.csv").write_text(render_csv(full.comparison), encoding="utf-8")
    for name, text in evidence_csvs(full.evidence).items():
        (report / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_cells_come_back_as_they_were(full: Any, folder: Path) -> None:
    cells = reports.load(folder)
    before = full.results.cells.set_index("key").loc[list(cells["key"])].reset_index()
    assert sorted(cells.columns) == sorted(before.columns)
    for name in cells.columns:
        for now, then in zip(cells[name], before[name], strict=True):
            assert (pd.isna(now) and pd.isna(then)) or now == then, name


def test_columns_have_the_types_of_what_they_hold(folder: Path) -> None:
    cells = load(folder)
    assert str(cells["arm"].dtype) == "string"
    assert str(cells["seed"].dtype) == str(cells["candidate"].dtype) == "Int64"
    assert str(cells["metric.test.mae"].dtype) == "Float64"
    assert str(cells["param.optimizer.lr"].dtype) == "Float64"
    assert cells.loc[cells["phase"] == "tune", "metric.test.mae"].isna().all()
    tuning = load(folder, "tuning")
    assert str(tuning["confirmed"].dtype) == "boolean"
    assert tuning["confirmed"].tolist() == [True, False]
    assert tuning["param.kind"].tolist() == ["=HYPERLINK(1)", pd.NA]


@pytest.mark.parametrize(
    ("values", "dtype", "read"),
    [
        (("True", "False", ""), "boolean", [True, False, pd.NA]),
        (("1", "-2", ""), "Int64", [1, -2, pd.NA]),
        (("1", "2.5", "1e-06"), "Float64", [1.0, 2.5, 1e-6]),
        (("True", "tfn"), "string", ["True", "tfn"]),
        (("1_000", "2"), "string", ["1_000", "2"]),
        (("nan", "inf"), "string", ["nan", "inf"]),
        (("", ""), "string", [pd.NA, pd.NA]),
    ],
)
def test_parameters_get_the_narrowest_type(
    values: tuple[str, ...], dtype: str, read: list[Any], tmp_path: Path
) -> None:
    text = "key,param.x\n" + "".join(f"k{n},{value}\n" for n, value in enumerate(values))
    (tmp_path / "cells.csv").write_text(text, encoding="utf-8")
    column = load(tmp_path)["param.x"]
    assert str(column.dtype) == dtype
    assert [None if pd.isna(v) else v for v in column] == [None if pd.isna(v) else v for v in read]


def test_every_kind_of_evidence_can_be_loaded(full: Any, folder: Path) -> None:
    written = {name.removesuffix(".csv") for name in evidence_csvs(full.evidence)}
    assert written == set(TABLES) - {"cells", "arms", "claims"}
    for name in written:
        assert len(load(folder, name)) > 0
    assert load(folder, "importance")["value"].tolist() == [0.8, 0.2, 0.8, 0.2]
    assert load(folder, "path")["step"].tolist() == [0, 1]
    assert load(folder, "frozen")["flips"].tolist() == [True]


def test_numbers_of_the_evidence_are_loaded_as_numbers(full: Any, folder: Path) -> None:
    for item in fields(full.evidence):
        values = getattr(full.evidence, item.name)
        if item.name not in ("shapley", "path", "frozen", "importance", "slices"):
            continue
        first, loaded = values[-1], load(folder, item.name)
        assert is_dataclass(first)
        for part in fields(first):
            kind = type(getattr(first, part.name))
            if kind in (bool, int, float):
                expected = {bool: "boolean", int: "Int64", float: "Float64"}[kind]
                assert str(loaded[part.name].dtype) == expected, (item.name, part.name)


@pytest.mark.parametrize("text", ["=1+1", "+1", "-x", "@x", "'=1", "''-", "\tx", "'x", "x=1"])
def test_formulas_are_written_as_text_and_read_back(
    synthetic: Any, text: str, tmp_path: Path
) -> None:
    results = synthetic.make_results({"full": 0.5, text: 0.6}, seeds=range(2))
    written = render_cells_csv(results)
    assert not any(line.partition(",")[2][:1] in "=+-@\t" for line in written.splitlines())
    (tmp_path / "cells.csv").write_text(written, encoding="utf-8")
    assert set(load(tmp_path)["arm"]) == {"full", text}


def test_a_folder_without_a_report_says_what_writes_one(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="holds no report; `triptych report` writes one"):
        load(tmp_path)


def test_a_table_that_the_study_lacks_is_told_from_a_missing_report(folder: Path) -> None:
    (folder / "report" / "importance.csv").unlink()
    with pytest.raises(ResultsError, match=r"has no importance\.csv"):
        load(folder, "importance")
    with pytest.raises(ResultsError, match="there is no table 'nonsense'; there are cells, arms"):
        load(folder, "nonsense")


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "cells.csv").write_text("", encoding="utf-8")
    with pytest.raises(ResultsError, match=r"cells\.csv can't be read"):
        load(tmp_path)
    (tmp_path / "cells.csv").write_text("key,seed\na,1\nb\n", encoding="utf-8")
    with pytest.raises(ResultsError, match=r"cells\.csv can't be read"):
        load(tmp_path)
    (tmp_path / "cells.csv").write_text("key,seed\na,one\n", encoding="utf-8")
    with pytest.raises(ResultsError, match=r"cells\.csv can't be read"):
        load(tmp_path)


def test_importing_the_package_stays_light() -> None:
    code = "import sys, reports; sys.exit('pandas' in sys.modules or 'matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    code = "import sys, reports.paper.files; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
