r"""The table as LaTeX; needs \usepackage{booktabs,graphicx}."""

from collections.abc import Iterator, Sequence
from typing import Literal

from reports.numerals import MISSING, show, show_interval, show_p
from reports.paper.latex_text import escape_latex, number, tabular
from reports.tables import SPREAD, Heading, Row, Table, TableCell

__all__ = ["escape_latex", "render_latex", "verdict_mark"]

Spread = Literal["sd", "interval"]
GAP = r"\par\smallskip"  # article sets a caption tight above what follows it
LABELS = {"sd": "tab:arms", "interval": "tab:intervals"}
TOGETHER = 40  # lines of a float that holds all blocks and stays on a page
ROWS = 44  # lines of a float that holds one
ROOM = 100  # characters of a small font that a page is wide
NAMES = 44  # characters of an arm's name beyond which a block is scaled down
BESIDE = 1800  # characters of claims and notes that a float has room for
_MARKS = {
    "baseline": "(baseline)",
    "better": "$+$ better",
    "worse": "$-$ worse",
    "equivalent": r"$\approx$ equivalent",
    "undecided": "? undecided",
}
_INTERVAL_CAPTION = "mean, and below it the 95 % interval of its difference from {}"


def render_latex(table: Table, *, spread: Spread = "sd") -> str:
    """One `table*` in booktabs style, or several: the verdicts, and below them every metric.

    Best mean bold, second underlined. A block wider than the page is scaled down to it; arms that
    do not fit on one page go on in the next float.

    Args:
        table: what is drawn.
        spread: behind every mean: its standard deviation over seeds, or below it the two-level
            interval of its difference from the baseline.
    """
    lines = [r"% Needs \usepackage{booktabs,graphicx}. Written by `triptych report`."]
    beside = [*_claims(table), *_notes(table)]
    outside = sum(map(len, beside)) > BESIDE
    floats = list(_floats(table, spread))
    for place, blocks in enumerate(floats):
        lines += [
            r"\begin{table*}[t]" if place == 0 else r"\begin{table*}[p]",
            r"\centering",
            r"\small",
            rf"\caption{{{_caption(table, spread, place, len(floats))}}}",
            *([rf"\label{{{LABELS[spread]}}}"] if place == 0 else []),
            GAP,
            *blocks,
            *([] if outside or place + 1 < len(floats) else beside),
            r"\end{table*}",
        ]
    if outside:
        lines += [r"\begingroup", *beside, r"\endgroup"]
    return "\n".join(lines) + "\n"


def verdict_mark(outcome: str) -> str:
    """An estimate's outcome, with a sign that does without colour."""
    return _MARKS.get(outcome) or escape_latex(outcome) or "--"


