"""Data of the figures that show arms against the baseline."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from reports.evidence.comparison import Comparison
from reports.evidence.values import Evidence, LearningCurve
from reports.evidence.verdicts import Verdict

BetterSide = Literal["left", "right"]


@dataclass(frozen=True, kw_only=True)
class DeltaPoint:
    """One arm of the delta figure; `arm_index` is its index in the study, None is not drawn."""

    arm: str
    arm_index: int
    delta: float | None
    low: float | None
    high: float | None
    verdict: Verdict


@dataclass(frozen=True, kw_only=True)
class DeltaData:
    """Differences from the baseline on the primary metric, arms in the order of the facts.

    Attributes:
        label: Label of the primary metric.
        better: Side of the axis on which an arm is better.
        margin: Half-width of the equivalence margin, in units of the metric; None without one.
        points: One point per arm.
    """

    label: str
    better: BetterSide
    margin: float | None
    points: tuple[DeltaPoint, ...]


@dataclass(frozen=True, kw_only=True)
class SeedsRow:
    """One arm of the seeds figure; `values[i]` was reached with `seeds[i]`."""

    arm: str
    arm_index: int
    seeds: tuple[int, ...]
    values: tuple[float, ...]
    mean: float | None
    verdict: Verdict


@dataclass(frozen=True, kw_only=True)
class SeedsData:
    """The primary metric of every confirm seed, arms in the order of the facts.

    Attributes:
        label: Label of the primary metric.
        better: Side of the axis on which an arm is better.
        reference: Mean of the baseline; None without confirmed cells.
        rows: One row per arm.
    """

    label: str
    better: BetterSide
    reference: float | None
    rows: tuple[SeedsRow, ...]


@dataclass(frozen=True, kw_only=True)
class LearningData:
    """Validation curves by arm; `arm_indices` are the arms' indices in the study."""

    label: str
    curves: tuple[LearningCurve, ...]
    arm_indices: tuple[int, ...]


def delta_data(comparison: Comparison, arms: Sequence[str]) -> DeltaData:
    """Return the differences of these arms from the baseline."""
    primary, facts = comparison.primary, comparison.facts
    points = []
    for arm in arms:
        estimate = comparison.estimate_of(arm, primary.name)
        is_baseline = arm == facts.baseline and estimate.n > 0
        points.append(
            DeltaPoint(
                arm=arm,
                arm_index=facts.arms.index(arm),
                # The baseline has no difference from itself to estimate; 0 by definition.
                delta=0.0 if is_baseline else estimate.delta,
                low=estimate.ci_low,
                high=estimate.ci_high,
                verdict=estimate.verdict or Verdict.UNDECIDED,
            )
        )
    return DeltaData(
        label=primary.label,
        better="right" if primary.higher_is_better else "left",
        margin=primary.margin,
        points=tuple(points),
    )


def seeds_data(comparison: Comparison, arms: Sequence[str]) -> SeedsData:
    """Return the values of every confirm seed of these arms."""
    primary, facts = comparison.primary, comparison.facts
    rows = []
    for arm in arms:
        estimate = comparison.estimate_of(arm, primary.name)
        values = comparison.seed_values[arm]
        rows.append(
            SeedsRow(
                arm=arm,
                arm_index=facts.arms.index(arm),
                seeds=tuple(values),
                values=tuple(values.values()),
                mean=estimate.mean,
                verdict=estimate.verdict or Verdict.UNDECIDED,
            )
        )
    return SeedsData(
        label=primary.label,
        better="right" if primary.higher_is_better else "left",
        reference=comparison.estimate_of(facts.baseline, primary.name).mean,
        rows=tuple(rows),
    )


def learning_data(evidence: Evidence, comparison: Comparison, arms: Sequence[str]) -> LearningData:
    """Return the validation curves of these arms, as far as half of an arm's cells trained."""
    # An arm may have no curve: a results folder without curves, or an arm without confirmed cells.
    by_arm = {curve.arm: curve for curve in evidence.learning}
    shown = [arm for arm in arms if arm in by_arm]
    return LearningData(
        label=comparison.primary.label,
        curves=tuple(_common_part(by_arm[arm]) for arm in shown),
        arm_indices=tuple(comparison.facts.arms.index(arm) for arm in shown),
    )


def _common_part(curve: LearningCurve) -> LearningCurve:
    # Beyond the epoch that half of the cells reached, a mean is that of the few cells that did not
    # stop early: a selection, and the curve would turn for no other reason.
    started = max(curve.cells, default=0)
    last = max((n for n, c in enumerate(curve.cells, 1) if 2 * c >= started), default=0)
    return replace(
        curve,
        mean=curve.mean[:last],
        low=curve.low[:last],
        high=curve.high[:last],
        cells=curve.cells[:last],
    )
