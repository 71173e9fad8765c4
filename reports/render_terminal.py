"""The table of a report for the terminal."""

from rich.table import Table as RichTable
from rich.text import Text

from reports.evidence.verdicts import Verdict
from reports.numerals import format_interval, format_mean, format_number, format_p
from reports.tables import Heading, Table, TableCell

STYLES: dict[str, str] = {
    Verdict.BETTER: "green",
    Verdict.WORSE: "red",
    Verdict.BASELINE: "dim",
    Verdict.EQUIVALENT: "cyan",
}
RANK_STYLES = {"best": "bold", "second": "underline"}
NARROW = 110  # columns of the terminal that the verdicts need; more room shows more metrics
COLUMNS_PER_METRIC = 20


def terminal_table(table: Table, width: int) -> RichTable:
    """Draw arm, primary metric, delta, interval, p and verdict, then the means that fit.

    Args:
        table: Table of the report.
        width: Width of the terminal, in columns.
    """
    # Metrics are left out and not wrapped: the files of the report have all of them.
    shown = 1 + max(0, (width - NARROW) // COLUMNS_PER_METRIC)
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
            _mean_text(row.cells[0], primary),
            format_number(estimate.delta, primary.decimals, signed=True),
            format_interval(estimate.ci_low, estimate.ci_high, primary.decimals),
            format_p(estimate.p_holm),
            Text(verdict, style=STYLES.get(verdict, "")),
            *(
                _mean_text(cell, heading)
                for cell, heading in zip(row.cells[1:shown], others, strict=True)
            ),
        )
    return drawn


def _mean_text(cell: TableCell, heading: Heading) -> Text:
    text = format_mean(cell.estimate.mean, cell.estimate.sd, heading.decimals)
    return Text(text, style=RANK_STYLES.get(cell.rank or "", ""))
