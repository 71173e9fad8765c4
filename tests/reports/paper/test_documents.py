"""The LaTeX of a report compiles, and no name does harm in it."""

import hashlib
import random
import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reports.evidence.comparison import compare_arms
from reports.evidence.values import Evidence
from reports.paper.bibliography import is_entry
from reports.paper.design_tables import render_modules
from reports.paper.files import paper_files
from reports.paper.latex_text import escape_latex, symbol_latex
from reports.paper.render_latex import fitting_metrics, render_latex
from reports.tables import SPREAD, build_table

Files = Mapping[str, str | bytes]
Write = Callable[[Files, Path], None]


def run(command: list[str], folder: Path) -> str:
    """The output of a program that must end well."""
    done = subprocess.run(
        command, cwd=folder, capture_output=True, stdin=subprocess.DEVNULL, timeout=100
    )
    text = done.stdout.decode(errors="replace")
    assert done.returncode == 0, text[-3000:]
    return text


def compile_twice(engine: str, folder: Path, bibtex: str) -> str:
    """Log of the last run, with references and citations resolved."""
    command = [engine, "-interaction=nonstopmode", "-halt-on-error", "main.tex"]
    run(command, folder)
    run([bibtex, "main"], folder)
    run(command, folder)
    return run(command, folder)


@pytest.mark.parametrize("engine", ["pdflatex", "lualatex"])
def test_the_document_compiles_as_it_is(
    engine: str, files: Files, written: Write, program: Callable[[str], str], tmp_path: Path
) -> None:
    written(files, tmp_path)
    log = compile_twice(program(engine), tmp_path, program("bibtex"))
    assert not re.findall(r"undefined on input|multiply defined|Overfull", log)
    assert (tmp_path / "main.pdf").read_bytes().startswith(b"%PDF")


def test_a_document_of_nothing_yet_compiles_too(
    make: Callable[..., Any],
    synthetic: Any,
    written: Write,
    program: Callable[[str], str],
    tmp_path: Path,
) -> None:
    full = make(references={}, methods={})
    cells = full.results.cells
    tests = [name for name in cells.columns if name.startswith("metric.test.")]
    sealed = replace(
        full.results,
        cells=cells[cells["phase"] == "tune"].drop(columns=tests),
        predictions={}, labels=None, embargoed=True, unblindings=(),
    )  # fmt: skip
    comparison = compare_arms(sealed, synthetic.METRICS, seed=0)
    files = paper_files(sealed, comparison, Evidence(), build_table(comparison))
    assert not [name for name in files if name.startswith("figures/")]
    assert "test metrics are sealed" in str(files["methods.md"])
    written(files, tmp_path)
    run([program("pdflatex"), "-interaction=nonstopmode", "-halt-on-error", "main.tex"], tmp_path)


SCRIPTS = (
    "中文",
    "é ñ ü ç š ő ş \N{LATIN SMALL LETTER DOTLESS I}",
    "\N{GREEK SMALL LETTER ALPHA}\N{GREEK CAPITAL LETTER DELTA}\N{GREEK SMALL LETTER OMEGA}",
    "“x” \N{EN DASH} … ≤ \N{MULTIPLICATION SIGN}",
    "\u202egnp.exe\x07",
)


@pytest.mark.parametrize("text", SCRIPTS)
def test_text_of_any_script_compiles(
    text: str, program: Callable[[str], str], tmp_path: Path
) -> None:
    document = (
        r"\documentclass{article}\begin{document}\section{" + escape_latex(text) + "}"
        r"\begin{tabular}{l}" + escape_latex(text) + r"\\ x \end{tabular}\end{document}"
    )
    (tmp_path / "main.tex").write_text(document, encoding="utf-8")
    command = [program("pdflatex"), "-interaction=nonstopmode", "-halt-on-error", "main.tex"]
    log = run(command, tmp_path)
    assert "Missing character" not in log


def test_random_text_keeps_no_command_and_no_open_group() -> None:
    drawn = random.Random(3)
    for _ in range(300):
        text = "".join(drawn.choice("\\{}$%&#_^~|<>\"'`ab é\t\n") for _ in range(30))
        escaped = escape_latex(text)
        known = r"\\(text\w+\{\}|['`^~\"=.]\{\w\}|[_%&#${}])|\{''\}"
        bare = re.sub(known, "", escaped)
        assert not set(bare) & set('\\{}$%&#_^~<>"\n'), (text, escaped)


def test_formatting_characters_are_left_out() -> None:
    assert escape_latex("a\u202eb\u200bc\x07d") == "abcd"


