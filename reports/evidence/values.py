"""Values of a report beyond arms against the baseline, made by `gather.gather_evidence`.

All estimates are of the primary test metric unless stated otherwise. A missing or undefined
quantity is None, never 0 and never NaN.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from reports.evidence.verdicts import Verdict
from reports.results import CellStatus

Number = float | None
FieldValue = bool | int | float | str  # of a searched field


@dataclass(frozen=True, kw_only=True)
class Effect:
    """Main effect of one factor, or interaction of two, of a factorial design.

    Attributes:
        factors: Names of one or two factors.
        estimate: Main effect, mean(on) - mean(off); or interaction, half of how much the effect of
            the first factor grows when the second is switched on.
        low, high: Ends of the 95 % confidence interval.
        p: Two-sided p.
        p_holm: Same p, Holm-corrected over the effects of the same order.
    """

    factors: tuple[str, ...]
    estimate: float
    low: Number
    high: Number
    p: Number
    p_holm: Number


@dataclass(frozen=True, kw_only=True)
class FactorialEffects:
    """OLS with seed as a block over the arms of a two-level design.

    Attributes:
        factors: Names in the order of the design.
        arms, seeds: Numbers of arms and seeds in the fit.
        main, interactions: Effects; an interaction that the design mixes with other effects is not
            among them.
        levels: Level that counts as off and level that counts as on, per factor.
        mixed: Effects that the design can't tell apart, one phrase each: `A with B x C`.
    """

    factors: tuple[str, ...]
    arms: int
    seeds: int
    main: tuple[Effect, ...]
    interactions: tuple[Effect, ...]
    levels: tuple[tuple[str, str], ...] = ()
    mixed: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ShapleyValue:
    """Share of one module in v(all on) - v(all off); interval by resampling seeds."""

    factor: str
    value: float
    low: Number
    high: Number


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """Matrix of two factors: arms that differ in nothing else.

    Attributes:
        rows, columns: Levels of the two factors.
        arms, means: Entries [row][column]; None where no such arm was confirmed.
        beside: `factor: level` of every other factor that varies in the study.
    """

    row_factor: str
    column_factor: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    arms: tuple[tuple[str | None, ...], ...]
    means: tuple[tuple[Number, ...], ...]
    beside: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PathStep:
    """Step of the greedy ablation path: of the trained arms one flip away, the best.

    Attributes:
        arm: Arm that the step reaches; the first step is the beginning of the path.
        flip: `factor: level`; empty at the beginning.
        mean: Mean of the arm.
        delta, low, high: Difference from the step before, paired by seed, and its BCa interval.
        considered: Number of arms that the step chose among.
        left: Number of these that the seeds do not show to be worse, with the chosen one; above 1
            the choice is by mean alone.
    """

    arm: str
    flip: str
    mean: Number
    delta: Number
    low: Number
    high: Number
    considered: int
    left: int = 1


@dataclass(frozen=True, kw_only=True)
class FrozenPair:
    """Arm with hyperparameters of its own, and the same arm with the baseline's.

    Attributes:
        arm, frozen_arm: Names of the two.
        tuned_delta, frozen_delta: Differences from the baseline.
        tuned_verdict, frozen_verdict: Verdicts on the two.
        flips: Whether the two verdicts differ.
    """

    arm: str
    frozen_arm: str
    tuned_delta: Number
    frozen_delta: Number
    tuned_verdict: Verdict
    frozen_verdict: Verdict
    flips: bool


@dataclass(frozen=True, kw_only=True)
class Importance:
    """Share of the spread of validation values that a searched field explains (PED-ANOVA).

    Attributes:
        arm, field: Names of both.
        value: Share; the fields of an arm sum to 1 where any is defined.
        low, high: 95 % percentile interval over resampled candidates.
        candidates: Number of finished candidates in the estimate.
        resamples: Number of resamples in the interval; 0 without an interval.
    """

    arm: str
    field: str
    value: float
    low: Number
    high: Number
    candidates: int
    resamples: int = 0


@dataclass(frozen=True, kw_only=True)
class AnytimeCurve:
    """Best mean validation value so far, against device-seconds spent in tuning an arm.

    Attributes:
        seconds: Cumulated seconds, one per finished candidate, in the order of candidates.
        best: Best value after each of them.
    """

    arm: str
    seconds: tuple[float, ...]
    best: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class ExpectedCurve:
    """Expected validation performance of the best of n independent candidates, n = 1..N."""

    arm: str
    values: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class SliceEstimate:
    """Estimate of one arm on the test utterances of one tag.

    Attributes:
        dimension, tag: Names that select the utterances.
        utterances: Number of utterances.
        mean: Mean of the primary metric on them, over seeds.
        delta, low, high: Difference from the baseline and its two-level interval; None for the
            baseline.
    """

    arm: str
    dimension: str
    tag: str
    utterances: int
    mean: Number
    delta: Number
    low: Number
    high: Number


@dataclass(frozen=True, kw_only=True)
class LearningCurve:
    """Validation curves of an arm's confirm cells, epoch by epoch.

    Attributes:
        mean, low, high: Mean, lowest and highest value of the cells that still train, per epoch.
        cells: Number of these cells, per epoch.
    """

    arm: str
    mean: tuple[Number, ...]
    low: tuple[Number, ...]
    high: tuple[Number, ...]
    cells: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """Candidate of one arm, over its tuning seeds.

    Attributes:
        arm, number: Name of the arm and number of the candidate in it.
        params: Searched field -> value, of the fields that have a meaning in this candidate.
        value: Mean validation value of the primary metric; None where no seed has one.
        second: Mean of the second objective; None without one, or where a seed lacks either.
        status: `complete` where every tuning seed is complete, `failed` where one failed, `pruned`
            where one was stopped, else `unfinished`.
        seconds: Seconds of all its tuning cells; None where no cell has a time.
        confirmed: Whether this candidate was the one to be tested.
    """

    arm: str
    number: int
    params: Mapping[str, FieldValue]
    value: Number
    second: Number = None
    status: str
    seconds: Number = None
    confirmed: bool

    @property
    def is_finished(self) -> bool:
        """Whether every seed is complete and the value is defined."""
        return self.status == CellStatus.COMPLETE and self.value is not None


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Evidence of a study beyond the table.

    Attributes:
        effects, shapley, matrices, path, frozen, importance, anytime, expected, slices, learning,
            tuning: Values of their classes; empty where there is none.
        fronts: Candidates on the Pareto fronts of their arms, where the study has two objectives.
        second_label: Name of the second objective for readers.
        declined: Kind of evidence that the results cannot give -> reason, for readers: `effects`,
            `shapley`, `path`, `expected`, `importance`, `datasets`, `slices`.
    """

    effects: FactorialEffects | None = None
    shapley: tuple[ShapleyValue, ...] = ()
    matrices: tuple[Matrix, ...] = ()
    path: tuple[PathStep, ...] = ()
    frozen: tuple[FrozenPair, ...] = ()
    importance: tuple[Importance, ...] = ()
    anytime: tuple[AnytimeCurve, ...] = ()
    expected: tuple[ExpectedCurve, ...] = ()
    slices: tuple[SliceEstimate, ...] = ()
    learning: tuple[LearningCurve, ...] = ()
    tuning: tuple[Candidate, ...] = ()
    fronts: tuple[Candidate, ...] = ()
    second_label: str = ""
    declined: Mapping[str, str] = field(default_factory=dict)
