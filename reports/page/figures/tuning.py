"""Figures of one arm's tuning: parallel coordinates, slices along each field, importance."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reports.evidence.comparison import Comparison
from reports.evidence.values import Evidence, Importance, TuningPoint
from reports.page.field_names import field_names, written
from reports.page.figures.base import Figure, layout, rounded, shortened, wrapped
from reports.results import FieldFacts, StudyFacts

GROUPS = 5  # of candidates by rank, each with its own shade
Value = bool | int | float | str


@dataclass(frozen=True, kw_only=True)
class TuningAxis:
    """One searched field.

    Attributes:
        path, label: of the field.
        log: whether it was searched by orders of magnitude and can be drawn so.
        levels: its values where they are no numbers; empty where they are.
        low, high: ends of the values that were tried; None with levels.
    """

    path: str
    label: str
    log: bool
    levels: tuple[str, ...]
    low: float | None
    high: float | None

    def height(self, value: Value) -> float:
        """Where a value stands on the axis, 0 to 1; the middle where all are alike."""
        if self.levels:
            last = len(self.levels) - 1
            return self.levels.index(written(value)) / last if last else 0.5
        assert self.low is not None and self.high is not None
        low, high, own = (self._scale(v) for v in (self.low, self.high, float(value)))
        return (own - low) / (high - low) if high > low else 0.5

    def _scale(self, value: float) -> float:
        return math.log10(value) if self.log else value


@dataclass(frozen=True, kw_only=True)
class TuningData:
    """One arm's candidates, from the worst to the best, those without a value first.

    Attributes:
        arm, place: name and number of the arm.
        label: of the validation metric.
        higher_is_better: its direction.
        axes: fields that vary or were searched, in the order of the study.
        points: see `TuningPoint`.
    """

    arm: str
    place: int
    label: str
    higher_is_better: bool
    axes: tuple[TuningAxis, ...]
    points: tuple[TuningPoint, ...]


@dataclass(frozen=True, kw_only=True)
class ImportanceData:
    """Bars, the most important field first: label, share, interval."""

    arm: str
    labels: tuple[str, ...]
    bars: tuple[Importance, ...]


def tuning_data(evidence: Evidence, comparison: Comparison) -> tuple[TuningData, ...]:
    """What the tuning figures show, an arm each."""
    facts, primary = comparison.facts, comparison.primary
    sign = 1.0 if primary.higher_is_better else -1.0
    names = field_names(facts.fields)
    by_arm: dict[str, list[TuningPoint]] = {}
    for point in evidence.tuning:
        by_arm.setdefault(point.arm, []).append(point)
    data = []
    for place, arm in enumerate(facts.arms):
        points = sorted(
            by_arm.get(arm, ()),
            key=lambda p: (-math.inf if p.value is None else sign * p.value, -p.candidate),
        )
        axes = tuple(
            _axis(path, names.get(path, path), facts.fields, _tried(path, points))
            for path in facts.searched.get(arm, ())
            if any(path in p.params for p in points)
        )
        if axes:
            data.append(
                TuningData(
                    arm=arm,
                    place=place,
                    label=primary.label,
                    higher_is_better=primary.higher_is_better,
                    axes=axes,
                    points=tuple(points),
                )
            )
    return tuple(data)


def importance_data(evidence: Evidence, facts: StudyFacts) -> tuple[ImportanceData, ...]:
    """What the importance figures show, an arm each."""
    found = []
    names = field_names(facts.fields)
    for arm in facts.arms:
        own = sorted((i for i in evidence.importance if i.arm == arm), key=lambda i: -i.value)
        if own:
            labels = tuple(names.get(i.field, i.field) for i in own)
            found.append(ImportanceData(arm=arm, labels=labels, bars=tuple(own)))
    return tuple(found)


def draw_parallel(data: TuningData) -> Figure:
    """A line a candidate through its values to its result; the best are the darkest.

    Candidates of one shade are one trace with gaps: a page holds thousands of them.
    """
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
    groups: dict[str, list[TuningPoint]] = {}
    for rank, point in enumerate(valued):
        shade = "best" if point.confirmed else str(rank * GROUPS // max(1, len(valued)))
        groups.setdefault(shade, []).append(point)
    unfinished = [p for p in data.points if p.value is None]
    traces = [_lines(unfinished, data, axes, "@soft/0.6", 1, "dot")] if unfinished else []
    for shade in (*(str(g) for g in range(GROUPS)), "best"):
        if shade in groups:
            colour = "@worse" if shade == "best" else f"@s{shade}"
            width = 3.5 if shade == "best" else 1.6
            traces.append(_lines(groups[shade], data, axes, colour, width, "solid"))
    notes = []
    for place, axis in enumerate(axes):
        notes.append(_note(place, 1.08, wrapped(axis.label, 16), "bottom", bold=True))
        for word, height in _ticks(axis):
            notes.append(_note(place, height, shortened(word, 14), "middle", shift=7))
    return {
        "data": traces,
        "layout": layout(
            380,
            margin={"l": 62, "r": 76, "t": 44, "b": 16},
            annotations=notes,
            shapes=[
                {"type": "line", "x0": place, "x1": place, "y0": 0, "y1": 1,
                 "line": {"color": "@soft", "width": 1}}
                for place in range(len(axes))
            ],
            x_more={"visible": False, "range": [-0.05, len(axes) - 0.95]},
            y_more={"visible": False, "range": [-0.06, 1.1]},
            meta={"width": 130 * len(axes)},
        ),
    }  # fmt: skip


def draw_tuning_slices(data: TuningData) -> tuple[Figure, ...]:
    """A figure a field: the result against the field's value, a dot a candidate."""
    figures = []
    for axis in data.axes:
        x_more: Figure = {"nticks": 6}
        if axis.log:
            # Whole powers alone may lie outside: then plotly's own ticks between them are shown.
            x_more = {"type": "log", "exponentformat": "power"}
            if _decades(axis) >= 2:
                x_more["dtick"] = 1
        elif axis.levels:
            x_more = {"type": "category", "categoryorder": "array",
                      "categoryarray": [shortened(level, 14) for level in axis.levels]}  # fmt: skip
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
                 "x": [_placed(axis, p.params[axis.path]) for p in own],
                 "y": [rounded(p.value, 5) for p in own],
                 "customdata": [p.candidate for p in own],
                 "hovertemplate": "candidate %{customdata}<br>%{x} → %{y:.4g}<extra></extra>",
                 "meta": {"arm": data.place, "phase": "tune", "by": "candidate"}}
            )  # fmt: skip
        figures.append(
            {"data": traces, "layout": layout(250, x=axis.label, y=data.label, x_more=x_more)}
        )
    return tuple(figures)


