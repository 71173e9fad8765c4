"""The verdict table of the page: every column that a reader can choose, and its sort values."""

from dataclasses import dataclass
from itertools import chain
from urllib.parse import urlencode

from reports.evidence.comparison import Comparison
from reports.evidence.verdicts import Verdict
from reports.field_names import changes_from_baseline
from reports.numerals import format_interval, format_number, format_p
from reports.page.marks import Scale, draw_interval, scale_of
from reports.tables import Heading, Table, TableCell
from reports.wording import verdict_words


@dataclass(frozen=True, kw_only=True)
class VerdictColumn:
    """A column of the table.

    Attributes:
        id, part: Id of the column in the page, `<metric>.<part>`, and its part.
        title, small: Head of the column, and a second line under it.
        group: Label of its metric, a heading of the chooser.
        name: Name of the column in the chooser.
        shown: Whether the column is shown before a reader chooses.
        kind: `value`, `delta`, `number` or `verdict`.
    """

    id: str
    part: str
    title: str
    small: str
    group: str
    name: str
    shown: bool
    kind: str


@dataclass(frozen=True, kw_only=True)
class VerdictEntry:
    """One cell of the table.

    Attributes:
        text: Number as it is shown; empty = an empty cell.
        more: Text behind it, e.g. ± sd.
        small: Text on a second line.
        sort: Value by which the column is sorted; None sorts last.
        mark: Drawing beside the text, as SVG.
        style: `best`, `second`, or a verdict.
    """

    text: str
    more: str = ""
    small: str = ""
    sort: float | str | None = None
    mark: str = ""
    style: str = ""


@dataclass(frozen=True, kw_only=True)
class VerdictRow:
    """A row: arm, what it fixes and the baseline does not, verdict, link to its cells, entries."""

    arm: str
    changes: tuple[str, ...]
    verdict: str
    link: str
    entries: tuple[VerdictEntry, ...]


@dataclass(frozen=True, kw_only=True)
class VerdictTable:
    """Columns, and a line per arm with an entry per column."""

    columns: tuple[VerdictColumn, ...]
    lines: tuple[VerdictRow, ...]

    @property
    def groups(self) -> list[tuple[str, list[VerdictColumn]]]:
        """The columns by metric, for the chooser."""
        found: dict[str, list[VerdictColumn]] = {}
        for column in self.columns:
            found.setdefault(column.group, []).append(column)
        return list(found.items())


ALL_CONFIRMED = "#arm=&phase=confirm"  # the fragment of what was made from all arms at once


def link_to_arm(arm: str, phase: str = "confirm") -> str:
    """Return the fragment of the page's address that opens an arm's cells."""
    return "#" + urlencode({"arm": arm, "phase": phase})


def verdict_table(comparison: Comparison, table: Table, *, embargoed: bool = False) -> VerdictTable:
    """Return all columns of all metrics, the primary one's first and shown.

    Args:
        comparison: Comparison of the arms.
        table: Table of the same comparison.
        embargoed: Whether test metrics are under embargo: then every verdict is "sealed".
    """
    by_metric = {heading.metric: _metric_columns(heading) for heading in table.header}
    # One scale per metric, so that the intervals of a column can be compared by eye.
    scales = {
        h.metric: scale_of(
            v
            for e in comparison.estimates
            if e.metric == h.metric
            for v in (e.delta, e.ci_low, e.ci_high)
        )
        for h in table.header
    }
    margins = {m.name: m.margin for m in comparison.metrics}
    lines = []
    for row in table.rows:
        entries: list[VerdictEntry] = []
        words = "sealed" if embargoed else verdict_words(comparison, row.arm)
        for heading, cell in zip(table.header, row.cells, strict=True):
            scale, margin = scales[heading.metric], margins[heading.metric]
            found = _entries_by_part(heading, cell, scale, margin, words)
            entries += [found[column.part] for column in by_metric[heading.metric]]
        lines.append(
            VerdictRow(
                arm=row.arm,
                changes=changes_from_baseline(comparison.facts, row.arm),
                verdict=words.split(":")[0],
                link=link_to_arm(row.arm),
                entries=tuple(entries),
            )
        )
    return VerdictTable(columns=tuple(chain.from_iterable(by_metric.values())), lines=tuple(lines))


