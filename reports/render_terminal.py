"""The table as a person sees it in a terminal."""

from rich.table import Table as RichTable
from rich.text import Text

from reports.numerals import show, show_interval, show_p
from reports.tables import Heading, Table, TableCell

STYLES = {"better": "green", "worse": "red", "baseline": "dim", "equivalent": "cyan"}
RANK_STYLES = {"best": "bold", "second": "underline"}
NARROW = 110  # columns; what does not fit beside the verdicts is left to the files
COLUMNS_A_METRIC = 20


def terminal_table(table: Table, width: int) -> RichTable:
    """Arm, primary metric with its delta, interval, p and verdict, then the means that fit.

    Args:
        table: what every renderer draws.
        width: of the terminal, in columns.
    """
    shown = 1 + max(0, (width - NARROW) // COLUMNS_A_METRIC)
    drawn = RichTable(box=None, pad_edge=False, title=None)
    primary, *others = table.header[:shown]
    drawn.add_column("arm", overflow="fold", min_width=12)
    for title in (f"{primary.label} {primary.arrow}", "delta", "95 % interval", "p Holm"):
        drawn.add_column(title, justify="right", no_wrap=True)
    drawn.add_column("verdict", no_wrap=True)
    for heading in others:
        drawn.add_column(f"{heading.label} {heading.arrow}", justify="right", no_wrap=True)
    for row in table.rows:
        estimate = row.primary
        verdict = estimate.verdict or ""
        drawn.add_row(
            Text(row.arm),
            _mean(row.cells[0], primary),
            show(estimate.delta, primary.decimals, signed=True),
            show_interval(estimate.ci_low, estimate.ci_high, primary.decimals),
            show_p(estimate.p_holm),
            Text(verdict, style=STYLES.get(verdict, "")),
            *(
                _mean(cell, heading)
                for cell, heading in zip(row.cells[1:shown], others, strict=True)
            ),
        )
    return drawn


def _mean(cell: TableCell, heading: Heading) -> Text:
    estimate = cell.estimate
    text = show(estimate.mean, heading.decimals)
    if estimate.sd is not None:
        text += f" ± {show(estimate.sd, heading.decimals)}"
    return Text(text, style=RANK_STYLES.get(cell.rank or "", ""))
