r"""The table of arms as LaTeX, which needs \usepackage{booktabs,graphicx}.

`longtable` fails in two columns, where most papers of this field are: a long table is several
floats.
"""

from collections.abc import Iterator, Sequence
from typing import Literal

from reports.evidence.verdicts import Verdict
from reports.numerals import MISSING, format_interval, format_number, format_p
from reports.paper.latex_text import (
    escape_latex,
    float_lines,
    note_lines,
    number_latex,
    tabular_lines,
)
from reports.tables import SPREAD, Heading, Row, Table, TableCell

Spread = Literal["sd", "interval"]
GAP = r"\par\smallskip"  # article sets a caption tight above what follows it
LABELS = {"sd": "tab:arms", "interval": "tab:intervals"}
TOGETHER = 40  # lines of a float that holds all blocks and stays on a page
ROWS = 44  # lines of a float that holds one
ROOM = 100  # characters of a small font that a page is wide
NAMES = 44  # characters of an arm's name beyond which a block is scaled down
BESIDE = 1800  # characters of claims and notes that a float has room for
_MARKS: dict[str, str] = {
    Verdict.BASELINE: "(baseline)",
    Verdict.BETTER: "$+$ better",
    Verdict.WORSE: "$-$ worse",
    Verdict.EQUIVALENT: r"$\approx$ equivalent",
    Verdict.UNDECIDED: "? undecided",
}
_INTERVAL_CAPTION = "mean, and below it the 95 % interval of its difference from {}"


def render_latex(table: Table, *, spread: Spread = "sd") -> str:
    """Return one `table*` in booktabs style, or several: verdicts, and below them every metric.

    Best mean bold, second underlined. A block wider than the page is scaled down to it; arms that
    do not fit on one page go on in the next float.

    Args:
        table: Table of arms.
        spread: Text beside every mean: its standard deviation over seeds, or below it the two-level
            interval of its difference from the baseline.
    """
    lines = [r"% Needs \usepackage{booktabs,graphicx}. Written by `triptych report`."]
    beside = [*_claim_lines(table), *note_lines(table.notes)]
    # A float that is longer than a page runs off it, so long claims and notes stand after it.
    outside = sum(map(len, beside)) > BESIDE
    floats = list(_draw_floats(table, spread))
    for index, blocks in enumerate(floats):
        lines += float_lines(
            [GAP, *blocks, *([] if outside or index + 1 < len(floats) else beside)],
            _float_caption(table, spread, index, len(floats)),
            label="" if index else LABELS[spread],
            place="p" if index else "t",
        )
    if outside:
        lines += [r"\begingroup", *beside, r"\endgroup"]
    return "\n".join(lines) + "\n"


def verdict_mark(outcome: str) -> str:
    """Return an estimate's outcome, with a sign that needs no colour."""
    return _MARKS.get(outcome) or escape_latex(outcome) or "--"


