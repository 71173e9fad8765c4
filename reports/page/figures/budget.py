"""Figures of what tuning bought: best so far, expected best of n, and trade-offs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from reports.evidence.comparison import Comparison
from reports.evidence.statistics.pareto import FrontPoint
from reports.evidence.values import Evidence
from reports.page.figures.base import (
    DASHES,
    LINE_COLOURS,
    Figure,
    layout,
    rounded,
    shortened,
)

MARKS = ("circle", "square", "diamond", "triangle-up", "triangle-down", "x", "cross", "star")


@dataclass(frozen=True, kw_only=True)
class BudgetLine:
    """One arm's line; `place` is the arm's number in the study."""

    arm: str
    place: int
    x: tuple[float, ...]
    y: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class BudgetData:
    """Lines over what was spent.

    Attributes:
        x_label, y_label: axes.
        steps: a value holds until the next one, as a best so far does.
    """

    x_label: str
    y_label: str
    steps: bool
    lines: tuple[BudgetLine, ...]


@dataclass(frozen=True, kw_only=True)
class ParetoData:
    """Candidates on the arms' fronts."""

    x_label: str
    y_label: str
    arms: tuple[tuple[str, int, tuple[FrontPoint, ...]], ...]


def anytime_data(evidence: Evidence, comparison: Comparison, arms: Sequence[str]) -> BudgetData:
    """Best validation value so far against device-seconds, of these arms."""
    by_arm = {curve.arm: curve for curve in evidence.anytime}
    return BudgetData(
        x_label="device-seconds in tuning",
        y_label=f"best {comparison.primary.label} so far, validation",
        steps=True,
        lines=tuple(
            BudgetLine(
                arm=arm,
                place=comparison.facts.arms.index(arm),
                x=by_arm[arm].seconds,
                y=by_arm[arm].best,
            )
            for arm in arms
            if arm in by_arm
        ),
    )


def expected_data(evidence: Evidence, comparison: Comparison, arms: Sequence[str]) -> BudgetData:
    """Expected validation value of the best of n independent candidates, of these arms."""
    by_arm = {curve.arm: curve for curve in evidence.expected}
    return BudgetData(
        x_label="candidates",
        y_label=f"expected best {comparison.primary.label}, validation",
        steps=False,
        lines=tuple(
            BudgetLine(
                arm=arm,
                place=comparison.facts.arms.index(arm),
                x=tuple(float(n) for n in range(1, len(by_arm[arm].values) + 1)),
                y=by_arm[arm].values,
            )
            for arm in arms
            if arm in by_arm
        ),
    )


def pareto_data(comparison: Comparison, arms: Sequence[str]) -> ParetoData:
    """The fronts of these arms."""
    fronts = comparison.fronts
    label = comparison.primary.label
    return ParetoData(
        x_label=fronts[0].second_label if fronts else "",
        y_label=f"{label}, validation",
        arms=tuple(
            (arm, comparison.facts.arms.index(arm), tuple(p for p in fronts if p.arm == arm))
            for arm in arms
            if any(p.arm == arm for p in fronts)
        ),
    )


def draw_budget(data: BudgetData) -> Figure:
    """A line an arm; every point is a candidate."""
    traces = []
    for number, line in enumerate(data.lines):
        colour = LINE_COLOURS[number % len(LINE_COLOURS)]
        shape: Literal["hv", "linear"] = "hv" if data.steps else "linear"
        traces.append(
            {"type": "scatter", "mode": "lines+markers", "name": shortened(line.arm),
             "x": [rounded(x, 4) for x in line.x], "y": [rounded(y, 5) for y in line.y],
             "line": {"color": colour, "width": 2, "shape": shape,
                      "dash": DASHES[number % len(DASHES)]},
             "marker": {"symbol": MARKS[number % len(MARKS)], "size": 6, "color": colour},
             "hovertemplate": "%{x:.4g}: %{y:.4g}",
             "meta": {"arm": line.place, "phase": "tune", "label": line.arm}}
        )  # fmt: skip
    figure: Figure = {"data": traces, "layout": layout(330, x=data.x_label, y=data.y_label)}
    return figure


def draw_pareto(data: ParetoData) -> Figure:
    """A staircase an arm; a filled mark is the candidate that was tested."""
    traces = []
    for number, (arm, place, points) in enumerate(data.arms):
        colour = LINE_COLOURS[number % len(LINE_COLOURS)]
        mark = MARKS[number % len(MARKS)]
        ordered = sorted(points, key=lambda p: p.second)
        traces.append(
            {"type": "scatter", "mode": "lines+markers", "name": shortened(arm),
             "x": [rounded(p.second) for p in ordered], "y": [rounded(p.first) for p in ordered],
             "customdata": [p.candidate for p in ordered],
             "line": {"color": colour, "width": 1.5, "dash": DASHES[number % len(DASHES)]},
             "marker": {"symbol": [mark if p.confirmed else f"{mark}-open" for p in ordered],
                        "size": [13 if p.confirmed else 8 for p in ordered], "color": colour},
             "hovertemplate": "candidate %{customdata}<br>%{x:.4g}, %{y:.4g}",
             "meta": {"arm": place, "phase": "tune", "by": "candidate", "label": arm}}
        )  # fmt: skip
    figure: Figure = {"data": traces, "layout": layout(340, x=data.x_label, y=data.y_label)}
    return figure
