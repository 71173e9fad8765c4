"""Studies side by side as LaTeX, Markdown, plain text and CSV."""

from collections.abc import Iterator

from reports.numerals import MISSING, show
from reports.paper.latex_text import escape_latex, tabular
from reports.paper.render_latex import verdict_mark
from reports.paper.render_markdown import escape_markdown
from reports.paper.side_by_side import SideBySide, SideCell, SideStudy
from reports.render_csv import csv_text

ABREAST = 3  # studies that fit beside one another on a page
_ESTIMATE = ("n", "mean", "sd", "delta", "ci_low", "ci_high", "p", "p_holm")


def render_side_latex(sides: SideBySide) -> str:
    r"""A `table*` in booktabs style; needs \usepackage{booktabs,graphicx}."""
    lines = [
        r"% Needs \usepackage{booktabs,graphicx}. Written by `triptych`.",
        r"\begin{table*}[t]",
        r"\centering",
        r"\small",
        rf"\caption{{{escape_latex(sides.caption)} Best in bold, second underlined.}}",
        r"\label{tab:studies}",
    ]
    for first in range(0, len(sides.studies), ABREAST):
        lines += [
            r"\par\medskip",
            *_block(sides, range(len(sides.studies))[first : first + ABREAST]),
        ]
    if sides.notes:
        text = " ".join(escape_latex(note) for note in sides.notes)
        lines += [r"\par\smallskip", rf"{{\footnotesize\raggedright {text}\par}}"]
    return "\n".join([*lines, r"\end{table*}"]) + "\n"


def render_side_markdown(sides: SideBySide) -> str:
    """A table in GitHub's Markdown; best means bold, second ones italic."""
    head = ["Arm", *(text for study in sides.studies for text in _heads(study))]
    lines = [
        _line([escape_markdown(text) for text in head]),
        _line([":--", *["--:", "--:", ":--"] * len(sides.studies)]),
    ]
    marks = {"best": "**", "second": "*"}
    for row in sides.rows:
        cells = [escape_markdown(row.arm)]
        for study, cell in zip(sides.studies, row.cells, strict=True):
            mean, delta, outcome = _texts(study, cell)
            mark = marks.get(cell.rank or "", "") if cell else ""
            cells += [f"{mark}{mean}{mark}", delta, escape_markdown(outcome)]
        lines.append(_line(cells))
    lines += ["", escape_markdown(sides.caption) + " Best in bold, second in italics."]
    if sides.notes:
        lines += ["", *(f"- {escape_markdown(note)}" for note in sides.notes)]
    return "\n".join(lines) + "\n"


def render_side_text(sides: SideBySide) -> str:
    """Columns of plain text for a terminal; `*` marks the best mean."""
    table = [["arm", *(text for study in sides.studies for text in _heads(study))]]
    for row in sides.rows:
        cells = [" ".join(row.arm.split())]
        for study, cell in zip(sides.studies, row.cells, strict=True):
            mean, delta, outcome = _texts(study, cell)
            best = " *" if cell is not None and cell.rank == "best" else ""
            cells += [f"{mean}{best}", delta, outcome]
        table.append(cells)
    widths = [max(len(line[place]) for line in table) for place in range(len(table[0]))]
    lines = [
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in table
    ]
    return "\n".join([*lines, "", sides.caption, *sides.notes]) + "\n"


def render_side_csv(sides: SideBySide) -> str:
    """A row an (arm, study) that is there, every digit kept."""
    rows = [
        [
            row.arm,
            study.name,
            study.heading.metric,
            *(getattr(cell.estimate, name) for name in _ESTIMATE),
            cell.estimate.outcome,
        ]
        for row in sides.rows
        for study, cell in zip(sides.studies, row.cells, strict=True)
        if cell is not None
    ]
    return csv_text(["arm", "study", "metric", *_ESTIMATE, "verdict"], rows)


def _block(sides: SideBySide, places: range) -> Iterator[str]:
    """The tabular of some studies."""
    groups = [
        rf"\multicolumn{{3}}{{c}}{{{escape_latex(sides.studies[place].name)}}}" for place in places
    ]
    rules = [
        rf"\cmidrule(lr){{{2 + 3 * number}-{4 + 3 * number}}}" for number in range(len(places))
    ]
    heads = ["Arm"]
    for place in places:
        heads += [escape_latex(text) for text in _heads(sides.studies[place], named=False)]
    rows = []
    for row in sides.rows:
        cells = [escape_latex(row.arm)]
        for place in places:
            cells += _latex_cells(sides.studies[place], row.cells[place])
        rows.append(cells)
    for line in tabular("l" + "crl" * len(places), heads, rows):
        yield line
        if line == r"\toprule":
            yield " & ".join(["", *groups]) + r" \\"
            yield "".join(rules)


def _latex_cells(study: SideStudy, cell: SideCell | None) -> list[str]:
    mean, delta, outcome = (escape_latex(text) for text in _texts(study, cell))
    if cell is None:
        return [mean, delta, outcome]
    style = {"best": r"\textbf", "second": r"\underline"}.get(cell.rank or "")
    return [f"{style}{{{mean}}}" if style else mean, delta, verdict_mark(cell.estimate.outcome)]


def _heads(study: SideStudy, *, named: bool = True) -> tuple[str, str, str]:
    """The heads of a study's three columns."""
    metric = f"{study.heading.label} {study.heading.arrow}"
    return (f"{study.name}: {metric}" if named else metric, "Δ", "Verdict")


def _texts(study: SideStudy, cell: SideCell | None) -> tuple[str, str, str]:
    """Mean ± sd, delta and verdict; dashes where the study has no such arm."""
    if cell is None:
        return MISSING, MISSING, MISSING
    estimate, decimals = cell.estimate, study.heading.decimals
    mean = show(estimate.mean, decimals)
    if estimate.sd is not None:
        mean += f" ± {show(estimate.sd, decimals)}"
    return mean, show(estimate.delta, decimals, signed=True), estimate.outcome or MISSING


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