def _draw_floats(table: Table, spread: Spread) -> Iterator[list[str]]:
    """Yield the blocks of each float."""
    blocks = fitting_metrics(table, spread)
    lines = 2 if spread == "interval" else 1
    if len(table.rows) * (1 + lines * len(blocks)) <= TOGETHER:
        drawn = _verdict_block(table, table.rows)
        for indices in blocks:
            drawn += [r"\par\medskip", *_metric_block(table, table.rows, indices, spread)]
        yield drawn
        return
    for rows in _split_rows(table.rows, ROWS):
        yield _verdict_block(table, rows)
    for indices in blocks:
        for rows in _split_rows(table.rows, ROWS // lines):
            yield _metric_block(table, rows, indices, spread)


def fitting_metrics(table: Table, spread: Spread, taken: int = 0) -> list[list[int]]:
    """Return the indices of the metrics that fit beside one another, block by block.

    Args:
        table: Table of arms, whose names take the first column.
        spread: Text beside or below the means.
        taken: Number of characters that other columns take.
    """
    names = max((len(row.arm) for row in table.rows), default=0)
    room = ROOM - min(names, NAMES) - taken
    widths = [_column_width(heading, spread) for heading in table.header]
    blocks = _split_blocks(widths, room)
    if taken == 0:
        # As many blocks as are needed, but alike, rather than a last one of a single metric.
        sizes = range(1, len(widths) + 1)
        evenly = (_split_blocks(widths, room, most) for most in sizes)
        blocks = next(found for found in evenly if len(found) <= len(blocks))
    return blocks


def _split_blocks(widths: Sequence[float], room: float, most: int | None = None) -> list[list[int]]:
    """Split the columns into blocks no wider than the room, with no more than `most` in each."""
    blocks: list[list[int]] = [[]]
    used = 0.0
    for index, width in enumerate(widths):
        if blocks[-1] and (used + width > room or len(blocks[-1]) == most):
            blocks.append([])
            used = 0.0
        blocks[-1].append(index)
        used += width
    return blocks


def _column_width(heading: Heading, spread: Spread) -> float:
    """Return the characters that a metric's column takes, with its gap."""
    numbers = 1.5 * heading.decimals + 8 if spread == "interval" else 2 * heading.decimals + 6
    return max(len(heading.label) + 2, numbers) + 3


def _split_rows(rows: Sequence[Row], size: int) -> Iterator[Sequence[Row]]:
    for first in range(0, len(rows), size):
        yield rows[first : first + size]


def _float_caption(table: Table, spread: Spread, index: int, floats: int) -> str:
    if index:
        whole = rf"Table~\ref{{{LABELS[spread]}}}"
        return f"{escape_latex(table.title)} (part {index + 1} of {floats} of {whole})"
    caption = table.caption
    if spread == "interval":
        baseline = next(
            (row.arm for row in table.rows if row.primary.verdict == Verdict.BASELINE), ""
        )
        caption = caption.replace(SPREAD, _INTERVAL_CAPTION.format(baseline), 1)
    parts = f" (Part 1 of {floats}.)" if floats > 1 else ""
    return f"{escape_latex(f'{table.title} {caption}')} Best in bold, second underlined.{parts}"


def _verdict_block(table: Table, rows: Sequence[Row]) -> list[str]:
    label = escape_latex(table.header[0].label)
    head = ["Arm", rf"$\Delta$ {label}", r"95\,\% interval", r"$p$ (Holm)", "Verdict"]
    return tabular_lines("lccrl", head, [_verdict_row(table, row) for row in rows])


def _metric_block(
    table: Table, rows: Sequence[Row], indices: Sequence[int], spread: Spread
) -> list[str]:
    drawn: list[list[str]] = []
    for row in rows:
        drawn += _metric_lines(table, row, indices, spread)
    head = ["Arm", *(heading_latex(table.header[index]) for index in indices)]
    return tabular_lines("l" + "c" * len(indices), head, drawn)


def heading_latex(heading: Heading) -> str:
    """Return a metric's name and direction."""
    return f"{escape_latex(heading.label)} {escape_latex(heading.arrow)}"


def _verdict_row(table: Table, row: Row) -> list[str]:
    primary, decimals = row.primary, table.header[0].decimals
    interval = format_interval(primary.ci_low, primary.ci_high, decimals)
    return [
        escape_latex(row.arm),
        number_latex(primary.delta, decimals, signed=True),
        # Braced: an optional argument of the \\ before could otherwise begin at the bracket.
        f"{{{escape_latex(interval)}}}",
        escape_latex(format_p(primary.p_holm)),
        verdict_mark(primary.outcome),
    ]


def _metric_lines(
    table: Table, row: Row, indices: Sequence[int], spread: Spread
) -> list[list[str]]:
    cells = [(table.header[index], row.cells[index]) for index in indices]
    means = [escape_latex(row.arm), *(mean_latex(heading, cell, spread) for heading, cell in cells)]
    if spread == "sd":
        return [means]
    intervals = [
        format_interval(cell.estimate.ci_low, cell.estimate.ci_high, heading.decimals)
        for heading, cell in cells
    ]
    if all(text == MISSING for text in intervals):
        return [means]
    shown = ("" if text == MISSING else escape_latex(text) for text in intervals)
    return [means, ["", *(rf"{{\scriptsize {text}}}" for text in shown)]]


def mean_latex(heading: Heading, cell: TableCell, spread: Spread) -> str:
    """Return a mean, best bold and second underlined, with its standard deviation if asked for."""
    text = number_latex(cell.estimate.mean, heading.decimals)
    if cell.rank == "best":
        text = rf"\textbf{{{text}}}"
    elif cell.rank == "second":
        text = rf"\underline{{{text}}}"
    if spread == "sd" and cell.estimate.sd is not None:
        text += rf"{{\scriptsize\,$\pm$\,{format_number(cell.estimate.sd, heading.decimals)}}}"
    return text


def _claim_lines(table: Table) -> list[str]:
    if not table.claims:
        return []
    items = [
        rf"\item \textbf{{{escape_latex(answer.verdict)}}}: "
        rf"\emph{{{escape_latex(answer.claim.text)}.}} {escape_latex(answer.sentence)}"
        for answer in table.claims
    ]
    return [
        r"\par\smallskip",
        r"{\footnotesize\raggedright",
        r"\begin{itemize}",
        *items,
        r"\end{itemize}\par}",
    ]
