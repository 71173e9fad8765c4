"""Figures of one arm's tuning: parallel coordinates, slices along each field, importance."""

import math

from reports.evidence.values import Candidate, FieldValue
from reports.field_names import format_value
from reports.figures.tuning_data import ImportanceData, TuningAxis, TuningData
from reports.page.figures.base import (
    Figure,
    make_layout,
    round_significant,
    shorten_text,
    wrap_text,
)

GROUPS = 5  # of candidates by rank, each with its own shade


def draw_parallel(data: TuningData) -> Figure:
    """Draw a line per candidate through its values to its result; the best are the darkest."""
    valued = [p for p in data.points if p.value is not None]
    last = TuningAxis(
        path="",
        label=f"{data.label}, validation",
        log=False,
        levels=(),
        low=min((p.value for p in valued if p.value is not None), default=0.0),
        high=max((p.value for p in valued if p.value is not None), default=1.0),
    )
    axes = (*data.axes, last)
    # Candidates of one shade are one trace with gaps: a page holds thousands of candidates, and a
    # trace for each would make it large and slow.
    groups: dict[str, list[Candidate]] = {}
    for rank, point in enumerate(valued):
        shade = "best" if point.confirmed else str(rank * GROUPS // max(1, len(valued)))
        groups.setdefault(shade, []).append(point)
    # First, so that they are drawn below the others: their lines end before the axis of the result.
    unfinished = [p for p in data.points if p.value is None]
    traces = [_candidate_lines(unfinished, data, axes, "@soft/0.6", 1, "dot")] if unfinished else []
    for shade in (*(str(g) for g in range(GROUPS)), "best"):
        if shade in groups:
            colour = "@worse" if shade == "best" else f"@s{shade}"
            width = 3.5 if shade == "best" else 1.6
            traces.append(_candidate_lines(groups[shade], data, axes, colour, width, "solid"))
    notes = []
    for x, axis in enumerate(axes):
        notes.append(_make_annotation(x, 1.08, wrap_text(axis.label, 16), "bottom", bold=True))
        for word, y in _tick_labels(axis):
            notes.append(_make_annotation(x, y, shorten_text(word, 14), "middle", shift=7))
    return {
        "data": traces,
        "layout": make_layout(
            380,
            margin={"l": 62, "r": 76, "t": 44, "b": 16},
            annotations=notes,
            shapes=[
                {"type": "line", "x0": x, "x1": x, "y0": 0, "y1": 1,
                 "line": {"color": "@soft", "width": 1}}
                for x in range(len(axes))
            ],
            x_more={"visible": False, "range": [-0.05, len(axes) - 0.95]},
            y_more={"visible": False, "range": [-0.06, 1.1]},
            meta={"width": 130 * len(axes)},
        ),
    }  # fmt: skip


def draw_tuning_slices(data: TuningData) -> tuple[Figure, ...]:
    """Draw a figure per field: the result against the field's value, a dot per candidate."""
    figures = []
    for axis in data.axes:
        x_more: Figure = {"nticks": 6}
        if axis.log:
            # Ticks at whole powers of ten alone, but not where fewer than two of them lie between
            # the values: the axis would be all but empty, so plotly's own ticks are kept there.
            x_more = {"type": "log", "exponentformat": "power"}
            if _count_decades(axis) >= 2:
                x_more["dtick"] = 1
        elif axis.levels:
            names = [shorten_text(level, 14) for level in axis.levels]
            x_more = {"type": "category", "categoryorder": "array", "categoryarray": names}
        traces = []
        for confirmed in (False, True):
            own = [
                p
                for p in data.points
                if p.value is not None and axis.path in p.params and p.confirmed is confirmed
            ]
            if not own:
                continue
            mark = {"symbol": "star", "size": 15, "color": "@worse"}
            if not confirmed:
                mark = {"symbol": "circle", "size": 8, "color": "@equivalent", "opacity": 0.6}
            traces.append(
                {"type": "scatter", "mode": "markers", "marker": mark,
                 "x": [_axis_value(axis, p.params[axis.path]) for p in own],
                 "y": [round_significant(p.value, 5) for p in own],
                 "customdata": [p.number for p in own],
                 "hovertemplate": "candidate %{customdata}<br>%{x} → %{y:.4g}<extra></extra>",
                 "meta": {"arm": data.arm_index, "phase": "tune", "by": "candidate"}}
            )  # fmt: skip
        figures.append(
            {"data": traces, "layout": make_layout(250, x=axis.label, y=data.label, x_more=x_more)}
        )
    return tuple(figures)


def draw_importance(data: ImportanceData) -> Figure:
    """Draw a bar per field, with the interval over resampled candidates."""
    rows = list(range(len(data.bars)))
    below = [0.0 if bar.low is None else bar.value - bar.low for bar in data.bars]
    above = [0.0 if bar.high is None else bar.high - bar.value for bar in data.bars]
    return {
        "data": [
            {"type": "bar", "orientation": "h", "y": rows, "width": 0.34,
             "x": [round_significant(b.value, 4) for b in data.bars],
             "marker": {"color": "@equivalent"},
             "error_x": {"type": "data", "symmetric": False,
                         "array": [round_significant(length, 3) for length in above],
                         "arrayminus": [round_significant(length, 3) for length in below],
                         "color": "@ink", "thickness": 1.5, "width": 5},
             "hovertemplate": "%{x:.0%}<extra></extra>"}
        ],
        "layout": make_layout(
            70 + 46 * len(rows),
            margin={"l": 8, "r": 12, "t": 8, "b": 50},
            x="share of the spread that the field explains",
            x_more={"range": [0, 1.02], "tickformat": ".0%"},
            y_more={"range": [len(rows) - 0.6, -0.8], "visible": False},
            annotations=[
                {"x": 0, "xanchor": "left", "y": row, "yshift": 8, "yanchor": "bottom",
                 "text": shorten_text(label, 44), "showarrow": False,
                 "font": {"size": 13, "color": "@ink"}}
                for row, label in enumerate(data.labels)
            ],
        ),
    }  # fmt: skip


def _axis_value(axis: TuningAxis, value: FieldValue) -> float | str | None:
    return shorten_text(format_value(value), 14) if axis.levels else round_significant(float(value))


def _count_decades(axis: TuningAxis) -> int:
    """Count the whole powers of ten among the values that were tried."""
    assert axis.low is not None and axis.high is not None
    return math.floor(math.log10(axis.high)) - math.ceil(math.log10(axis.low)) + 1


def _tick_labels(axis: TuningAxis) -> list[tuple[str, float]]:
    if axis.levels:
        return [(level, axis.position_of(level)) for level in axis.levels]
    assert axis.low is not None and axis.high is not None
    if axis.low == axis.high:
        return [(f"{axis.low:.3g}", 0.5)]
    # The middle of the axis: the geometric mean where the axis is logarithmic.
    middle = (axis.low * axis.high) ** 0.5 if axis.log else (axis.low + axis.high) / 2
    return [(f"{value:.3g}", axis.position_of(value)) for value in (axis.low, middle, axis.high)]


def _candidate_lines(
    points: list[Candidate],
    data: TuningData,
    axes: tuple[TuningAxis, ...],
    colour: str,
    width: float,
    dash: str,
) -> Figure:
    x: list[int | None] = []
    y: list[float | None] = []
    candidates: list[int | None] = []
    for point in points:
        for index, axis in enumerate(axes):
            # The last axis is the result, which is no field.
            value = point.value if index == len(axes) - 1 else point.params.get(axis.path)
            if value is not None:  # absent where another field switched it off: the line passes by
                x.append(index)
                y.append(round_significant(axis.position_of(value), 4))
                candidates.append(point.number)
        # A gap, so that the next candidate's line begins anew.
        x.append(None)
        y.append(None)
        candidates.append(None)
    return {
        "type": "scatter", "mode": "lines", "x": x, "y": y, "customdata": candidates,
        "line": {"color": colour, "width": width, "dash": dash}, "connectgaps": False,
        "hovertemplate": "candidate %{customdata}<extra></extra>",
        "meta": {"arm": data.arm_index, "phase": "tune", "by": "candidate"},
    }  # fmt: skip


def _make_annotation(
    x: int, y: float, text: str, anchor: str, *, shift: int = 0, bold: bool = False
) -> Figure:
    return {
        "x": x, "y": y, "text": f"<b>{text}</b>" if bold else text, "showarrow": False,
        "xanchor": "center" if bold else "left", "yanchor": anchor, "xshift": shift,
        "font": {"size": 12, "color": "@ink" if bold else "@soft"},
        **({} if bold else {"bgcolor": "@paper/0.75"}),
    }  # fmt: skip