def draw_importance(data: ImportanceData) -> Figure:
    """A bar a field, with the interval over resampled candidates."""
    rows = list(range(len(data.bars)))
    low = [rounded(b.value - b.low if b.low is not None else 0.0, 3) for b in data.bars]
    high = [rounded(b.high - b.value if b.high is not None else 0.0, 3) for b in data.bars]
    return {
        "data": [
            {"type": "bar", "orientation": "h", "y": rows, "width": 0.34,
             "x": [rounded(b.value, 4) for b in data.bars],
             "marker": {"color": "@equivalent"},
             "error_x": {"type": "data", "symmetric": False, "array": high, "arrayminus": low,
                         "color": "@ink", "thickness": 1.5, "width": 5},
             "hovertemplate": "%{x:.0%}<extra></extra>"}
        ],
        "layout": layout(
            70 + 46 * len(rows),
            margin={"l": 8, "r": 12, "t": 8, "b": 50},
            x="share of the spread that the field explains",
            x_more={"range": [0, 1.02], "tickformat": ".0%"},
            y_more={"range": [len(rows) - 0.6, -0.8], "visible": False},
            annotations=[
                {"x": 0, "xanchor": "left", "y": row, "yshift": 8, "yanchor": "bottom",
                 "text": shortened(label, 44), "showarrow": False,
                 "font": {"size": 13, "color": "@ink"}}
                for row, label in enumerate(data.labels)
            ],
        ),
    }  # fmt: skip


def _tried(path: str, points: Sequence[TuningPoint]) -> list[Value]:
    return [point.params[path] for point in points if path in point.params]


def _axis(
    path: str, label: str, fields: Mapping[str, FieldFacts], values: list[Value]
) -> TuningAxis:
    numbers = [float(v) for v in values if not isinstance(v, bool | str)]
    if len(numbers) < len(values):
        levels = tuple(sorted({written(v) for v in values}))
        return TuningAxis(path=path, label=label, log=False, levels=levels, low=None, high=None)
    return TuningAxis(
        path=path,
        label=label,
        log=path in fields and fields[path].log and min(numbers) > 0,
        levels=(),
        low=min(numbers),
        high=max(numbers),
    )


def _placed(axis: TuningAxis, value: Value) -> float | str | None:
    return shortened(written(value), 14) if axis.levels else rounded(float(value))


def _decades(axis: TuningAxis) -> int:
    """Whole powers of ten among the values that were tried."""
    assert axis.low is not None and axis.high is not None
    return math.floor(math.log10(axis.high)) - math.ceil(math.log10(axis.low)) + 1


def _ticks(axis: TuningAxis) -> list[tuple[str, float]]:
    if axis.levels:
        return [(level, axis.height(level)) for level in axis.levels]
    assert axis.low is not None and axis.high is not None
    if axis.low == axis.high:
        return [(f"{axis.low:.3g}", 0.5)]
    middle = (axis.low * axis.high) ** 0.5 if axis.log else (axis.low + axis.high) / 2
    return [(f"{value:.3g}", axis.height(value)) for value in (axis.low, middle, axis.high)]


def _lines(
    points: list[TuningPoint],
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
        for place, axis in enumerate(axes):
            value = point.value if place == len(axes) - 1 else point.params.get(axis.path)
            if value is not None:  # absent where another field switched it off: the line passes by
                x.append(place)
                y.append(rounded(axis.height(value), 4))
                candidates.append(point.candidate)
        x.append(None)
        y.append(None)
        candidates.append(None)
    return {
        "type": "scatter", "mode": "lines", "x": x, "y": y, "customdata": candidates,
        "line": {"color": colour, "width": width, "dash": dash}, "connectgaps": False,
        "hovertemplate": "candidate %{customdata}<extra></extra>",
        "meta": {"arm": data.place, "phase": "tune", "by": "candidate"},
    }  # fmt: skip


def _note(
    x: int, y: float, text: str, anchor: str, *, shift: int = 0, bold: bool = False
) -> Figure:
    return {
        "x": x, "y": y, "text": f"<b>{text}</b>" if bold else text, "showarrow": False,
        "xanchor": "center" if bold else "left", "yanchor": anchor, "xshift": shift,
        "font": {"size": 12, "color": "@ink" if bold else "@soft"},
        **({} if bold else {"bgcolor": "@paper/0.75"}),
    }  # fmt: skip
