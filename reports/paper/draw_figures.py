"""The figures of a paper, drawn by matplotlib from the same data as those of the page.

The page draws the same figures once more, with plotly (`reports/page/figures/`). Plotly needs a
browser to write a PDF, and matplotlib none, so a paper is made wherever a study runs.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from reports.evidence.values import Effect, Matrix, Number, ShapleyValue
from reports.figures.arm_data import ArmsData, LearningData
from reports.figures.tuning_data import ImportanceData
from reports.numerals import format_number
from reports.paper.figure_style import (
    COLOURS,
    COLUMN,
    DASHES,
    INK,
    LINES,
    MARKERS,
    OPEN,
    PAGE,
    SOFT,
    disable_math,
    name_rows,
    new_figure,
    row_height,
    wrap_name,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAMES = 24  # characters of a name in a line
_BANDS = 4  # learning curves up to which ranges are drawn; more would hide one another


def draw_delta(data: ArmsData) -> "Figure":
    """Draw a forest plot of the differences from the baseline."""
    figure, axes = _column_of_rows(_arm_names(data))
    _draw_forest(axes, data)
    return figure


def draw_seeds(data: ArmsData) -> "Figure":
    """Draw every confirm seed as a dot, the mean as a bar."""
    figure, axes = _column_of_rows(_arm_names(data))
    _draw_dots(axes, data)
    return figure


def draw_results(data: ArmsData) -> "Figure":
    """Draw seeds and differences side by side across the page, with the names once."""
    names = _arm_names(data)
    width = 34
    figure, (left, right) = new_figure(PAGE, 0.55 + row_height(names, width), 2)
    _draw_dots(left, data)
    _draw_forest(right, data)
    name_rows(left, names, width)
    # The right one gets the same rows, so that they stay level, but not the names again.
    name_rows(right, names, width)
    right.set_yticklabels([])
    return figure


def draw_effects(main: Sequence[Effect], interactions: Sequence[Effect], label: str) -> "Figure":
    """Draw main effects, and below them interactions, with their intervals."""
    effects = [*main, *interactions]
    names = [" \N{MULTIPLICATION SIGN} ".join(effect.factors) for effect in effects]
    figure, axes = _column_of_rows(names)
    axes.axvline(0, color=INK, linewidth=0.7)
    for y, effect in enumerate(effects):
        filled = y < len(main)
        ends = (effect.estimate, effect.low, effect.high)
        _draw_estimate(axes, y, ends, "o" if filled else "D", filled)
    if main and interactions:
        axes.axhline(len(main) - 0.5, color=SOFT, linewidth=0.4)
    axes.set_xlabel(f"effect on {label}")
    disable_math([axes.xaxis.label])
    return figure


def draw_shapley(values: Sequence[ShapleyValue], label: str) -> "Figure":
    """Draw each module's share, with its interval."""
    names = [value.factor for value in values]
    figure, axes = _column_of_rows(names)
    axes.axvline(0, color=INK, linewidth=0.7)
    for y, value in enumerate(values):
        axes.barh(y, value.value, height=0.55, color="#9ecae1", edgecolor=INK, linewidth=0.5)
        if value.low is not None and value.high is not None:
            axes.plot([value.low, value.high], [y, y], color=INK, linewidth=1)
    axes.set_xlabel(f"Shapley value, {label}")
    disable_math([axes.xaxis.label])
    return figure


