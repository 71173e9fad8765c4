"""Tables whose cells are coloured by their numbers: pairs of factors, interactions, slices."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from reports.evidence.comparison import Comparison
from reports.evidence.values import Evidence, FactorialEffects, Matrix, Number
from reports.numerals import MISSING, format_interval, format_number
from reports.page.verdict_table import ALL_CONFIRMED, link_to_arm
from reports.wording import primary_decimals

Column = TypeVar("Column")
_PALE = 0.3  # of the colour, where an interval holds 0: it may be noise


@dataclass(frozen=True, kw_only=True)
class HeatCell:
    """One cell.

    Attributes:
        text, small: Number, and text on a second line.
        tint: Colour, -1 (worst) to 1 (best); 0 = none.
        link: Fragment of the address that opens its cells; empty = none.
        strong: Whether it is the best of the table, or its interval excludes 0.
    """

    text: str
    small: str = ""
    tint: float = 0.0
    link: str = ""
    strong: bool = False

    @property
    def style(self) -> str:
        """Inline style that mixes the colour into the cell; empty without a colour."""
        if not self.tint:
            return ""
        name = "better" if self.tint > 0 else "worse"
        # At most 36 % of the colour: text on it keeps its contrast, on a light and a dark page.
        share = round(6 + 30 * min(1.0, abs(self.tint)))
        return f"background: color-mix(in srgb, var(--{name}) {share}%, transparent)"


@dataclass(frozen=True, kw_only=True)
class HeatTable:
    """A table.

    Attributes:
        caption: Sentence that describes the table.
        corner: Head of the first column.
        groups: Label and number of columns of each group above the heads; empty = no groups.
        columns: Head of each column, and its second line.
        rows: Head and cells of each row.
    """

    caption: str
    corner: str
    groups: tuple[tuple[str, int], ...] = ()
    columns: tuple[tuple[str, str], ...]
    rows: tuple[tuple[str, tuple[HeatCell, ...]], ...]


def matrix_tables(evidence: Evidence, comparison: Comparison) -> tuple[HeatTable, ...]:
    """Return a table per pair of factors, coloured from the worst mean to the best."""
    return tuple(_matrix_table(matrix, comparison) for matrix in evidence.matrices)


def interaction_table(effects: FactorialEffects, comparison: Comparison) -> HeatTable:
    """Return the interactions, each in the row of one factor and the column of the other."""
    decimals = primary_decimals(comparison)
    sign = 1.0 if comparison.primary.higher_is_better else -1.0
    found = {frozenset(effect.factors): effect for effect in effects.interactions}
    largest = max((abs(e.estimate) for e in effects.interactions), default=0.0) or 1.0

    def make_cell(row: str, column: str) -> HeatCell:
        effect = found.get(frozenset((row, column)))
        # A triangle: the other half holds the same numbers.
        if effect is None or effects.factors.index(column) >= effects.factors.index(row):
            return HeatCell(text="")
        share = sign * effect.estimate / largest
        return _difference_cell(
            effect.estimate, effect.low, effect.high, share, decimals, ALL_CONFIRMED
        )

    return HeatTable(
        caption="How much one module changes what the other one does.",
        corner="Module",
        columns=tuple((factor, "") for factor in effects.factors[:-1]),
        rows=_fill_rows(effects.factors[1:], effects.factors[:-1], make_cell),
    )


def slice_table(evidence: Evidence, comparison: Comparison) -> HeatTable:
    """Return arms by slices of the test set: differences from the baseline, after its own means."""
    decimals = primary_decimals(comparison)
    sign = 1.0 if comparison.primary.higher_is_better else -1.0
    columns = list(dict.fromkeys((s.dimension, s.tag) for s in evidence.slices))
    dimensions = list(dict.fromkeys(dimension for dimension, _ in columns))
    # Side by side by dimension, or a group's head would span columns of another one.
    columns = [c for dimension in dimensions for c in columns if c[0] == dimension]
    known = {(s.arm, s.dimension, s.tag): s for s in evidence.slices}
    sizes = {(s.dimension, s.tag): s.utterances for s in evidence.slices}
    largest = max((abs(s.delta) for s in evidence.slices if s.delta is not None), default=0) or 1.0

    def make_cell(arm: str, column: tuple[str, str]) -> HeatCell:
        found = known.get((arm, *column))
        if found is None or found.mean is None:
            return HeatCell(text=MISSING)
        if found.delta is None:
            return HeatCell(text=format_number(found.mean, decimals), link=link_to_arm(arm))
        share = sign * found.delta / largest
        return _difference_cell(
            found.delta, found.low, found.high, share, decimals, link_to_arm(arm)
        )

    arms = [arm for arm in comparison.facts.arms if any(s.arm == arm for s in evidence.slices)]
    # The baseline first: its cells are means, and those below are differences from them.
    arms.sort(key=lambda arm: arm != comparison.facts.baseline)
    return HeatTable(
        caption="Difference from the baseline, slice by slice; its own means first.",
        corner="Arm",
        groups=tuple((d, sum(c[0] == d for c in columns)) for d in dimensions),
        columns=tuple((tag, f"n = {sizes[dimension, tag]:,}") for dimension, tag in columns),
        rows=_fill_rows(arms, columns, make_cell),
    )


def _difference_cell(
    value: float, low: Number, high: Number, share: float, decimals: int, link: str
) -> HeatCell:
    """Return a cell with a difference and its interval, pale where the interval holds 0.

    Its full colour is `share`, -1 (worst) to 1 (best).
    """
    known = low is not None and high is not None
    apart = low is not None and high is not None and (low > 0 or high < 0)
    return HeatCell(
        text=format_number(value, decimals, signed=True),
        small=format_interval(low, high, decimals) if known else "",
        tint=share * (1.0 if apart else _PALE),
        link=link,
        strong=apart,
    )


def _matrix_table(matrix: Matrix, comparison: Comparison) -> HeatTable:
    decimals = primary_decimals(comparison)
    sign = 1.0 if comparison.primary.higher_is_better else -1.0
    known = [m for row in matrix.means for m in row if m is not None]
    low, high = min(known, default=0.0), max(known, default=0.0)
    best = max((sign * m for m in known), default=None)

    def make_cell(row: str, column: str) -> HeatCell:
        at = matrix.rows.index(row), matrix.columns.index(column)
        mean, arm = matrix.means[at[0]][at[1]], matrix.arms[at[0]][at[1]]
        if mean is None or arm is None:
            return HeatCell(text=MISSING)
        share = 2 * (mean - low) / (high - low) - 1 if high > low else 0.0
        return HeatCell(
            text=format_number(mean, decimals),
            tint=sign * share,
            link=link_to_arm(arm),
            strong=sign * mean == best,
        )

    return HeatTable(
        caption=f"{matrix.row_factor} by {matrix.column_factor}: mean {comparison.primary.label}"
        + (f" with {', '.join(matrix.beside)}." if matrix.beside else "."),
        corner=f"{matrix.row_factor} ↓  {matrix.column_factor} →",
        columns=tuple((column, "") for column in matrix.columns),
        rows=_fill_rows(matrix.rows, matrix.columns, make_cell),
    )


def _fill_rows(
    rows: Sequence[str], columns: Sequence[Column], make_cell: Callable[[str, Column], HeatCell]
) -> tuple[tuple[str, tuple[HeatCell, ...]], ...]:
    return tuple((row, tuple(make_cell(row, column) for column in columns)) for row in rows)
