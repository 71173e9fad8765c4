"""The verdict table of the page: every column that a reader can choose, and what sorts it."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from reports.evidence.comparison import Comparison
from reports.evidence.estimates import Estimate
from reports.numerals import show, show_interval, show_p
from reports.page.field_names import changes_from_baseline
from reports.page.marks import Scale, draw_interval, scale_of
from reports.tables import Heading, Table, TableCell
from reports.wording import verdict_words


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of the table.

    Attributes:
        id: its name in the page.
        title, small: head, and a second line under it.
        group: label of its metric, for the chooser.
        name: what the chooser calls it.
        shown: at first.
        kind: `value`, `delta`, `number` or `verdict`.
        metric: name.
    """

    id: str
    title: str
    small: str
    group: str
    name: str
    shown: bool
    kind: str
    metric: str


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One cell of the table.

    Attributes:
        text: of the number; empty = nothing to say.
        more: behind it, e.g. ± sd.
        small: below it.
        sort: that the column is sorted by; None sorts last.
        mark: drawing beside the text.
        style: `best`, `second`, or a verdict.
    """

    text: str
    more: str = ""
    small: str = ""
    sort: float | str | None = None
    mark: str = ""
    style: str = ""


@dataclass(frozen=True, kw_only=True)
class Line:
    """A row: arm, its number, what it fixes and the baseline does not, verdict, entries."""

    arm: str
    place: int
    changes: tuple[str, ...]
    verdict: str
    link: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True, kw_only=True)
class VerdictTable:
    """Columns, and a line an arm with an entry a column."""

    columns: tuple[Column, ...]
    lines: tuple[Line, ...]

    @property
    def groups(self) -> list[tuple[str, list[Column]]]:
        """The columns by metric, for the chooser."""
        found: dict[str, list[Column]] = {}
        for column in self.columns:
            found.setdefault(column.group, []).append(column)
        return list(found.items())


ALL_CONFIRMED = "#arm=&phase=confirm"  # the fragment of what was made from all arms at once


def link_to_arm(arm: str, phase: str = "confirm") -> str:
    """The fragment that opens an arm's cells."""
    return "#" + urlencode({"arm": arm, "phase": phase})


def verdict_table(comparison: Comparison, table: Table, *, sealed: bool = False) -> VerdictTable:
    """All columns of all metrics, the primary one's first and shown.

    Of a sealed study every verdict is sealed, not missing.
    """
    columns: list[Column] = []
    for heading in table.header:
        columns += _columns(heading)
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
    for place, row in enumerate(table.rows):
        entries: list[Entry] = []
        words = "sealed" if sealed else verdict_words(comparison, row.arm)
        for heading, cell in zip(table.header, row.cells, strict=True):
            scale, margin = scales[heading.metric], margins[heading.metric]
            entries += _entries(heading, cell, scale, margin, words)
        lines.append(
            Line(
                arm=row.arm,
                place=place,
                changes=changes_from_baseline(comparison.facts, row.arm),
                verdict=words.split(":")[0],
                link=link_to_arm(row.arm),
                entries=tuple(entries),
            )
        )
    return VerdictTable(columns=tuple(columns), lines=tuple(lines))


def _columns(h: Heading) -> list[Column]:
    def column(part: str, title: str, name: str, kind: str, *, small: str = "") -> Column:
        return Column(
            id=f"{h.metric}.{part}",
            title=title,
            small=small,
            group=h.label,
            name=name,
            shown=h.primary and part in ("mean", "delta", "p_holm", "p_better", "g", "verdict"),
            kind=kind,
            metric=h.metric,
        )

    of = "" if h.primary else h.label
    found = [
        column("mean", f"{h.label} {h.arrow}", "mean ± sd", "value"),
        column("delta", f"Δ {of}" if of else "Difference", "difference", "delta",
               small="95 % interval"),
    ]  # fmt: skip
    if h.primary:
        found += [
            column("verdict", "Verdict", "verdict", "verdict"),
            column("p_holm", "p, Holm", "p, Holm-corrected", "number"),
            column("p_better", "P(better)", "P(better)", "number"),
            column("g", "Effect size", "effect size", "number"),
        ]
    found.append(column("p", f"p {of}".strip(), "p, uncorrected", "number", small="uncorrected"))
    if h.primary:
        found += [
            column("bca", "Seeds only", "interval over seeds", "number", small="95 % BCa interval"),
            column("p_equivalent", "p, equivalence", "p, equivalence", "number"),
            column("n", "Seeds", "seeds", "number"),
        ]
    return found


def _entries(
    h: Heading, cell: TableCell, scale: Scale, margin: float | None, words: str
) -> list[Entry]:
    e = cell.estimate
    style = (e.verdict or "") if h.primary else ""
    entries = [
        Entry(
            text=show(e.mean, h.decimals) if e.mean is not None else "",
            more=f"± {show(e.sd, h.decimals)}" if e.sd is not None else "",
            sort=e.mean,
            style=cell.rank or "",
        ),
        Entry(
            text=show(e.delta, h.decimals, signed=True),
            small=show_interval(e.ci_low, e.ci_high, h.decimals),
            sort=e.delta,
            mark=draw_interval(scale, e.delta, e.ci_low, e.ci_high, margin=margin, verdict=style),
        )
        if e.delta is not None
        else Entry(text=""),
    ]
    if h.primary:
        entries += [
            _verdict(words),
            _number(e, show_p(e.p_holm), e.p_holm),
            _number(e, show(e.p_better, 2), e.p_better),
            _number(e, show(e.hedges_g, 2, signed=True), e.hedges_g),
        ]
    entries.append(_number(e, show_p(e.p), e.p))
    if h.primary:
        entries += [
            _number(e, show_interval(e.bca_low, e.bca_high, h.decimals), e.bca_low),
            _number(e, show_p(e.p_equivalent), e.p_equivalent),
            Entry(text=str(e.n), sort=e.n),
        ]
    return entries


def _number(estimate: Estimate, text: str, sort: float | None) -> Entry:
    return Entry(text=text, sort=sort) if estimate.delta is not None else Entry(text="")


_ORDER: Sequence[str] = ("better", "equivalent", "baseline", "undecided", "worse")


def _verdict(words: str) -> Entry:
    head, _, reason = words.partition(": ")
    rank = _ORDER.index(head) if head in _ORDER else len(_ORDER)
    return Entry(text=head, small=reason, sort=rank, style=head if head in _ORDER else "none")
