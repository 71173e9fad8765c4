"""The page `docs/reading-results.md` is its script with what the script prints.

`TRIPTYCH_UPDATE_SNAPSHOTS=1 pytest` writes it anew.
"""

import contextlib
import io
import os
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reports.evidence.comparison import compare_arms
from reports.render_csv import render_cells_csv, render_csv
from tests.cases.paths import DOCS

HEAD = """\
# Reading results in Python

Written from `docs/reading_results.py` by a test that runs it and holds this page to what it prints
(the study is a small generated one).
"""


def cells_of(script: str) -> list[tuple[bool, str]]:
    """Whether a cell is text, and what it says; what stands before the first cell is neither."""
    parts = re.split(r"(?m)^# %%( \[markdown\])?\n", script)[1:]
    return [(bool(parts[place]), parts[place + 1].strip("\n")) for place in range(0, len(parts), 2)]


def executed(script: str) -> str:
    """The page of a script."""
    page = [HEAD]
    names: dict[str, Any] = {}
    for is_text, content in cells_of(script):
        if is_text:
            page.append("\n" + re.sub(r"(?m)^# ?", "", content) + "\n")
            continue
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(content, names)
        lines = (line.rstrip() for line in printed.getvalue().splitlines())
        page.append(f"\n```python\n{content}\n```\n\n```text\n" + "\n".join(lines) + "\n```\n")
    return "".join(page)


@pytest.fixture
def folder(synthetic: Any, tmp_path: Path) -> Path:
    results = synthetic.make_results(
        {"full": 0.5, "without text": 0.9, "placebo": 0.5}, margins={"mae": 0.1}, seeds=range(10)
    )
    report = tmp_path / "report"
    report.mkdir()
    comparison = compare_arms(results, synthetic.METRICS, seed=0)
    (report / "cells.csv").write_text(render_cells_csv(results), encoding="utf-8")
    (report / "table.csv").write_text(render_csv(comparison), encoding="utf-8")
    return tmp_path


def test_the_page_is_what_the_script_prints(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["reading_results.py", str(folder)])
    made = executed((DOCS / "reading_results.py").read_text(encoding="utf-8"))
    page = DOCS / "reading-results.md"
    if os.environ.get("TRIPTYCH_UPDATE_SNAPSHOTS"):
        page.write_text(made, encoding="utf-8")
    assert page.read_text(encoding="utf-8") == made


def test_the_scripts_differences_are_those_of_the_table(synthetic: Any, folder: Path) -> None:
    import reports

    cells = reports.load(folder)
    confirm = cells[cells["phase"] == "confirm"]
    by_seed = confirm.pivot(index="seed", columns="arm", values="metric.test.mae")
    arms = reports.load(folder, "arms").set_index(["arm", "metric"])
    for arm in ("without text", "placebo"):
        by_hand = (by_seed[arm] - by_seed["full"]).mean()
        assert by_hand == pytest.approx(float(arms.loc[(arm, "mae"), "delta"]), abs=1e-12)
    assert np.isfinite(arms["mean"].astype(float)).all()
