"""Figures of what tuning bought, as plotly's JSON."""

from typing import Literal

from reports.figures.budget_data import BudgetData, ParetoData
from reports.page.figures.base import (
    DASHES,
    LINE_COLOURS,
    Figure,
    make_layout,
    round_significant,
    shorten_text,
)

# Lines differ in marks and dashes too: colours alone are not told apart by all readers.
MARKS = ("circle", "square", "diamond", "triangle-up", "triangle-down", "x", "cross", "star")


def draw_budget(data: BudgetData) -> Figure:
    """Draw a line per arm; every point is a candidate."""
    traces = []
    for number, line in enumerate(data.lines):
        colour = LINE_COLOURS[number % len(LINE_COLOURS)]
        shape: Literal["hv", "linear"] = "hv" if data.steps else "linear"
        traces.append(
            {"type": "scatter", "mode": "lines+markers", "name": shorten_text(line.arm),
             "x": [round_significant(x, 4) for x in line.x],
             "y": [round_significant(y, 5) for y in line.y],
             "line": {"color": colour, "width": 2, "shape": shape,
                      "dash": DASHES[number % len(DASHES)]},
             "marker": {"symbol": MARKS[number % len(MARKS)], "size": 6, "color": colour},
             "hovertemplate": "%{x:.4g}: %{y:.4g}",
             "meta": {"arm": line.arm_index, "phase": "tune", "label": line.arm}}
        )  # fmt: skip
    figure: Figure = {"data": traces, "layout": make_layout(330, x=data.x_label, y=data.y_label)}
    return figure


def draw_pareto(data: ParetoData) -> Figure:
    """Draw a front per arm; a filled mark is the candidate that was tested."""
    traces = []
    for number, (arm, arm_index, points) in enumerate(data.arms):
        colour = LINE_COLOURS[number % len(LINE_COLOURS)]
        mark = MARKS[number % len(MARKS)]
        # Along the second objective, or the line would zigzag over the front.
        ordered = sorted(points, key=lambda p: p.second or 0.0)
        traces.append(
            {"type": "scatter", "mode": "lines+markers", "name": shorten_text(arm),
             "x": [round_significant(p.second) for p in ordered],
             "y": [round_significant(p.value) for p in ordered],
             "customdata": [p.number for p in ordered],
             "line": {"color": colour, "width": 1.5, "dash": DASHES[number % len(DASHES)]},
             "marker": {"symbol": [mark if p.confirmed else f"{mark}-open" for p in ordered],
                        "size": [13 if p.confirmed else 8 for p in ordered], "color": colour},
             "hovertemplate": "candidate %{customdata}<br>%{x:.4g}, %{y:.4g}",
             "meta": {"arm": arm_index, "phase": "tune", "by": "candidate", "label": arm}}
        )  # fmt: skip
    figure: Figure = {"data": traces, "layout": make_layout(340, x=data.x_label, y=data.y_label)}
    return figure
