"""The table as Markdown."""

import re
from collections.abc import Sequence

from reports.evidence.claims.answers import ClaimAnswer
from reports.numerals import MISSING, format_interval, format_number, format_p
from reports.tables import Row, Table


def render_markdown(table: Table) -> str:
    """Return the table, its caption and notes as GitHub-flavoured Markdown.

    Best means are bold, second ones italic: Markdown has no underline.
    """
    head = ["Arm", *(f"{h.label} {h.arrow}" for h in table.header)]
    head += ["Δ", "95 % interval", "p Holm", "Verdict"]
    lines = [
        f"**{escape_markdown(table.title)}**",
        "",
        markdown_row([escape_markdown(text) for text in head]),
        markdown_row([":--", *["--:"] * (len(head) - 2), ":--"]),
        *(markdown_row(_row_cells(table, row)) for row in table.rows),
        "",
        escape_markdown(table.caption) + " Best in bold, second in italics.",
    ]
    if table.claims:
        lines += ["", "**The claims**", "", *(_claim_line(answer) for answer in table.claims)]
    if table.notes:
        lines += ["", *(f"- {escape_markdown(note)}" for note in table.notes)]
    return "\n".join(lines) + "\n"


def escape_markdown(text: str) -> str:
    """Escape a text so that Markdown shows it as it is, within a table cell too."""
    printable = "".join(c if c.isprintable() or c.isspace() else "" for c in text)
    one_line = " ".join(printable.split())
    marked = re.sub(r"([\\`*_\[\]#|~])", r"\\\1", one_line)
    # `&` first, or it would escape the entities of `<` and `>`.
    return marked.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _claim_line(answer: ClaimAnswer) -> str:
    text, sentence = escape_markdown(answer.claim.text), escape_markdown(answer.sentence)
    return f"- **{answer.verdict}**: {text}. {sentence}"


def _row_cells(table: Table, row: Row) -> list[str]:
    marks = {"best": "**", "second": "*", None: ""}
    cells = [escape_markdown(row.arm)]
    for heading, cell in zip(table.header, row.cells, strict=True):
        text = format_number(cell.estimate.mean, heading.decimals)
        if cell.estimate.sd is not None:
            text += f" ± {format_number(cell.estimate.sd, heading.decimals)}"
        cells.append(f"{marks[cell.rank]}{text}{marks[cell.rank]}")
    primary, decimals = row.primary, table.header[0].decimals
    p_text = escape_markdown(format_p(primary.p_holm))
    cells += [
        format_number(primary.delta, decimals, signed=True),
        format_interval(primary.ci_low, primary.ci_high, decimals),
        p_text,
        primary.outcome or MISSING,
    ]
    return cells


def markdown_row(cells: Sequence[str]) -> str:
    """Return a row of a Markdown table."""
    return f"| {' | '.join(cells)} |"
