"""Data of the figures that show arms against the baseline."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from reports.evidence.arm_estimates import Estimate
from reports.evidence.comparison import Comparison
from reports.evidence.values import Evidence, LearningCurve
from reports.evidence.verdicts import Verdict

BetterSide = Literal["left", "right"]


@dataclass(frozen=True, kw_only=True)
class ArmRow:
    """One arm of a figure with a row per arm.

    Attributes:
        estimate: Estimate on the primary metric; the baseline's difference from itself is 0.
        arm_index: Index of the arm in the study.
        seed_values: Confirm seed -> value of the primary metric.
    """

    estimate: Estimate
    arm_index: int
    seed_values: Mapping[int, float]

    @property
    def verdict(self) -> Verdict:
        """Verdict on the arm; undecided where it has no result."""
        return self.estimate.verdict or Verdict.UNDECIDED


@dataclass(frozen=True, kw_only=True)
class ArmsData:
    """Arms on the primary metric: every seed, and the difference from the baseline.

    Attributes:
        label: Label of the primary metric.
        better: Side of the axis on which an arm is better.
        margin: Half-width of the equivalence margin, in units of the metric; None without one.
        reference: Mean of the baseline; None without confirmed cells.
        rows: One row per arm.
    """

    label: str
    better: BetterSide
    margin: float | None
    reference: float | None
    rows: tuple[ArmRow, ...]


@dataclass(frozen=True, kw_only=True)
class LearningData:
    """Validation curves by arm; `arm_indices` are the arms' indices in the study."""

    label: str
    curves: tuple[LearningCurve, ...]
    arm_indices: tuple[int, ...]


def arms_data(comparison: Comparison, arms: Sequence[str]) -> ArmsData:
    """Return these arms on the primary metric."""
    primary, facts = comparison.primary, comparison.facts
    baseline = comparison.estimate_of(facts.baseline, primary.name)
    rows = []
    for arm in arms:
        estimate = comparison.estimate_of(arm, primary.name)
        # The baseline has no difference from itself to estimate; 0 by definition.
        if arm == facts.baseline and estimate.n > 0:
            estimate = replace(estimate, delta=0.0)
        rows.append(
            ArmRow(
                estimate=estimate,
                arm_index=facts.arms.index(arm),
                seed_values=comparison.seed_values[arm],
            )
        )
    return ArmsData(
        label=primary.label,
        better="right" if primary.higher_is_better else "left",
        margin=primary.margin,
        reference=baseline.mean,
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
