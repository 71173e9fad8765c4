"""Tables whose cells are coloured by what they hold: pairs of factors, interactions, slices."""

from dataclasses import dataclass

from reports.evidence.comparison import Comparison
from reports.evidence.values import Evidence, FactorialEffects, Matrix
from reports.numerals import MISSING, show, show_interval
from reports.page.verdict_table import ALL_CONFIRMED, link_to_arm
from reports.wording import primary_decimals

_PALE = 0.3  # of the colour, where an interval holds 0: it may be noise


@dataclass(frozen=True, kw_only=True)
class HeatCell:
    """One cell.

    Attributes:
        text, small: number, and a second line.
        tint: -1 (worst) to 1 (best); 0 = no colour.
        link: fragment of its cells; empty = none.
        strong: the best of the table, or an interval without 0.
    """

    text: str
    small: str = ""
    tint: float = 0.0
    link: str = ""
    strong: bool = False

    @property
    def style(self) -> str:
        """Inline style: how much of the colour."""
        if not self.tint:
            return ""
        name = "better" if self.tint > 0 else "worse"
        share = round(6 + 30 * min(1.0, abs(self.tint)))
        return f"background: color-mix(in srgb, var(--{name}) {share}%, transparent)"


@dataclass(frozen=True, kw_only=True)
class HeatTable:
    """A table.

    Attributes:
        caption: what it shows.
        corner: head of the first column.
        groups: (label, columns) over the columns; empty = none.
        columns: heads, each with a second line.
        rows: (head, cells).
    """

    caption: str
    corner: str
    groups: tuple[tuple[str, int], ...]
    columns: tuple[tuple[str, str], ...]
    rows: tuple[tuple[str, tuple[HeatCell, ...]], ...]


def matrix_tables(evidence: Evidence, comparison: Comparison) -> tuple[HeatTable, ...]:
    """Two factors against each other, coloured from the worst mean to the best."""
    return tuple(_matrix(matrix, comparison) for matrix in evidence.matrices)


def interaction_table(effects: FactorialEffects, comparison: Comparison) -> HeatTable:
    """Interactions, each in the row of one factor and the column of the other."""
    decimals = primary_decimals(comparison)
    sign = 1.0 if comparison.primary.higher_is_better else -1.0
    found = {frozenset(effect.factors): effect for effect in effects.interactions}
    largest = max((abs(e.estimate) for e in effects.interactions), default=0.0) or 1.0

    def cell(row: str, column: str) -> HeatCell:
        effect = found.get(frozenset((row, column)))
        if effect is None or row == column:
            return HeatCell(text="")
        clear = effect.low is not None and effect.high is not None
        apart = clear and ((effect.low or 0) > 0 or (effect.high or 0) < 0)
        return HeatCell(
            text=show(effect.estimate, decimals, signed=True),
            small=show_interval(effect.low, effect.high, decimals) if clear else "",
            tint=sign * effect.estimate / largest * (1.0 if apart else _PALE),
            link=ALL_CONFIRMED,
            strong=apart,
        )

    # A triangle: the other half says the same.
    return HeatTable(
        caption="How much one module changes what the other one does.",
        corner="Module",
        groups=(),
        columns=tuple((factor, "") for factor in effects.factors[:-1]),
        rows=tuple(
            (
                row,
                tuple(
                    cell(row, column) if place < number else HeatCell(text="")
                    for place, column in enumerate(effects.factors[:-1])
                ),
            )
            for number, row in enumerate(effects.factors)
            if number
        ),
    )


def slice_table(evidence: Evidence, comparison: Comparison) -> HeatTable:
    """Arms by slices of the test set: difference from the baseline, whose own means come first."""
    decimals = primary_decimals(comparison)
    sign = 1.0 if comparison.primary.higher_is_better else -1.0
    columns = list(dict.fromkeys((s.dimension, s.tag) for s in evidence.slices))
    dimensions = list(dict.fromkeys(dimension for dimension, _ in columns))
    columns = [c for dimension in dimensions for c in columns if c[0] == dimension]
    known = {(s.arm, s.dimension, s.tag): s for s in evidence.slices}
    sizes = {(s.dimension, s.tag): s.utterances for s in evidence.slices}
    largest = max((abs(s.delta) for s in evidence.slices if s.delta is not None), default=0) or 1.0

    def cell(arm: str, dimension: str, tag: str) -> HeatCell:
        found = known.get((arm, dimension, tag))
        if found is None or found.mean is None:
            return HeatCell(text=MISSING)
        if found.delta is None:
            return HeatCell(text=show(found.mean, decimals), link=link_to_arm(arm))
        clear = found.low is not None and found.high is not None
        apart = clear and ((found.low or 0) > 0 or (found.high or 0) < 0)
        return HeatCell(
            text=show(found.delta, decimals, signed=True),
            small=show_interval(found.low, found.high, decimals) if clear else "",
            tint=sign * found.delta / largest * (1.0 if apart else _PALE),
            link=link_to_arm(arm),
            strong=apart,
        )

    arms = [arm for arm in comparison.facts.arms if any(s.arm == arm for s in evidence.slices)]
    arms.sort(key=lambda arm: arm != comparison.facts.baseline)
    return HeatTable(
        caption="Difference from the baseline, slice by slice; its own means first.",
        corner="Arm",
        groups=tuple((d, sum(c[0] == d for c in columns)) for d in dimensions),
        columns=tuple((tag, f"n = {sizes[dimension, tag]:,}") for dimension, tag in columns),
        rows=tuple((arm, tuple(cell(arm, d, tag) for d, tag in columns)) for arm in arms),
    )


def _matrix(matrix: Matrix, comparison: Comparison) -> HeatTable:
    decimals = primary_decimals(comparison)
    sign = 1.0 if comparison.primary.higher_is_better else -1.0
    known = [m for row in matrix.means for m in row if m is not None]
    low, high = min(known, default=0.0), max(known, default=0.0)
    best = max((sign * m for m in known), default=None)

    def cell(mean: float | None, arm: str | None) -> HeatCell:
        if mean is None or arm is None:
            return HeatCell(text=MISSING)
        share = 2 * (mean - low) / (high - low) - 1 if high > low else 0.0
        return HeatCell(
            text=show(mean, decimals),
            tint=sign * share,
            link=link_to_arm(arm),
            strong=sign * mean == best,
        )

    return HeatTable(
        caption=f"{matrix.row_factor} by {matrix.column_factor}: mean {comparison.primary.label}"
        + (f" with {', '.join(matrix.beside)}." if matrix.beside else "."),
        corner=f"{matrix.row_factor} ↓  {matrix.column_factor} →",
        groups=(),
        columns=tuple((column, "") for column in matrix.columns),
        rows=tuple(
            (
                row,
                tuple(
                    cell(mean, arm)
                    for mean, arm in zip(matrix.means[place], matrix.arms[place], strict=True)
                ),
            )
            for place, row in enumerate(matrix.rows)
        ),
    )
