"""Figures of arms against the baseline, as plotly's JSON.

The paper has the same figures in `reports/paper/draw_figures.py`, drawn by matplotlib: a paper is
then made without a browser, which plotly needs to write a PDF.
"""

from reports.evidence.verdicts import Verdict
from reports.figures.arm_data import ArmsData, BetterSide, LearningData
from reports.page.figures.base import (
    DASHES,
    LINE_COLOURS,
    SYMBOLS,
    Figure,
    make_layout,
    round_significant,
    shorten_text,
    wrap_text,
)

ROW_PIXELS = 48
MOST_BANDS = 2  # arms up to which bands are drawn; more would hide one another
LABEL_WIDTH = 34  # characters; what fits on a phone


def draw_delta(data: ArmsData) -> Figure:
    """Draw a forest plot: each arm's difference, its two-level interval, and a line at zero."""
    figure = _empty_rows(data)
    shapes = figure["layout"]["shapes"]
    if data.margin is not None:
        shapes.append(
            {"type": "rect", "yref": "paper", "x0": -data.margin, "x1": data.margin, "y0": 0,
             "y1": 1, "fillcolor": "@equivalent/0.12", "line": {"width": 0}, "layer": "below"}
        )  # fmt: skip
    shapes.append(_vertical_line(0.0, "solid"))
    for y, row in enumerate(data.rows):
        estimate, verdict = row.estimate, row.verdict
        if estimate.delta is None:
            continue
        text = wrap_text(estimate.arm, 50) + (
            "<br>baseline" if verdict == Verdict.BASELINE else f"<br>Δ {estimate.delta:+.4g}"
        )
        trace: Figure = {
            "type": "scatter",
            "mode": "markers",
            "x": [round_significant(estimate.delta)],
            "y": [y],
            "marker": {"symbol": SYMBOLS[verdict], "size": 11, "color": f"@{verdict}",
                       "line": {"width": 2, "color": f"@{verdict}"}},
            "hoverinfo": "text",
            # `figures.js` makes a link of it: a point leads to the cells that it was made from.
            "meta": {"arm": row.arm_index, "phase": "confirm"},
        }  # fmt: skip
        low, high = estimate.ci_low, estimate.ci_high
        if low is not None and high is not None:
            text += f"<br>95 %: {low:+.4g} to {high:+.4g}"
            trace["error_x"] = {
                "type": "data",
                "symmetric": False,
                "array": [round_significant(high - estimate.delta)],
                "arrayminus": [round_significant(estimate.delta - low)],
                "thickness": 2.5,
                "width": 5,
                "color": f"@{verdict}",
            }
        trace["text"] = [text]
        figure["data"].append(trace)
    figure["layout"]["xaxis"]["range"] = _difference_range(data)
    _label_sides(figure, f"Δ {data.label}", data.better)
    return figure


def draw_seeds(data: ArmsData) -> Figure:
    """Draw every confirm seed as a dot, each arm's mean as a bar, the baseline's as a line."""
    figure = _empty_rows(data)
    if data.reference is not None:
        figure["layout"]["shapes"].append(_vertical_line(data.reference, "dot"))
    for y, row in enumerate(data.rows):
        colour = f"@{row.verdict}"
        figure["data"].append(
            {"type": "scatter", "mode": "markers",
             "x": [round_significant(value) for value in row.seed_values.values()],
             "y": [y] * len(row.seed_values), "customdata": list(row.seed_values),
             "marker": {"size": 9, "opacity": 0.6, "color": colour, "line": {"width": 0}},
             "hovertemplate": "seed %{customdata}: %{x:.4g}<extra></extra>",
             "meta": {"arm": row.arm_index, "phase": "confirm", "by": "seed"}}
        )  # fmt: skip
        if row.estimate.mean is not None:
            figure["data"].append(
                {"type": "scatter", "mode": "markers",
                 "x": [round_significant(row.estimate.mean)], "y": [y],
                 "marker": {"symbol": "line-ns-open", "size": 18, "color": colour,
                            "line": {"width": 3, "color": colour}},
                 "hovertemplate": "mean %{x:.4g}<extra></extra>",
                 "meta": {"arm": row.arm_index, "phase": "confirm"}}
            )  # fmt: skip
    _label_sides(figure, data.label, data.better)
    return figure


