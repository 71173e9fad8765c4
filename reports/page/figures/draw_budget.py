"""Figures of what tuning bought, as plotly's JSON: best so far, expected best of n, trade-offs."""

from collections.abc import Mapping, Sequence
from typing import Literal

from reports.evidence.comparison import Comparison
from reports.evidence.values import Evidence
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


def draw_anytime(evidence: Evidence, comparison: Comparison, arms: Sequence[str]) -> Figure:
    """Draw the best validation value so far against device-seconds, a line per arm."""
    lines = {curve.arm: (curve.seconds, curve.best) for curve in evidence.anytime}
    y = f"best {comparison.primary.label} so far, validation"
    # A best so far holds until the next one.
    return _draw_lines(comparison, arms, lines, "hv", x="device-seconds in tuning", y=y)


def draw_expected(evidence: Evidence, comparison: Comparison, arms: Sequence[str]) -> Figure:
    """Draw the expected validation value of the best of n candidates, a line per arm."""
    # `values[0]` is the expected best of one candidate.
    lines = {
        curve.arm: (range(1, len(curve.values) + 1), curve.values) for curve in evidence.expected
    }
    y = f"expected best {comparison.primary.label}, validation"
    return _draw_lines(comparison, arms, lines, "linear", x="candidates", y=y)


def draw_pareto(evidence: Evidence, comparison: Comparison, arms: Sequence[str]) -> Figure:
    """Draw a front per arm; a filled mark is the candidate that was tested."""
    traces = []
    present = {point.arm for point in evidence.fronts}
    for number, arm in enumerate(arm for arm in arms if arm in present):
        colour = LINE_COLOURS[number % len(LINE_COLOURS)]
        mark = MARKS[number % len(MARKS)]
        # Along the second objective, or the line would zigzag over the front.
        ordered = sorted(
            (point for point in evidence.fronts if point.arm == arm), key=lambda p: p.second or 0.0
        )
        traces.append(
            {"type": "scatter", "mode": "lines+markers", "name": shorten_text(arm),
             "x": [round_significant(p.second) for p in ordered],
             "y": [round_significant(p.value) for p in ordered],
             "customdata": [p.number for p in ordered],
             "line": {"color": colour, "width": 1.5, "dash": DASHES[number % len(DASHES)]},
             "marker": {"symbol": [mark if p.confirmed else f"{mark}-open" for p in ordered],
                        "size": [13 if p.confirmed else 8 for p in ordered], "color": colour},
             "hovertemplate": "candidate %{customdata}<br>%{x:.4g}, %{y:.4g}",
             "meta": {"arm": comparison.facts.arms.index(arm), "phase": "tune", "by": "candidate",
                      "label": arm}}
        )  # fmt: skip
    y = f"{comparison.primary.label}, validation"
    return {"data": traces, "layout": make_layout(340, x=evidence.second_label, y=y)}


def _draw_lines(
    comparison: Comparison,
    arms: Sequence[str],
    lines: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    shape: Literal["hv", "linear"],
    *,
    x: str,
    y: str,
) -> Figure:
    """Draw the lines of those of the arms that have one; every point is a candidate."""
    traces = []
    for number, arm in enumerate(arm for arm in arms if arm in lines):
        colour = LINE_COLOURS[number % len(LINE_COLOURS)]
        spent, values = lines[arm]
        traces.append(
            {"type": "scatter", "mode": "lines+markers", "name": shorten_text(arm),
             "x": [round_significant(value, 4) for value in spent],
             "y": [round_significant(value, 5) for value in values],
             "line": {"color": colour, "width": 2, "shape": shape,
                      "dash": DASHES[number % len(DASHES)]},
             "marker": {"symbol": MARKS[number % len(MARKS)], "size": 6, "color": colour},
             "hovertemplate": "%{x:.4g}: %{y:.4g}",
             "meta": {"arm": comparison.facts.arms.index(arm), "phase": "tune", "label": arm}}
        )  # fmt: skip
    return {"data": traces, "layout": make_layout(330, x=x, y=y)}