def _floats(table: Table, spread: Spread) -> Iterator[list[str]]:
    """The blocks of each float."""
    blocks = fitting_metrics(table, spread)
    lines = 2 if spread == "interval" else 1
    if len(table.rows) * (1 + lines * len(blocks)) <= TOGETHER:
        drawn = _verdicts(table, table.rows)
        for places in blocks:
            drawn += [r"\par\medskip", *_metrics(table, table.rows, places, spread)]
        yield drawn
        return
    for rows in _parts(table.rows, ROWS):
        yield _verdicts(table, rows)
    for places in blocks:
        for rows in _parts(table.rows, ROWS // lines):
            yield _metrics(table, rows, places, spread)


def fitting_metrics(table: Table, spread: Spread, taken: int = 0) -> list[list[int]]:
    """Places of the metrics that fit beside one another, block by block.

    Args:
        table: whose arms' names take the first column.
        spread: what stands beside or below the means.
        taken: characters of other columns.
    """
    names = max((len(row.arm) for row in table.rows), default=0)
    room = ROOM - min(names, NAMES) - taken
    widths = [_width(heading, spread) for heading in table.header]
    blocks = _blocks(widths, room)
    if taken == 0:  # blocks alike rather than a last one of one metric
        sizes = range(1, len(widths) + 1)
        evenly = (_blocks(widths, room, most) for most in sizes)
        blocks = next(found for found in evenly if len(found) <= len(blocks))
    return blocks


def _blocks(widths: Sequence[float], room: float, most: int | None = None) -> list[list[int]]:
    """Places, in order, in blocks that are no wider than the room and hold no more than `most`."""
    blocks: list[list[int]] = [[]]
    used = 0.0
    for place, width in enumerate(widths):
        if blocks[-1] and (used + width > room or len(blocks[-1]) == most):
            blocks.append([])
            used = 0.0
        blocks[-1].append(place)
        used += width
    return blocks


def _width(heading: Heading, spread: Spread) -> float:
    """Characters that a metric's column takes, with its gap."""
    numbers = 1.5 * heading.decimals + 8 if spread == "interval" else 2 * heading.decimals + 6
    return max(len(heading.label) + 2, numbers) + 3


def _parts(rows: Sequence[Row], size: int) -> Iterator[Sequence[Row]]:
    for first in range(0, len(rows), size):
        yield rows[first : first + size]


def _caption(table: Table, spread: Spread, place: int, floats: int) -> str:
    if place:
        whole = rf"Table~\ref{{{LABELS[spread]}}}"
        return f"{escape_latex(table.title)} (part {place + 1} of {floats} of {whole})"
    caption = table.caption
    if spread == "interval":
        baseline = next((row.arm for row in table.rows if row.primary.verdict == "baseline"), "")
        caption = caption.replace(SPREAD, _INTERVAL_CAPTION.format(baseline), 1)
    parts = f" (Part 1 of {floats}.)" if floats > 1 else ""
    return f"{escape_latex(f'{table.title} {caption}')} Best in bold, second underlined.{parts}"


def _verdicts(table: Table, rows: Sequence[Row]) -> list[str]:
    label = escape_latex(table.header[0].label)
    head = ["Arm", rf"$\Delta$ {label}", r"95\,\% interval", r"$p$ (Holm)", "Verdict"]
    return tabular("lccrl", head, [_verdict_row(table, row) for row in rows])


def _metrics(table: Table, rows: Sequence[Row], places: Sequence[int], spread: Spread) -> list[str]:
    drawn: list[list[str]] = []
    for row in rows:
        drawn += _metric_lines(table, row, places, spread)
    head = ["Arm", *(heading_latex(table.header[place]) for place in places)]
    return tabular("l" + "c" * len(places), head, drawn)


def heading_latex(heading: Heading) -> str:
    """A metric's name and direction."""
    return f"{escape_latex(heading.label)} {escape_latex(heading.arrow)}"


def _verdict_row(table: Table, row: Row) -> list[str]:
    primary, decimals = row.primary, table.header[0].decimals
    interval = show_interval(primary.ci_low, primary.ci_high, decimals)
    return [
        escape_latex(row.arm),
        number(primary.delta, decimals, signed=True),
        # Braced: an optional argument of the \\ before could otherwise begin at the bracket.
        f"{{{escape_latex(interval)}}}",
        escape_latex(show_p(primary.p_holm)),
        verdict_mark(primary.outcome),
    ]


def _metric_lines(table: Table, row: Row, places: Sequence[int], spread: Spread) -> list[list[str]]:
    cells = [(table.header[place], row.cells[place]) for place in places]
    means = [escape_latex(row.arm), *(mean_latex(heading, cell, spread) for heading, cell in cells)]
    if spread == "sd":
        return [means]
    intervals = [
        show_interval(cell.estimate.ci_low, cell.estimate.ci_high, heading.decimals)
        for heading, cell in cells
    ]
    if all(text == MISSING for text in intervals):
        return [means]
    shown = ("" if text == MISSING else escape_latex(text) for text in intervals)
    return [means, ["", *(rf"{{\scriptsize {text}}}" for text in shown)]]


def mean_latex(heading: Heading, cell: TableCell, spread: Spread) -> str:
    """A mean, best bold and second underlined, with its standard deviation if asked for."""
    text = number(cell.estimate.mean, heading.decimals)
    if cell.rank == "best":
        text = rf"\textbf{{{text}}}"
    elif cell.rank == "second":
        text = rf"\underline{{{text}}}"
    if spread == "sd" and cell.estimate.sd is not None:
        text += rf"{{\scriptsize\,$\pm$\,{show(cell.estimate.sd, heading.decimals)}}}"
    return text


def _claims(table: Table) -> list[str]:
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


def _notes(table: Table) -> list[str]:
    if not table.notes:
        return []
    text = " ".join(escape_latex(note) for note in table.notes)
    return [r"\par\smallskip", rf"{{\footnotesize\raggedright {text}\par}}"]