def draw_matrix(matrix: Matrix, label: str, higher_is_better: bool, decimals: int) -> "Figure":
    """Draw means as numbers on a heat map; the better, the darker."""
    import numpy as np

    wide = len(matrix.columns) > 5
    means = np.array(
        [[np.nan if mean is None else mean for mean in row] for row in matrix.means], dtype=float
    )
    figure, (axes,) = new_figure(PAGE if wide else COLUMN, 0.75 + 0.27 * len(matrix.rows))
    known = means[np.isfinite(means)]
    low, high = (known.min(), known.max()) if known.size else (0.0, 1.0)
    # One value alone lies in the middle of the scale, and no share below divides by 0.
    if low == high:
        low, high = low - 1, high + 1
    shades = "Blues" if higher_is_better else "Blues_r"
    image = axes.pcolormesh(means, cmap=shades, vmin=low, vmax=high, edgecolors="white")
    axes.invert_yaxis()
    for row, column in np.ndindex(*means.shape):
        mean = means[row, column]
        share = (mean - low) / (high - low)
        dark = np.isfinite(mean) and (share if higher_is_better else 1 - share) > 0.6
        axes.text(
            column + 0.5,
            row + 0.5,
            format_number(float(mean) if np.isfinite(mean) else None, decimals),
            ha="center",
            va="center",
            fontsize=7,
            color="white" if dark else INK,
        )
    axes.set_xticks(
        np.arange(len(matrix.columns)) + 0.5, [wrap_name(name, 10) for name in matrix.columns]
    )
    axes.set_yticks(
        np.arange(len(matrix.rows)) + 0.5, [wrap_name(name, 16) for name in matrix.rows]
    )
    axes.set_xlabel(matrix.column_factor)
    axes.set_ylabel(matrix.row_factor)
    disable_math(
        [*axes.get_xticklabels(), *axes.get_yticklabels(), axes.xaxis.label, axes.yaxis.label]
    )
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    bar = figure.colorbar(image, ax=axes, pad=0.02, aspect=14)
    bar.set_label(f"mean {label}")
    disable_math([bar.ax.yaxis.label])
    bar.outline.set_linewidth(0.4)
    return figure


