"""The values of a report beyond arms against the baseline; `gathering.gather` makes them.

All estimates are of the primary test metric unless it says otherwise. A missing or undefined
quantity is None, never 0 and never NaN.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from reports.evidence.estimates import Verdict

Number = float | None


@dataclass(frozen=True, kw_only=True)
class Effect:
    """A main effect of one factor, or the interaction of two, of a factorial design.

    Attributes:
        factors: one, or two.
        estimate: a main effect is mean(on) - mean(off); an interaction is half of how much the
            effect of the first grows when the second is switched on.
        low, high: 95 % confidence interval.
        p: two-sided; `p_holm` corrects it over the effects of the same order.
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
        factors: in the order of the design.
        arms, seeds: that it was fitted to.
        main, interactions: the effects; an interaction that the design mixes with other effects
            is not among them.
        levels: for each factor the level that counts as off and the one that counts as on.
        mixed: what the design can't tell apart, a phrase each: `A with B x C`.
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
    """A module's share of v(all on) - v(all off); interval by resampling seeds."""

    factor: str
    value: float
    low: Number
    high: Number


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """Two factors against each other: arms that differ in nothing else.

    Attributes:
        rows, columns: levels.
        arms, means: [row][column]; None where no such arm was confirmed.
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
    """A step of the greedy ablation path: of the trained arms one flip away, the best.

    Attributes:
        arm: reached; the first step is where the path begins, and has no flip.
        flip: `factor: level`; empty at the beginning.
        mean: of the arm.
        delta, low, high: from the step before, paired by seed, with its BCa interval.
        considered: arms that this step chose among.
        left: of these, how many were still in the race when the seeds ran out, the chosen one
            among them; with more than one the choice is by mean alone.
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
    """An arm with its own hyperparameters, and the same one with the baseline's.

    Attributes:
        arm, frozen_arm: names.
        tuned_delta, frozen_delta: from the baseline.
        tuned_verdict, frozen_verdict: of each.
        flips: whether the two verdicts differ.
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
    """How much of the spread of validation values a searched field explains (PED-ANOVA).

    Attributes:
        arm, field: which.
        value: share; the fields of an arm sum to 1 where any is defined.
        low, high: 95 % percentile interval over resampled candidates.
        candidates: finished ones it was made from.
        resamples: that the interval was made from; 0 without an interval.
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
        seconds: ascending, one a finished candidate, cumulated in the order of candidates.
        best: so far.
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
    """One arm on the test utterances of one tag.

    Attributes:
        dimension, tag: which utterances.
        utterances: how many.
        mean: of the primary metric on them, over seeds.
        delta, low, high: from the baseline, with its two-level interval; None for the baseline.
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
        mean, low, high: over the cells still training at that epoch; low and high are the lowest
            and highest of them.
        cells: still training, an epoch.
    """

    arm: str
    mean: tuple[Number, ...]
    low: tuple[Number, ...]
    high: tuple[Number, ...]
    cells: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class TuningPoint:
    """One candidate, over its tuning seeds.

    Attributes:
        arm, candidate: which.
        params: searched field -> value, of those that meant something.
        value: mean validation value of the primary metric; None where no seed has one.
        status: `complete` where every seed is, else `pruned` or `failed`.
        confirmed: whether it was the one to be tested.
    """

    arm: str
    candidate: int
    params: Mapping[str, bool | int | float | str]
    value: Number
    status: str
    confirmed: bool


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Everything beyond the table.

    Attributes:
        effects, shapley, matrices, path, frozen, importance, anytime, expected, slices, learning,
            tuning: see their classes; empty where there is none.
        declined: what was asked of the results and refused -> why, for the reader: `effects`,
            `shapley`, `expected`, `importance`, `datasets`, ...
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
    tuning: tuple[TuningPoint, ...] = ()
    declined: Mapping[str, str] = field(default_factory=dict)
