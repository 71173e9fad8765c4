"""The table as Markdown."""

import re

from reports.evidence.claims.answers import ClaimAnswer
from reports.numerals import MISSING, show, show_interval, show_p
from reports.tables import Row, Table


def render_markdown(table: Table) -> str:
    """The table, its caption and notes as GitHub-flavoured Markdown.

    Best means are bold, second ones italic: Markdown has no underline.
    """
    head = ["Arm", *(f"{h.label} {h.arrow}" for h in table.header)]
    head += ["Δ", "95 % interval", "p Holm", "Verdict"]
    lines = [
        f"**{escape_markdown(table.title)}**",
        "",
        _line([escape_markdown(text) for text in head]),
        _line([":--", *["--:"] * (len(head) - 2), ":--"]),
        *(_line(_cells(table, row)) for row in table.rows),
        "",
        escape_markdown(table.caption) + " Best in bold, second in italics.",
    ]
    if table.claims:
        lines += ["", "**The claims**", "", *(_claim(answer) for answer in table.claims)]
    if table.notes:
        lines += ["", *(f"- {escape_markdown(note)}" for note in table.notes)]
    return "\n".join(lines) + "\n"


def escape_markdown(text: str) -> str:
    """Text that Markdown shows as it is, within a table cell too."""
    printable = "".join(c if c.isprintable() or c.isspace() else "" for c in text)
    one_line = " ".join(printable.split())
    marked = re.sub(r"([\\`*_\[\]#|~])", r"\\\1", one_line)
    return marked.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _claim(answer: ClaimAnswer) -> str:
    text, sentence = escape_markdown(answer.claim.text), escape_markdown(answer.sentence)
    return f"- **{answer.verdict}**: {text}. {sentence}"


def _cells(table: Table, row: Row) -> list[str]:
    marks = {"best": "**", "second": "*", None: ""}
    cells = [escape_markdown(row.arm)]
    for heading, cell in zip(table.header, row.cells, strict=True):
        text = show(cell.estimate.mean, heading.decimals)
        if cell.estimate.sd is not None:
            text += f" ± {show(cell.estimate.sd, heading.decimals)}"
        cells.append(f"{marks[cell.rank]}{text}{marks[cell.rank]}")
    primary, decimals = row.primary, table.header[0].decimals
    p_text = escape_markdown(show_p(primary.p_holm))
    cells += [
        show(primary.delta, decimals, signed=True),
        show_interval(primary.ci_low, primary.ci_high, decimals),
        p_text,
        primary.outcome or MISSING,
    ]
    return cells


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