# Part of a column's id, its title, its name in the chooser, its kind, its second line.
_PARTS = (
    ("mean", "", "mean ± sd", "value", ""),
    ("delta", "Difference", "difference", "delta", "95 % interval"),
    ("verdict", "Verdict", "verdict", "verdict", ""),
    ("p_holm", "p, Holm", "p, Holm-corrected", "number", ""),
    ("p_better", "P(better)", "P(better)", "number", ""),
    ("g", "Effect size", "effect size", "number", ""),
    ("p", "p", "p, uncorrected", "number", "uncorrected"),
    ("bca", "Seeds only", "interval over seeds", "number", "95 % BCa interval"),
    ("p_equivalent", "p, equivalence", "p, equivalence", "number", ""),
    ("n", "Seeds", "seeds", "number", ""),
)
_SECONDARY = ("mean", "delta", "p")  # parts of a metric that carries no verdict
_SHOWN = ("mean", "delta", "p_holm", "p_better", "g", "verdict")  # parts of the primary metric


def _metric_columns(h: Heading) -> list[VerdictColumn]:
    titles = {"mean": f"{h.label} {h.arrow}"}
    if not h.primary:
        titles |= {"delta": f"Δ {h.label}", "p": f"p {h.label}"}
    return [
        VerdictColumn(
            id=f"{h.metric}.{part}",
            part=part,
            title=titles.get(part, title),
            small=small,
            group=h.label,
            name=name,
            shown=h.primary and part in _SHOWN,
            kind=kind,
        )
        for part, title, name, kind, small in _PARTS
        if h.primary or part in _SECONDARY
    ]


def _entries_by_part(
    h: Heading, cell: TableCell, scale: Scale, margin: float | None, words: str
) -> dict[str, VerdictEntry]:
    e = cell.estimate
    found = {
        "mean": VerdictEntry(
            text=format_number(e.mean, h.decimals) if e.mean is not None else "",
            more=f"± {format_number(e.sd, h.decimals)}" if e.sd is not None else "",
            sort=e.mean,
            style=cell.rank or "",
        ),
        "verdict": _verdict_entry(words),
        "n": VerdictEntry(text=str(e.n), sort=e.n),
    }
    # The baseline has no difference from itself: empty cells, and not dashes for missing values.
    if e.delta is None:
        return {**dict.fromkeys((part for part, *_ in _PARTS), VerdictEntry(text="")), **found}
    style = (e.verdict or "") if h.primary else ""
    numbers = {
        "p_holm": (format_p(e.p_holm), e.p_holm),
        "p_better": (format_number(e.p_better, 2), e.p_better),
        "g": (format_number(e.hedges_g, 2, signed=True), e.hedges_g),
        "p": (format_p(e.p), e.p),
        "bca": (format_interval(e.bca_low, e.bca_high, h.decimals), e.bca_low),
        "p_equivalent": (format_p(e.p_equivalent), e.p_equivalent),
    }
    return {
        **found,
        "delta": VerdictEntry(
            text=format_number(e.delta, h.decimals, signed=True),
            small=format_interval(e.ci_low, e.ci_high, h.decimals),
            sort=e.delta,
            mark=draw_interval(scale, e.delta, e.ci_low, e.ci_high, margin=margin, verdict=style),
        ),
        **{part: VerdictEntry(text=text, sort=sort) for part, (text, sort) in numbers.items()},
    }


# Sorted by what a reader looks for, not by the alphabet; other words, as "no result", come last.
_ORDER = (
    Verdict.BETTER,
    Verdict.EQUIVALENT,
    Verdict.BASELINE,
    Verdict.UNDECIDED,
    Verdict.WORSE,
)


def _verdict_entry(words: str) -> VerdictEntry:
    head, _, reason = words.partition(": ")
    rank = _ORDER.index(head) if head in _ORDER else len(_ORDER)
    return VerdictEntry(
        text=head, small=reason, sort=rank, style=head if head in _ORDER else "none"
    )
