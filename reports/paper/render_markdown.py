"""The table as Markdown."""

import re
from collections.abc import Iterable, Sequence

from reports.evidence.claims.answers import ClaimAnswer
from reports.numerals import MISSING, format_interval, format_mean, format_number, format_p
from reports.tables import Row, Table, TableCell


def render_markdown(table: Table) -> str:
    """Return the table, its caption and notes as GitHub-flavoured Markdown.

    Best means are bold, second ones italic: Markdown has no underline.
    """
    head = ["Arm", *(f"{h.label} {h.arrow}" for h in table.header)]
    head += ["Δ", "95 % interval", "p Holm", "Verdict"]
    lines = [
        f"**{escape_markdown(table.title)}**",
        "",
        *markdown_table(
            [escape_markdown(text) for text in head],
            [":--", *["--:"] * (len(head) - 2), ":--"],
            [_row_cells(table, row) for row in table.rows],
        ),
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
    primary, decimals = row.primary, table.header[0].decimals
    cells = zip(row.cells, table.header, strict=True)
    return [
        escape_markdown(row.arm),
        *(mean_markdown(cell, heading.decimals) for cell, heading in cells),
        format_number(primary.delta, decimals, signed=True),
        format_interval(primary.ci_low, primary.ci_high, decimals),
        escape_markdown(format_p(primary.p_holm)),
        primary.outcome or MISSING,
    ]


def mean_markdown(cell: TableCell, decimals: int) -> str:
    """Return mean ± sd, the best bold and the second italic."""
    mark = {"best": "**", "second": "*", None: ""}[cell.rank]
    return f"{mark}{format_mean(cell.estimate.mean, cell.estimate.sd, decimals)}{mark}"


def markdown_table(
    head: Sequence[str], rule: Sequence[str], rows: Iterable[Iterable[str]]
) -> list[str]:
    """Return the lines of a table of GitHub-flavoured Markdown.

    Args:
        head: Heads of the columns, escaped.
        rule: Alignment of each column, e.g. `--:`.
        rows: Cells of each row, escaped.
    """
    return [f"| {' | '.join(cells)} |" for cells in (head, rule, *rows)]
