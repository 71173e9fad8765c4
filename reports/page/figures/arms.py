"""Figures of arms against the baseline: `x_data()` says what is drawn, `draw_x()` draws it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from reports.evidence.comparison import Comparison
from reports.evidence.estimates import Verdict
from reports.evidence.values import Evidence, LearningCurve
from reports.page.figures.base import (
    DASHES,
    LINE_COLOURS,
    SYMBOLS,
    Figure,
    layout,
    rounded,
    shortened,
    wrapped,
)

ROW_PIXELS = 48
MOST_BANDS = 2
LABEL_WIDTH = 34  # characters; what fits on a phone
Side = Literal["left", "right"]


@dataclass(frozen=True, kw_only=True)
class DeltaPoint:
    """One arm of the delta figure; None is not drawn. `place` is the arm's number in the study."""

    arm: str
    place: int
    delta: float | None
    low: float | None
    high: float | None
    verdict: Verdict


@dataclass(frozen=True, kw_only=True)
class DeltaData:
    """Differences from the baseline on the primary metric, arms in the order of the facts."""

    label: str
    better: Side
    margin: float | None
    points: tuple[DeltaPoint, ...]


@dataclass(frozen=True, kw_only=True)
class SeedsRow:
    """One arm of the seeds figure; `values[i]` was reached with `seeds[i]`."""

    arm: str
    place: int
    seeds: tuple[int, ...]
    values: tuple[float, ...]
    mean: float | None
    verdict: Verdict


@dataclass(frozen=True, kw_only=True)
class SeedsData:
    """The primary metric of every confirm seed, arms in the order of the facts."""

    label: str
    better: Side
    reference: float | None
    rows: tuple[SeedsRow, ...]


@dataclass(frozen=True, kw_only=True)
class LearningData:
    """Validation curves by arm; `places` are the arms' numbers in the study."""

    label: str
    curves: tuple[LearningCurve, ...]
    places: tuple[int, ...]


def delta_data(comparison: Comparison, arms: Sequence[str]) -> DeltaData:
    """What the delta figure shows of these arms. The baseline is at 0 by definition."""
    primary, facts = comparison.primary, comparison.facts
    points = []
    for arm in arms:
        estimate = comparison.of(arm, primary.name)
        is_baseline = arm == facts.baseline and estimate.n > 0
        points.append(
            DeltaPoint(
                arm=arm,
                place=facts.arms.index(arm),
                delta=0.0 if is_baseline else estimate.delta,
                low=estimate.ci_low,
                high=estimate.ci_high,
                verdict=estimate.verdict or "undecided",
            )
        )
    return DeltaData(
        label=primary.label,
        better="right" if primary.higher_is_better else "left",
        margin=primary.margin,
        points=tuple(points),
    )


def seeds_data(comparison: Comparison, arms: Sequence[str]) -> SeedsData:
    """What the seeds figure shows of these arms."""
    primary, facts = comparison.primary, comparison.facts
    rows = []
    for arm in arms:
        estimate = comparison.of(arm, primary.name)
        values = comparison.seed_values[arm]
        rows.append(
            SeedsRow(
                arm=arm,
                place=facts.arms.index(arm),
                seeds=tuple(values),
                values=tuple(values.values()),
                mean=estimate.mean,
                verdict=estimate.verdict or "undecided",
            )
        )
    return SeedsData(
        label=primary.label,
        better="right" if primary.higher_is_better else "left",
        reference=comparison.of(facts.baseline, primary.name).mean,
        rows=tuple(rows),
    )


def learning_data(evidence: Evidence, comparison: Comparison, arms: Sequence[str]) -> LearningData:
    """What the learning curves show of these arms: epochs that half of an arm's cells reached.

    Beyond these a mean is that of the few cells that had not stopped.
    """
    by_arm = {curve.arm: curve for curve in evidence.learning}
    shown = [arm for arm in arms if arm in by_arm]
    return LearningData(
        label=comparison.primary.label,
        curves=tuple(_common_part(by_arm[arm]) for arm in shown),
        places=tuple(comparison.facts.arms.index(arm) for arm in shown),
    )


def draw_delta(data: DeltaData) -> Figure:
    """A forest plot: each arm's difference with its two-level interval, beside a line at zero."""
    figure = _rows([(point.arm, point.verdict) for point in data.points])
    shapes = figure["layout"]["shapes"]
    if data.margin is not None:
        shapes.append(
            {"type": "rect", "yref": "paper", "x0": -data.margin, "x1": data.margin, "y0": 0,
             "y1": 1, "fillcolor": "@equivalent/0.12", "line": {"width": 0}, "layer": "below"}
        )  # fmt: skip
    shapes.append(_upright(0.0, "solid"))
    for row, point in enumerate(data.points):
        if point.delta is None:
            continue
        text = wrapped(point.arm, 50) + (
            "<br>baseline" if point.verdict == "baseline" else f"<br>Δ {point.delta:+.4g}"
        )
        trace: Figure = {
            "type": "scatter",
            "mode": "markers",
            "x": [rounded(point.delta)],
            "y": [row],
            "marker": {"symbol": SYMBOLS[point.verdict], "size": 11, "color": f"@{point.verdict}",
                       "line": {"width": 2, "color": f"@{point.verdict}"}},
            "hoverinfo": "text",
            "meta": {"arm": point.place, "phase": "confirm"},
        }  # fmt: skip
        if point.low is not None and point.high is not None:
            text += f"<br>95 %: {point.low:+.4g} to {point.high:+.4g}"
            trace["error_x"] = {
                "type": "data",
                "symmetric": False,
                "array": [rounded(point.high - point.delta)],
                "arrayminus": [rounded(point.delta - point.low)],
                "thickness": 2.5,
                "width": 5,
                "color": f"@{point.verdict}",
            }
        trace["text"] = [text]
        figure["data"].append(trace)
    figure["layout"]["xaxis"]["range"] = _range(data)
    _say_sides(figure, f"Δ {data.label}", data.better)
    return figure