def draw_learning(data: LearningData) -> Figure:
    """Draw each arm's mean over its confirm cells, and a band from the lowest to the highest."""
    figure: Figure = {
        "data": [],
        "layout": make_layout(340, x="epoch", y=f"{data.label}, validation"),
    }
    banded = len(data.curves) <= MOST_BANDS
    for number, (curve, arm_index) in enumerate(zip(data.curves, data.arm_indices, strict=True)):
        colour = LINE_COLOURS[number % len(LINE_COLOURS)]
        epochs = list(range(1, len(curve.mean) + 1))
        meta = {"arm": arm_index, "phase": "confirm", "label": curve.arm}
        if banded:
            kept = [
                (e, low, high)
                for e, low, high in zip(epochs, curve.low, curve.high, strict=True)
                if low is not None and high is not None
            ]
            # One closed shape: there along the highest values and back along the lowest.
            figure["data"].append(
                {"type": "scatter", "mode": "lines", "hoverinfo": "skip", "showlegend": False,
                 "x": [e for e, _, _ in kept] + [e for e, _, _ in reversed(kept)],
                 "y": [round_significant(h, 5) for _, _, h in kept]
                 + [round_significant(low, 5) for _, low, _ in reversed(kept)],
                 "fill": "toself", "fillcolor": f"{colour}/0.16", "line": {"width": 0}}
            )  # fmt: skip
        figure["data"].append(
            {"type": "scatter", "mode": "lines", "name": shorten_text(curve.arm), "x": epochs,
             "y": [round_significant(value, 5) for value in curve.mean],
             "customdata": list(curve.cells),
             "line": {"color": colour, "width": 2, "dash": DASHES[number % len(DASHES)]},
             "hovertemplate": "epoch %{x}: %{y:.4g} (%{customdata} cells)",
             "meta": meta}
        )  # fmt: skip
    return figure


def _empty_rows(data: ArmsData) -> Figure:
    """Return a figure without data that has one row per arm, labelled."""
    return {
        "data": [],
        "layout": make_layout(
            68 + ROW_PIXELS * len(data.rows),
            margin={"l": 8, "r": 12, "t": 8, "b": 60},
            shapes=[],
            # The label is above its row and not left of the axis, where a phone has no room.
            annotations=[
                {"x": 0, "xref": "paper", "xanchor": "left", "y": y, "yshift": 5,
                 "yanchor": "bottom", "align": "left", "showarrow": False,
                 "text": f"<b>{shorten_text(row.estimate.arm, LABEL_WIDTH)}</b>  {row.verdict}",
                 "font": {"size": 13, "color": "@ink"}}
                for y, row in enumerate(data.rows)
            ],
            y_more={"range": [len(data.rows) - 0.6, -0.6],
                    "visible": False, "fixedrange": True},
        ),
    }  # fmt: skip


def _difference_range(data: ArmsData) -> list[float]:
    """Return ends of the axis that hold all intervals, 0 and the margin, with room beside them."""
    margin = data.margin or 0.0
    estimates = [row.estimate for row in data.rows]
    ends = [v for e in estimates for v in (e.delta, e.ci_low, e.ci_high) if v is not None]
    low, high = min([-margin, 0.0, *ends]), max([margin, 0.0, *ends])
    # All are 0 where the baseline stands alone, and an axis from 0 to 0 can't be drawn.
    room = 0.06 * ((high - low) or 1.0)
    return [low - room, high + room]


def _vertical_line(x: float, dash: str) -> Figure:
    return {
        "type": "line", "yref": "paper", "x0": x, "x1": x, "y0": 0, "y1": 1, "layer": "below",
        "line": {"width": 1.5, "color": "@soft", "dash": dash},
    }  # fmt: skip


def _label_sides(figure: Figure, label: str, better: BetterSide) -> None:
    sides = ("← better", "worse →") if better == "left" else ("← worse", "better →")
    text = f"{sides[0]}   {shorten_text(label)}   {sides[1]}"
    figure["layout"]["xaxis"]["title"]["text"] = text