def draw_learning(data: LearningData) -> "Figure":
    """Draw mean validation curves; of a few arms also the range over seeds."""
    from matplotlib.ticker import MaxNLocator

    rows = -(-len(data.curves) // 2)
    figure, (axes,) = new_figure(COLUMN, 1.9 + 0.16 * rows)
    for number, curve in enumerate(data.curves):
        known = [(epoch, mean) for epoch, mean in enumerate(curve.mean, 1) if mean is not None]
        colour = LINES[number % len(LINES)]
        axes.plot(
            [epoch for epoch, _ in known],
            [mean for _, mean in known],
            color=colour,
            linestyle=DASHES[number % len(DASHES)],
            label=wrap_name(curve.arm, NAMES),
        )
        ranged = [
            (epoch, low, high)
            for epoch, (low, high) in enumerate(zip(curve.low, curve.high, strict=True), 1)
            if low is not None and high is not None
        ]
        if len(data.curves) <= _BANDS and ranged:
            epochs, lows, highs = zip(*ranged, strict=True)
            axes.fill_between(epochs, lows, highs, color=colour, alpha=0.12, linewidth=0)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.set_xlabel("epoch")
    axes.set_ylabel(f"validation {data.label}")
    disable_math([axes.yaxis.label])
    axes.grid(linewidth=0.4, color="#dddddd")
    axes.set_axisbelow(True)
    legend = figure.legend(loc="outside lower center", ncols=2, handlelength=2.6)
    disable_math(legend.get_texts())
    return figure


def draw_importance(data: Sequence[ImportanceData]) -> "Figure":
    """Draw a row per field and a mark per arm; intervals where there are few arms."""
    shares: dict[str, list[float]] = {}
    labels: dict[str, str] = {}
    for arm in data:
        for label, bar in zip(arm.labels, arm.bars, strict=True):
            shares.setdefault(bar.field, []).append(bar.value)
            labels[bar.field] = label
    # By the mean over all arms: a field that an arm did not search has no share in it.
    ordered = sorted(shares, key=lambda path: (-sum(shares[path]) / len(data), path))
    names = [labels[path] for path in ordered]
    step = min(0.16, 0.7 / max(1, len(data)))
    few = len(data) <= len(LINES)
    height = max(row_height(names, NAMES), len(names) * (0.12 + 0.09 * min(len(data), 8)))
    # A legend of more arms than there are colours would tell nothing apart, so all are grey then.
    figure, (axes,) = new_figure(COLUMN, 0.55 + height + (0.16 * -(-len(data) // 2) if few else 0))
    centres = {path: y for y, path in enumerate(ordered)}
    for number, arm in enumerate(data):
        offset = (number - (len(data) - 1) / 2) * step
        colour = LINES[number % len(LINES)] if few else SOFT
        for bar in arm.bars:
            y = centres[bar.field] + offset
            if few and bar.low is not None and bar.high is not None:
                axes.plot([bar.low, bar.high], [y, y], color=colour, linewidth=0.8)
        axes.plot(
            [bar.value for bar in arm.bars],
            [centres[bar.field] + offset for bar in arm.bars],
            linestyle="",
            marker="osD^vPX*"[number % 8] if few else "o",
            markersize=3.5 if few else 2.5,
            color=colour,
            markerfacecolor="white" if few and number % 2 else colour,
            label=wrap_name(arm.arm, NAMES),
        )
    axes.set_xlim(-0.02, 1.02)
    axes.set_xlabel("share of the spread of validation values")
    name_rows(axes, names, NAMES)
    if few:
        legend = figure.legend(loc="outside lower center", ncols=2, handletextpad=0.2)
        disable_math(legend.get_texts())
    return figure


def _arm_names(data: ArmsData) -> list[str]:
    return [row.estimate.arm for row in data.rows]


def _column_of_rows(names: Sequence[str]) -> "tuple[Figure, Axes]":
    """Return a figure of a column's width with a row per name, and its axes."""
    figure, (axes,) = new_figure(COLUMN, 0.55 + row_height(names, NAMES))
    name_rows(axes, names, NAMES)
    return figure, axes


def _draw_forest(axes: "Axes", data: ArmsData) -> None:
    if data.margin is not None:
        axes.axvspan(-data.margin, data.margin, color="#e6eef5", linewidth=0, zorder=0)
    axes.axvline(0, color=INK, linewidth=0.7, zorder=1)
    for y, row in enumerate(data.rows):
        estimate, verdict = row.estimate, row.verdict
        _draw_estimate(
            axes,
            y,
            (estimate.delta, estimate.ci_low, estimate.ci_high),
            MARKERS[verdict],
            verdict not in OPEN,
            COLOURS[verdict],
        )
    _label_sides(axes, f"Δ {data.label}", data.better)


def _draw_dots(axes: "Axes", data: ArmsData) -> None:
    if data.reference is not None:
        axes.axvline(data.reference, color=INK, linewidth=0.6, linestyle=":")
    for y, row in enumerate(data.rows):
        colour, values = COLOURS[row.verdict], list(row.seed_values.values())
        axes.plot(
            values,
            [y] * len(values),
            linestyle="",
            marker="o",
            markersize=3.2,
            markerfacecolor="none",
            markeredgewidth=0.7,
            color=colour,
        )
        if row.estimate.mean is not None:
            axes.plot([row.estimate.mean] * 2, [y - 0.3, y + 0.3], color=colour, linewidth=1.8)
    _label_sides(axes, data.label, data.better)


def _draw_estimate(
    axes: "Axes",
    y: int,
    estimate: tuple[Number, Number, Number],
    marker: str,
    filled: bool,
    colour: str = INK,
) -> None:
    """Draw a value with the line between the ends of its interval."""
    value, low, high = estimate
    if value is None:
        return
    if low is not None and high is not None:
        axes.plot([low, high], [y, y], color=colour, linewidth=1.2, zorder=2)
    axes.plot(
        [value],
        [y],
        marker=marker,
        markersize=4.5,
        color=colour,
        markerfacecolor=colour if filled else "white",
        zorder=3,
    )


def _label_sides(axes: "Axes", label: str, better: str) -> None:
    sides = ("better", "worse") if better == "left" else ("worse", "better")
    axes.set_xlabel(f"← {sides[0]}    {label}    {sides[1]} →")
    disable_math([axes.xaxis.label])
