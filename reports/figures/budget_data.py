"""Data of the figures of what tuning bought: best so far, expected best of n, trade-offs."""

from collections.abc import Sequence
from dataclasses import dataclass

from reports.evidence.comparison import Comparison
from reports.evidence.values import Candidate, Evidence


@dataclass(frozen=True, kw_only=True)
class BudgetLine:
    """One arm's line; `arm_index` is the arm's index in the study."""

    arm: str
    arm_index: int
    x: tuple[float, ...]
    y: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class BudgetData:
    """Lines over what was spent.

    Attributes:
        x_label, y_label: Titles of the axes, plain text.
        steps: Whether a value holds until the next one, as a best so far does.
        lines: One line per arm.
    """

    x_label: str
    y_label: str
    steps: bool
    lines: tuple[BudgetLine, ...]


@dataclass(frozen=True, kw_only=True)
class ParetoData:
    """Candidates on the arms' Pareto fronts.

    Attributes:
        x_label, y_label: Titles of the axes, plain text.
        arms: Name of each arm, its index in the study, and the candidates on its front.
    """

    x_label: str
    y_label: str
    arms: tuple[tuple[str, int, tuple[Candidate, ...]], ...]


def anytime_data(evidence: Evidence, comparison: Comparison, arms: Sequence[str]) -> BudgetData:
    """Return the best validation value so far against device-seconds, for these arms."""
    by_arm = {curve.arm: curve for curve in evidence.anytime}
    return BudgetData(
        x_label="device-seconds in tuning",
        y_label=f"best {comparison.primary.label} so far, validation",
        steps=True,
        lines=tuple(
            BudgetLine(
                arm=arm,
                arm_index=comparison.facts.arms.index(arm),
                x=by_arm[arm].seconds,
                y=by_arm[arm].best,
            )
            for arm in arms
            if arm in by_arm
        ),
    )


def expected_data(evidence: Evidence, comparison: Comparison, arms: Sequence[str]) -> BudgetData:
    """Return the expected validation value of the best of n candidates, for these arms."""
    by_arm = {curve.arm: curve for curve in evidence.expected}
    return BudgetData(
        x_label="candidates",
        y_label=f"expected best {comparison.primary.label}, validation",
        steps=False,
        lines=tuple(
            BudgetLine(
                arm=arm,
                arm_index=comparison.facts.arms.index(arm),
                # `values[0]` is the expected best of one candidate.
                x=tuple(float(n) for n in range(1, len(by_arm[arm].values) + 1)),
                y=by_arm[arm].values,
            )
            for arm in arms
            if arm in by_arm
        ),
    )


def pareto_data(evidence: Evidence, comparison: Comparison, arms: Sequence[str]) -> ParetoData:
    """Return the Pareto fronts of these arms."""
    fronts = evidence.fronts
    return ParetoData(
        x_label=evidence.second_label,
        y_label=f"{comparison.primary.label}, validation",
        arms=tuple(
            (arm, comparison.facts.arms.index(arm), tuple(p for p in fronts if p.arm == arm))
            for arm in arms
            if any(p.arm == arm for p in fronts)
        ),
    )
