"""Studies side by side as LaTeX, Markdown and CSV."""

from collections.abc import Iterator

from reports.numerals import MISSING, format_mean, format_number
from reports.paper.latex_text import escape_latex, float_lines, note_lines, tabular_lines
from reports.paper.render_latex import verdict_mark
from reports.paper.render_markdown import escape_markdown, markdown_table, mean_markdown
from reports.paper.side_by_side import SideBySide, SideStudy
from reports.render_csv import csv_text
from reports.tables import TableCell

ABREAST = 3  # studies that fit beside one another on a page
_ESTIMATE = ("n", "mean", "sd", "delta", "ci_low", "ci_high", "p", "p_holm")


def render_side_latex(sides: SideBySide) -> str:
    r"""Return a `table*` in booktabs style, which needs \usepackage{booktabs,graphicx}."""
    body = []
    for first in range(0, len(sides.studies), ABREAST):
        indices = range(len(sides.studies))[first : first + ABREAST]
        body += [r"\par\medskip", *_study_block(sides, indices)]
    caption = f"{escape_latex(sides.caption)} Best in bold, second underlined."
    lines = [
        r"% Needs \usepackage{booktabs,graphicx}. Written by `triptych`.",
        *float_lines([*body, *note_lines(sides.notes)], caption, label="tab:studies"),
    ]
    return "\n".join(lines) + "\n"


def render_side_markdown(sides: SideBySide) -> str:
    """Return a table in GitHub's Markdown; best means are bold, second ones italic."""
    head = ["Arm", *(text for study in sides.studies for text in _study_heads(study))]
    rows = []
    for row in sides.rows:
        cells = [escape_markdown(row.arm)]
        for study, cell in zip(sides.studies, row.cells, strict=True):
            mean, delta, outcome = _cell_texts(study, cell)
            marked = mean_markdown(cell, study.heading.decimals) if cell else mean
            cells += [marked, delta, escape_markdown(outcome)]
        rows.append(cells)
    lines = [
        *markdown_table(
            [escape_markdown(text) for text in head],
            [":--", *["--:", "--:", ":--"] * len(sides.studies)],
            rows,
        ),
        "",
        escape_markdown(sides.caption) + " Best in bold, second in italics.",
    ]
    if sides.notes:
        lines += ["", *(f"- {escape_markdown(note)}" for note in sides.notes)]
    return "\n".join(lines) + "\n"


def render_side_csv(sides: SideBySide) -> str:
    """Return a row per arm and study that has it, with every digit."""
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


def _study_block(sides: SideBySide, indices: range) -> Iterator[str]:
    """Return the tabular of some studies.

    Args:
        sides: All studies.
        indices: Indices of those in this block.
    """
    groups = [
        rf"\multicolumn{{3}}{{c}}{{{escape_latex(sides.studies[index].name)}}}" for index in indices
    ]
    rules = [
        rf"\cmidrule(lr){{{2 + 3 * number}-{4 + 3 * number}}}" for number in range(len(indices))
    ]
    heads = ["Arm"]
    for index in indices:
        heads += [escape_latex(text) for text in _study_heads(sides.studies[index], named=False)]
    rows = []
    for row in sides.rows:
        cells = [escape_latex(row.arm)]
        for index in indices:
            cells += _latex_cells(sides.studies[index], row.cells[index])
        rows.append(cells)
    for line in tabular_lines("l" + "crl" * len(indices), heads, rows):
        yield line
        # The names of the studies stand above the heads, which are the first row of the tabular.
        if line == r"\toprule":
            yield " & ".join(["", *groups]) + r" \\"
            yield "".join(rules)


def _latex_cells(study: SideStudy, cell: TableCell | None) -> list[str]:
    mean, delta, outcome = (escape_latex(text) for text in _cell_texts(study, cell))
    if cell is None:
        return [mean, delta, outcome]
    style = {"best": r"\textbf", "second": r"\underline"}.get(cell.rank or "")
    return [f"{style}{{{mean}}}" if style else mean, delta, verdict_mark(cell.estimate.outcome)]


def _study_heads(study: SideStudy, *, named: bool = True) -> tuple[str, str, str]:
    """Return the heads of a study's three columns."""
    # LaTeX has the name once, across the three columns; Markdown has no cells that span columns.
    metric = f"{study.heading.label} {study.heading.arrow}"
    return (f"{study.name}: {metric}" if named else metric, "Δ", "Verdict")


def _cell_texts(study: SideStudy, cell: TableCell | None) -> tuple[str, str, str]:
    """Return mean ± sd, delta and verdict; dashes where the study has no such arm."""
    if cell is None:
        return MISSING, MISSING, MISSING
    estimate, decimals = cell.estimate, study.heading.decimals
    return (
        format_mean(estimate.mean, estimate.sd, decimals),
        format_number(estimate.delta, decimals, signed=True),
        estimate.outcome or MISSING,
    )
