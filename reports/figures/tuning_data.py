"""Data of the figures of one arm's tuning: candidates on their axes, importance of fields."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reports.evidence.comparison import Comparison
from reports.evidence.values import Candidate, Evidence, FieldValue, Importance
from reports.field_names import field_names, format_value
from reports.results import FieldFacts, StudyFacts


@dataclass(frozen=True, kw_only=True)
class TuningAxis:
    """One searched field.

    Attributes:
        path, label: Path and name of the field.
        log: Whether it was searched by orders of magnitude and can be drawn so.
        levels: Texts of its values where they are no numbers; empty where they are.
        low, high: Smallest and largest value that was tried; None with levels.
    """

    path: str
    label: str
    log: bool
    levels: tuple[str, ...]
    low: float | None
    high: float | None

    def position_of(self, value: FieldValue) -> float:
        """Return where a value lies on the axis, 0 to 1; the middle where all are alike."""
        if self.levels:
            last = len(self.levels) - 1
            return self.levels.index(format_value(value)) / last if last else 0.5
        assert self.low is not None and self.high is not None
        low, high, own = (self._to_scale(v) for v in (self.low, self.high, float(value)))
        return (own - low) / (high - low) if high > low else 0.5

    def _to_scale(self, value: float) -> float:
        return math.log10(value) if self.log else value


@dataclass(frozen=True, kw_only=True)
class TuningData:
    """One arm's candidates, from the worst to the best, those without a value first.

    Attributes:
        arm, arm_index: Name of the arm, and its index in the study.
        label: Label of the validation metric.
        axes: Searched fields that some candidate has a value of, in the order of the study.
        points: One point per candidate.
    """

    arm: str
    arm_index: int
    label: str
    axes: tuple[TuningAxis, ...]
    points: tuple[Candidate, ...]


@dataclass(frozen=True, kw_only=True)
class ImportanceData:
    """One arm's bars, the most important field first, and the fields' names."""

    arm: str
    labels: tuple[str, ...]
    bars: tuple[Importance, ...]


def tuning_data(evidence: Evidence, comparison: Comparison) -> tuple[TuningData, ...]:
    """Return the candidates of every arm that searched a field, arm by arm."""
    facts, primary = comparison.facts, comparison.primary
    sign = 1.0 if primary.higher_is_better else -1.0
    names = field_names(facts.fields)
    by_arm: dict[str, list[Candidate]] = {}
    for point in evidence.tuning:
        by_arm.setdefault(point.arm, []).append(point)
    data = []
    for index, arm in enumerate(facts.arms):
        # The best come last, so that they are drawn above the others; of equal values the earlier
        # candidate does, as it is the one that a study confirms.
        points = sorted(
            by_arm.get(arm, ()),
            key=lambda p: (-math.inf if p.value is None else sign * p.value, -p.number),
        )
        axes = tuple(
            _make_axis(path, names.get(path, path), facts.fields, _tried_values(path, points))
            for path in facts.searched.get(arm, ())
            if any(path in p.params for p in points)
        )
        if axes:
            data.append(
                TuningData(
                    arm=arm,
                    arm_index=index,
                    label=primary.label,
                    axes=axes,
                    points=tuple(points),
                )
            )
    return tuple(data)


def importance_data(evidence: Evidence, facts: StudyFacts) -> tuple[ImportanceData, ...]:
    """Return the importance of every arm's fields, arm by arm."""
    found = []
    names = field_names(facts.fields)
    for arm in facts.arms:
        own = sorted((i for i in evidence.importance if i.arm == arm), key=lambda i: -i.value)
        if own:
            labels = tuple(names.get(i.field, i.field) for i in own)
            found.append(ImportanceData(arm=arm, labels=labels, bars=tuple(own)))
    return tuple(found)


def _tried_values(path: str, points: Sequence[Candidate]) -> list[FieldValue]:
    return [point.params[path] for point in points if path in point.params]


def _make_axis(
    path: str, label: str, fields: Mapping[str, FieldFacts], values: list[FieldValue]
) -> TuningAxis:
    # A field may be searched over mixed values, such as 1 and "auto": then all of them are levels.
    numbers = [float(v) for v in values if not isinstance(v, bool | str)]
    if len(numbers) < len(values):
        levels = tuple(sorted({format_value(v) for v in values}))
        return TuningAxis(path=path, label=label, log=False, levels=levels, low=None, high=None)
    return TuningAxis(
        path=path,
        label=label,
        # Values come from a file, and 0 and negative numbers have no logarithm.
        log=path in fields and fields[path].log and min(numbers) > 0,
        levels=(),
        low=min(numbers),
        high=max(numbers),
    )