def draw_seeds(data: SeedsData) -> Figure:
    """Every confirm seed as a dot, each arm's mean as a bar, the baseline's mean as a line."""
    figure = _rows([(row.arm, row.verdict) for row in data.rows])
    if data.reference is not None:
        figure["layout"]["shapes"].append(_upright(data.reference, "dot"))
    for place, row in enumerate(data.rows):
        colour = f"@{row.verdict}"
        figure["data"].append(
            {"type": "scatter", "mode": "markers", "x": [rounded(v) for v in row.values],
             "y": [place] * len(row.values), "customdata": list(row.seeds),
             "marker": {"size": 9, "opacity": 0.6, "color": colour, "line": {"width": 0}},
             "hovertemplate": "seed %{customdata}: %{x:.4g}<extra></extra>",
             "meta": {"arm": row.place, "phase": "confirm", "by": "seed"}}
        )  # fmt: skip
        if row.mean is not None:
            figure["data"].append(
                {"type": "scatter", "mode": "markers", "x": [rounded(row.mean)], "y": [place],
                 "marker": {"symbol": "line-ns-open", "size": 18, "color": colour,
                            "line": {"width": 3, "color": colour}},
                 "hovertemplate": "mean %{x:.4g}<extra></extra>",
                 "meta": {"arm": row.place, "phase": "confirm"}}
            )  # fmt: skip
    _say_sides(figure, data.label, data.better)
    return figure


def draw_learning(data: LearningData) -> Figure:
    """A line an arm, the mean over its confirm cells; a band from the lowest to the highest.

    Bands are drawn of one or two arms: of more they hide each other.
    """
    figure: Figure = {
        "data": [],
        "layout": layout(340, x="epoch", y=f"{data.label}, validation"),
    }
    banded = len(data.curves) <= MOST_BANDS
    for number, (curve, place) in enumerate(zip(data.curves, data.places, strict=True)):
        colour = LINE_COLOURS[number % len(LINE_COLOURS)]
        epochs = list(range(1, len(curve.mean) + 1))
        meta = {"arm": place, "phase": "confirm", "label": curve.arm}
        if banded:
            kept = [
                (e, low, high)
                for e, low, high in zip(epochs, curve.low, curve.high, strict=True)
                if low is not None and high is not None
            ]
            figure["data"].append(
                {"type": "scatter", "mode": "lines", "hoverinfo": "skip", "showlegend": False,
                 "x": [e for e, _, _ in kept] + [e for e, _, _ in reversed(kept)],
                 "y": [rounded(h, 5) for _, _, h in kept]
                 + [rounded(low, 5) for _, low, _ in reversed(kept)],
                 "fill": "toself", "fillcolor": f"{colour}/0.16", "line": {"width": 0}}
            )  # fmt: skip
        figure["data"].append(
            {"type": "scatter", "mode": "lines", "name": shortened(curve.arm), "x": epochs,
             "y": [rounded(value, 5) for value in curve.mean],
             "customdata": list(curve.cells),
             "line": {"color": colour, "width": 2, "dash": DASHES[number % len(DASHES)]},
             "hovertemplate": "epoch %{x}: %{y:.4g} (%{customdata} cells)",
             "meta": meta}
        )  # fmt: skip
    return figure


def _common_part(curve: LearningCurve) -> LearningCurve:
    started = max(curve.cells, default=0)
    last = max((n for n, c in enumerate(curve.cells, 1) if 2 * c >= started), default=0)
    return replace(
        curve,
        mean=curve.mean[:last],
        low=curve.low[:last],
        high=curve.high[:last],
        cells=curve.cells[:last],
    )


def _rows(arms: list[tuple[str, Verdict]]) -> Figure:
    """An empty figure with one row an arm; its label is above it, where a phone has room."""
    return {
        "data": [],
        "layout": layout(
            68 + ROW_PIXELS * len(arms),
            margin={"l": 8, "r": 12, "t": 8, "b": 60},
            shapes=[],
            annotations=[
                {"x": 0, "xref": "paper", "xanchor": "left", "y": row, "yshift": 5,
                 "yanchor": "bottom", "align": "left", "showarrow": False,
                 "text": f"<b>{shortened(arm, LABEL_WIDTH)}</b>  {verdict}",
                 "font": {"size": 13, "color": "@ink"}}
                for row, (arm, verdict) in enumerate(arms)
            ],
            y_more={"range": [len(arms) - 0.6, -0.6],
                    "visible": False, "fixedrange": True},
        ),
    }  # fmt: skip


def _range(data: DeltaData) -> list[float]:
    """All intervals, 0 and both ends of the margin, with room beside them."""
    margin = data.margin or 0.0
    ends = [v for p in data.points for v in (p.delta, p.low, p.high) if v is not None]
    low, high = min([-margin, 0.0, *ends]), max([margin, 0.0, *ends])
    room = 0.06 * ((high - low) or 1.0)
    return [low - room, high + room]


def _upright(x: float, dash: str) -> Figure:
    return {
        "type": "line", "yref": "paper", "x0": x, "x1": x, "y0": 0, "y1": 1, "layer": "below",
        "line": {"width": 1.5, "color": "@soft", "dash": dash},
    }  # fmt: skip


def _say_sides(figure: Figure, label: str, better: Side) -> None:
    sides = ("← better", "worse →") if better == "left" else ("← worse", "better →")
    text = f"{sides[0]}   {shortened(label)}   {sides[1]}"
    figure["layout"]["xaxis"]["title"]["text"] = text
