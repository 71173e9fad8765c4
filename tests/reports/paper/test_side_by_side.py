"""Studies side by side, as a value and in every format."""

import csv
import io
import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reports.evidence.comparison import Comparison, compare_arms
from reports.paper.render_side import render_side_csv, render_side_latex, render_side_markdown
from reports.paper.side_by_side import SideBySide, side_by_side
from reports.tables import Table, build_table


def study(synthetic: Any, noise: dict[str, float], seed: int = 7, **changes: Any) -> Comparison:
    results = synthetic.make_results(noise, seed=seed, **changes)
    return compare_arms(results, synthetic.METRICS, seed=0, draws=50)


def named(**comparisons: Comparison) -> dict[str, tuple[Comparison, Table]]:
    return {name: (comparison, build_table(comparison)) for name, comparison in comparisons.items()}


@pytest.fixture(scope="module")
def sides(synthetic: Any) -> SideBySide:
    first = study(synthetic, {"full": 0.5, synthetic.NASTY: 0.9, "only here": 0.6})
    second = study(synthetic, {"full": 0.6, "=new": 0.4, synthetic.NASTY: 0.3}, seed=8)
    return side_by_side({"mosi_1": named(a=first)["a"], "sims & co": named(a=second)["a"]})


def test_arms_are_rows_and_an_arm_that_a_study_lacks_is_a_gap(
    sides: SideBySide, synthetic: Any
) -> None:
    assert [row.arm for row in sides.rows] == ["full", synthetic.NASTY, "only here", "=new"]
    present = [[cell is not None for cell in row.cells] for row in sides.rows]
    assert present == [[True, True], [True, True], [True, False], [False, True]]


def test_opposite_verdicts_are_pointed_out(sides: SideBySide, synthetic: Any) -> None:
    note = next(note for note in sides.notes if note.startswith("Better in one study"))
    assert synthetic.NASTY in note
    assert any("need about 6 data sets; there are 2" in note for note in sides.notes)


def test_markdown_has_every_cell(sides: SideBySide) -> None:
    lines = [line for line in render_side_markdown(sides).splitlines() if line.startswith("|")]
    assert len(lines) == 2 + 4
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {8}
    assert "| only here |" in lines[4] and "| \N{EN DASH} | \N{EN DASH} | \N{EN DASH} |" in lines[4]
    assert "mosi\\_1: MAE ↓" in lines[0]
    assert "<script>" not in render_side_markdown(sides)


def test_csv_keeps_every_digit_and_no_formula(sides: SideBySide) -> None:
    rows = list(csv.DictReader(io.StringIO(render_side_csv(sides))))
    assert len(rows) == 6
    cell = sides.rows[0].cells[0]
    assert cell is not None
    assert float(rows[0]["mean"]) == cell.estimate.mean
    assert [row["arm"] for row in rows if "new" in row["arm"]] == ["'=new"]


def test_latex_compiles(sides: SideBySide, program: Callable[[str], str], tmp_path: Path) -> None:
    many = replace(
        sides,
        studies=sides.studies * 4,
        rows=tuple(replace(row, cells=row.cells * 4) for row in sides.rows),
    )
    document = (
        r"\documentclass{article}\usepackage{booktabs,graphicx}\begin{document}"
        + render_side_latex(many)
        + r"\end{document}"
    )
    assert render_side_latex(many).count(r"\begin{tabular}") == 3
    (tmp_path / "main.tex").write_text(document, encoding="utf-8")
    subprocess.run(
        [program("pdflatex"), "-halt-on-error", "main.tex"],
        cwd=tmp_path, check=True, stdin=subprocess.DEVNULL, capture_output=True,
    )  # fmt: skip


def test_six_data_sets_are_tested_and_the_same_data_six_times_is_not(synthetic: Any) -> None:
    noise = {"full": 0.5, "worse": 0.9, "worst": 1.4}

    def six(data: Callable[[int], str]) -> SideBySide:
        return side_by_side(
            named(
                **{
                    f"d{n}": study(
                        synthetic, noise, n, seeds=range(3), provenance={"data sha256": data(n)}
                    )
                    for n in range(6)
                }
            )
        )

    assert any("Friedman's test over 6 data sets" in note for note in six(str).notes)
    assert any("of the same data" in note for note in six(lambda n: "same").notes)


def test_other_baselines_and_metrics_are_noted(synthetic: Any) -> None:
    first = study(synthetic, {"full": 0.5, "other": 0.9})
    second = study(synthetic, {"other": 0.6, "full": 0.4}, primary="corr")
    notes = side_by_side(named(a=first, b=second)).notes
    assert any("baselines differ (a: full; b: other)" in note for note in notes)
    assert any("primary metrics differ (a: MAE; b: Corr)" in note for note in notes)
    assert any("No test over data sets: the primary metrics differ" in note for note in notes)


def test_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one study"):
        side_by_side({})
