"""The figures: `x_data()` says what is drawn, `draw_x()` draws it and knows nothing else."""

import html
import textwrap
from dataclasses import dataclass
from typing import Literal

import plotly.graph_objects as go

from reports.evidence.comparison import Comparison
from reports.evidence.estimates import Verdict

# Okabe and Ito's colours, told apart in every common kind of colour blindness; shapes differ too.
COLOURS = {
    "baseline": "#808080",
    "better": "#009E73",
    "worse": "#D55E00",
    "equivalent": "#0072B2",
    "undecided": "#8A8A8A",
}
SYMBOLS = {
    "baseline": "diamond-open",
    "better": "triangle-up",
    "worse": "triangle-down",
    "equivalent": "square",
    "undecided": "circle-open",
}
ROW_PIXELS = 58
LABEL_WIDTH = 36  # characters; what fits on a phone


@dataclass(frozen=True, kw_only=True)
class DeltaPoint:
    """One arm of the delta figure; None is not drawn."""

    arm: str
    delta: float | None
    low: float | None
    high: float | None
    verdict: Verdict


@dataclass(frozen=True, kw_only=True)
class DeltaData:
    """Differences from the baseline on the primary metric, arms in the order of the facts."""

    label: str
    better: Literal["left", "right"]
    margin: float | None
    points: tuple[DeltaPoint, ...]


@dataclass(frozen=True, kw_only=True)
class SeedsRow:
    """One arm of the seeds figure; `values[i]` was reached with `seeds[i]`."""

    arm: str
    seeds: tuple[int, ...]
    values: tuple[float, ...]
    mean: float | None
    verdict: Verdict


@dataclass(frozen=True, kw_only=True)
class SeedsData:
    """The primary metric of every confirm seed, arms in the order of the facts."""

    label: str
    better: Literal["left", "right"]
    reference: float | None
    rows: tuple[SeedsRow, ...]


def delta_data(comparison: Comparison) -> DeltaData:
    """What the delta figure shows. The baseline is at 0 by definition."""
    primary, facts = comparison.primary, comparison.facts
    points = []
    for arm in facts.arms:
        estimate = comparison.of(arm, primary.name)
        is_baseline = arm == facts.baseline and estimate.n > 0
        points.append(
            DeltaPoint(
                arm=arm,
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


def seeds_data(comparison: Comparison) -> SeedsData:
    """What the seeds figure shows."""
    primary, facts = comparison.primary, comparison.facts
    rows = []
    for arm in facts.arms:
        estimate = comparison.of(arm, primary.name)
        values = comparison.seed_values[arm]
        rows.append(
            SeedsRow(
                arm=arm,
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


def draw_delta(data: DeltaData) -> go.Figure:
    """A forest plot: each arm's difference with its two-level interval, beside a line at zero."""
    figure = _canvas([(point.arm, point.verdict) for point in data.points])
    if data.margin is not None:
        figure.add_vrect(
            x0=-data.margin, x1=data.margin, fillcolor="#0072B2", opacity=0.09, line_width=0
        )
    figure.add_vline(x=0, line_width=1.5, line_color="#808080")
    for place, point in enumerate(data.points):
        if point.delta is None:
            continue
        bars = None
        interval = "no interval"
        if point.low is not None and point.high is not None:
            bars = {
                "type": "data",
                "symmetric": False,
                "array": [point.high - point.delta],
                "arrayminus": [point.delta - point.low],
                "thickness": 2.5,
                "width": 6,
            }
            interval = f"{point.low:+.4g} to {point.high:+.4g}"
        figure.add_scatter(
            x=[point.delta],
            y=[place],
            error_x=bars,
            mode="markers",
            marker={
                "symbol": SYMBOLS[point.verdict],
                "size": 11,
                "color": COLOURS[point.verdict],
                "line": {"width": 2, "color": COLOURS[point.verdict]},
            },
            hovertemplate=(
                "baseline<extra></extra>"
                if point.verdict == "baseline"
                else f"Δ {point.delta:+.4g}<br>{interval}<extra></extra>"
            ),
        )
    _title_axis(figure, f"Δ {data.label}", data.better)
    return figure


def draw_seeds(data: SeedsData) -> go.Figure:
    """Every confirm seed as a dot, each arm's mean as a bar, the baseline's mean as a line."""
    figure = _canvas([(row.arm, row.verdict) for row in data.rows])
    if data.reference is not None:
        figure.add_vline(x=data.reference, line_width=1.5, line_dash="dot", line_color="#808080")
    for place, row in enumerate(data.rows):
        figure.add_scatter(
            x=list(row.values),
            y=[place] * len(row.values),
            customdata=list(row.seeds),
            mode="markers",
            marker={"size": 9, "opacity": 0.6, "color": COLOURS[row.verdict], "line": {"width": 0}},
            hovertemplate="seed %{customdata}: %{x:.4g}<extra></extra>",
        )
        if row.mean is not None:
            figure.add_scatter(
                x=[row.mean],
                y=[place],
                mode="markers",
                marker={
                    "symbol": "line-ns-open",
                    "size": 20,
                    "color": COLOURS[row.verdict],
                    "line": {"width": 3},
                },
                hovertemplate="mean %{x:.4g}<extra></extra>",
            )
    _title_axis(figure, data.label, data.better)
    return figure


def _canvas(arms: list[tuple[str, Verdict]]) -> go.Figure:
    """An empty figure with one row an arm; its label stands above the row, so it may be long."""
    figure = go.Figure()
    extra = 0
    for place, (arm, verdict) in enumerate(arms):
        lines = textwrap.wrap(arm, LABEL_WIDTH) or [""]
        extra = max(extra, len(lines) - 1)
        # Plotly reads tags in text: an arm's name is escaped, not trusted.
        name = "<br>".join(html.escape(line, quote=False) for line in lines)
        figure.add_annotation(
            x=0,
            xref="paper",
            xanchor="left",
            y=place,
            yshift=9,
            yanchor="bottom",
            text=f"<b>{name}</b>  {verdict}",
            align="left",
            showarrow=False,
            font={"size": 13},
        )
    figure.update_layout(
        template="none",
        showlegend=False,
        height=100 + (ROW_PIXELS + 18 * extra) * len(arms),
        margin={"l": 8, "r": 8, "t": 12, "b": 56},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "system-ui, sans-serif", "size": 13},
        hovermode="closest",
        dragmode=False,
    )
    figure.update_yaxes(
        range=[len(arms) - 0.6, -0.9], visible=False, fixedrange=True, zeroline=False
    )
    figure.update_xaxes(
        showgrid=True, gridcolor="rgba(128,128,128,.18)", zeroline=False, fixedrange=True
    )
    return figure


def _title_axis(figure: go.Figure, label: str, better: Literal["left", "right"]) -> None:
    text = html.escape(label, quote=False)
    sides = ("← better", "worse →") if better == "left" else ("← worse", "better →")
    figure.update_xaxes(title={"text": f"{sides[0]}   {text}   {sides[1]}", "standoff": 12})