@pytest.mark.parametrize(
    ("symbol", "shown"),
    [
        (r"\lambda_{ta}", r"$\lambda_{ta}$"),
        (r"\sigma_e^2", r"$\sigma_e^2$"),
        ("d", "$d$"),
        ("", ""),
        (r"\input{secret}", ""),
        ("a_b_c", ""),
        ("x_", ""),
        ("}{", ""),
        (r"\write18", ""),
        ("a$b", ""),
        (r"a\\b", ""),
    ],
)
def test_symbols_are_mathematics_or_nothing(symbol: str, shown: str) -> None:
    assert symbol_latex(symbol) == shown


def test_bibliography_entries_that_are_none_are_refused() -> None:
    good = "@article{a1,\n  title = {On {B} and \\'{e}},\n}"
    assert is_entry("a1", good)
    for bad in (
        good[:-1],
        good + "\n@article{b, title={x}}",
        good.replace("On", r"\input{/etc/passwd}"),
        good + "}",
        "text",
        "",
    ):
        assert not is_entry("a1", bad)
    assert not is_entry("a2", good)
    assert not is_entry("a1}\\x", good)


def test_same_values_give_the_same_bytes(full: Any, files: Files) -> None:
    again = full.files()
    assert {n: hashlib.sha256(_bytes(c)).hexdigest() for n, c in again.items()} == {
        n: hashlib.sha256(_bytes(c)).hexdigest() for n, c in files.items()
    }


def _bytes(content: str | bytes) -> bytes:
    return content if isinstance(content, bytes) else content.encode()


def test_only_known_references_are_cited_and_all_cited_ones_are_there(files: Files) -> None:
    cited = set(",".join(re.findall(r"\\cite\{([^}]*)\}", str(files["methods.tex"]))).split(","))
    entries = set(re.findall(r"^@\w+\{([^,]+),", str(files["references.bib"]), re.M))
    assert cited == entries
    assert "someone2020" in cited
    assert not cited & {"unheard1999", "broken"}


def test_intervals_stand_in_place_of_deviations(full: Any) -> None:
    with_sd, with_intervals = (render_latex(full.table, spread=s) for s in ("sd", "interval"))
    assert r"{\scriptsize\,$\pm$\,0." in with_sd
    assert r"\scriptsize\,$\pm$" not in with_intervals
    assert SPREAD in full.table.caption
    assert "interval of its difference from full" in with_intervals
    estimate = full.table.rows[1].primary
    assert f"+{estimate.ci_low:.3f}" in with_intervals.split("MAE $")[-1]


def test_more_arms_than_a_page_holds_go_on_in_the_next_float(
    synthetic: Any, written: Write, program: Callable[[str], str], tmp_path: Path
) -> None:
    arms = {f"arm {number}": 0.4 + number / 100 for number in range(75)}
    results = synthetic.make_results(arms, seeds=range(4), utterances=20)
    comparison = compare_arms(results, synthetic.METRICS, seed=0, draws=20)
    table = build_table(comparison)
    text = render_latex(table)
    assert text.count(r"\begin{table*}") == 4
    for part in (text, render_latex(table, spread="interval")):
        labels = set(re.findall(r"\\label\{(.*?)\}", part))
        assert len(labels) == 1 and set(re.findall(r"\\ref\{(.*?)\}", part)) == labels
    for row in table.rows:
        assert len(re.findall(rf"^{row.arm} &", text, re.M)) == 2
    files = paper_files(results, comparison, Evidence(), table)
    written(files, tmp_path)
    log = compile_twice(program("pdflatex"), tmp_path, program("bibtex"))
    assert "too large for page" not in log


def test_metrics_that_are_too_many_for_a_line_are_spread_evenly(full: Any) -> None:
    heading = full.table.header[0]
    for number, sizes in ((5, [5]), (7, [4, 3]), (9, [5, 4]), (13, [5, 5, 3])):
        heads = tuple(replace(heading, label=f"Metric {n:04}") for n in range(number))
        table = replace(full.table, header=heads, rows=())
        assert [len(block) for block in fitting_metrics(table, "sd")] == sizes
        assert [place for block in fitting_metrics(table, "sd") for place in block] == list(
            range(number)
        )


def test_a_checkmark_means_the_level_besides_off(full: Any) -> None:
    levels = {
        "full": {"pair": "shared", "fusion": "tfn"},
        full.table.rows[1].arm: {"pair": "off", "fusion": "lmf"},
    }
    text = render_modules(full.table, levels)
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert rows[0].startswith(r"Arm & pair & fusion & MAE $\downarrow$")
    assert rows[1].startswith(r"full & \checkmark & tfn &")
    assert " & -- & lmf & " in rows[2]
    assert rows[3].startswith(r"=HYPERLINK(1) &  &  &")  # not of the design
    assert "A checkmark means pair: shared." in text


def test_a_study_without_a_design_has_no_checkmark_table(full: Any) -> None:
    assert render_modules(full.table, {}) == ""
    assert render_modules(full.table, {"full": {"pair": "on"}}) == ""
