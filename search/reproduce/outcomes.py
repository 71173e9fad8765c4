"""Comparison of a cell or a row with what it was before it was trained again; pure functions."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from reports.encoding import decode_floats
from search.ledger.record import CellRecord
from spaces.core import Status
from spaces.plan.plan import Phase

Verdict = Literal["same", "inside", "not"]
SAME: Verdict = "same"
INSIDE: Verdict = "inside"
NOT: Verdict = "not"
SECONDS = "seconds"
TEST = "test."
MOST_METRICS = 3  # differing metrics that are listed one by one
FEWEST_OTHERS = 2  # other seeds from which on their standard deviation is defined
COVERAGE = 0.95


@dataclass(frozen=True, kw_only=True, slots=True)
class CellOutcome:
    """The comparison of a cell that was trained again.

    Attributes:
        then, now: Value of `metric`, which decides; None where there is none.
        low, high: 95 % prediction interval of a new seed of the same arm.
        others: Number of other seeds that the interval is made from.
        differences: Differences in words; empty if the cell is the same.
        fails: Failure of the new training in words; empty if it did not fail.
    """

    key: str
    arm: str
    phase: str
    candidate: int
    seed: int
    verdict: Verdict
    metric: str
    then: float | None
    now: float | None
    low: float | None
    high: float | None
    others: int
    differences: tuple[str, ...]
    fails: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class RowOutcome:
    """The comparison of an arm whose confirm cells were trained again.

    Attributes:
        metric: Metric that decides.
        then, now: Mean difference from the baseline's cells in the ledger; None of the baseline,
            and where there is none.
        low, high: 95 % interval of the difference as it was.
        interval: Kind of the interval in words; empty if there is none.
        cells: Number of cells that were trained again.
        same: Number of those that are the same.
    """

    arm: str
    verdict: Verdict
    metric: str
    then: float | None
    now: float | None
    low: float | None
    high: float | None
    interval: str
    cells: int
    same: int


def judge_cell(
    then: CellRecord,
    now: CellRecord,
    others: Iterable[CellRecord],
    *,
    primary: str,
    embargoed: bool,
) -> CellOutcome:
    """Compare a cell with what it was.

    It is *inside* where it is not the same, but its value lies where a new seed would be expected
    from the other seeds: mean +- t sd sqrt(1 + 1 / n).

    Args:
        then: Record from the ledger, with curves and predictions.
        now: Record of the new training, likewise.
        others: Finished cells of the same arm, candidate and phase, other seeds.
        primary: The study's metric.
        embargoed: Whether test metrics must not be looked at.
    """
    tested = then.phase == Phase.CONFIRM and not embargoed
    metric = f"{TEST if tested else 'valid.'}{primary}"
    values = [
        r.metrics[metric] for r in others if r.status == Status.COMPLETE and metric in r.metrics
    ]
    interval = prediction_interval(values)
    low, high = interval or (None, None)
    old, new = then.metrics.get(metric), now.metrics.get(metric)
    found = tuple(record_differences(then, now, tested=tested))
    if not found:
        verdict = SAME
    elif then.status == now.status and _lies_within(new, low, high):
        verdict = INSIDE
    else:
        verdict = NOT
    return CellOutcome(
        key=then.key,
        arm=then.arm,
        phase=then.phase,
        candidate=then.candidate,
        seed=then.seed,
        verdict=verdict,
        metric=metric,
        then=old,
        now=new,
        low=low,
        high=high,
        others=len(values),
        differences=found,
        fails=_failure_text(now),
    )


def judge_row(
    arm: str,
    outcomes: Sequence[CellOutcome],
    *,
    metric: str,
    is_baseline: bool,
    baseline: Mapping[int, float],
    interval: tuple[float, float] | None,
    kind: str,
) -> RowOutcome:
    """Compare a row with what it was.

    Args:
        arm: Name of the arm.
        outcomes: Outcomes of its confirm cells.
        metric: Metric that decides.
        is_baseline: Whether it is the baseline, which has no difference, and is inside where all
            of its cells are.
        baseline: Seed -> value of the baseline's cell in the ledger.
        interval: 95 % interval of the difference as it was.
        kind: Kind of the interval in words.
    """
    low, high = interval or (None, None)
    then = _mean_difference({o.seed: o.then for o in outcomes}, baseline)
    now = _mean_difference({o.seed: o.now for o in outcomes}, baseline)
    same = sum(outcome.verdict == SAME for outcome in outcomes)
    if same == len(outcomes):
        verdict = SAME
    elif is_baseline:
        verdict = NOT if any(outcome.verdict == NOT for outcome in outcomes) else INSIDE
    else:
        verdict = INSIDE if _lies_within(now, low, high) else NOT
    return RowOutcome(
        arm=arm,
        verdict=verdict,
        metric=metric,
        then=None if is_baseline else then,
        now=None if is_baseline else now,
        low=low,
        high=high,
        interval=kind if interval else "",
        cells=len(outcomes),
        same=same,
    )


def prediction_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Return the 95 % prediction interval of one new seed; None of fewer than two seeds.

    Args:
        values: Values of the other seeds. (1, 2, 3) give 2 +- 4.303 * 1 * sqrt(4 / 3).
    """
    n = len(values)
    if n < FEWEST_OTHERS:
        return None
    mean, sd = float(np.mean(values)), float(np.std(values, ddof=1))
    reach = float(stats.t.ppf((1 + COVERAGE) / 2, n - 1)) * sd * math.sqrt(1 + 1 / n)
    return mean - reach, mean + reach


def record_differences(then: CellRecord, now: CellRecord, *, tested: bool) -> list[str]:
    """List the differences of two records of one cell, in words; empty if they are bitwise equal.

    Seconds, and the log of a failed training, do not count.

    Args:
        then: Record from the ledger, with curves and predictions.
        now: Record of the new training, likewise.
        tested: Whether test metrics and predictions count.
    """
    fields = ("status", "kind", "reason", "epochs", "best_epoch")
    said = [
        _change_text(name.replace("_", " "), getattr(then, name), getattr(now, name))
        for name in fields
        if getattr(then, name) != getattr(now, name)
    ]
    said += _metric_differences(then.metrics, now.metrics, tested)
    said += _curve_differences(then.curve, now.curve)
    if tested and then.predictions != now.predictions:
        said.append(_prediction_difference(then.predictions, now.predictions))
    return said


def _change_text(name: str, then: str | float | None, now: str | float | None) -> str:
    return f"{name} {_quote_value(then)}, now {_quote_value(now)}"


def _quote_value(value: str | float | None) -> str:
    if isinstance(value, str):
        return f"'{value}'" if value else "none"
    return "none" if value is None else repr(value)


def _metric_differences(
    then: Mapping[str, float], now: Mapping[str, float], tested: bool
) -> list[str]:
    names = [
        name
        for name in dict.fromkeys([*then, *now])
        if name != SECONDS and (tested or not name.startswith(TEST))
    ]
    unlike = [name for name in names if then.get(name) != now.get(name)]
    said = [_change_text(name, then.get(name), now.get(name)) for name in unlike[:MOST_METRICS]]
    if len(unlike) > MOST_METRICS:
        said.append(f"{len(unlike) - MOST_METRICS} more metrics")
    return said


def _curve_differences(
    then: Mapping[str, Sequence[float | None]], now: Mapping[str, Sequence[float | None]]
) -> list[str]:
    """Compare curves as the ledger keeps them, as float32."""
    first: dict[str, int] = {}
    for name in dict.fromkeys([*then, *now]):
        old, new = _as_float32(then.get(name, ())), _as_float32(now.get(name, ()))
        if old.tobytes() == new.tobytes():
            continue
        shared = min(old.size, new.size)
        # By their bits: NaN differs from NaN as a number, and so would every diverged curve.
        bits = old[:shared].view(np.uint32) != new[:shared].view(np.uint32)
        first[name] = 1 + (int(np.argmax(bits)) if bits.any() else shared)
    if not first:
        return []
    earliest = min(first, key=lambda name: first[name])
    count = f"{len(first)} curves" if len(first) > 1 else "the curve"
    return [f"{count}, {earliest} from epoch {first[earliest]} on"]


def _as_float32(values: Sequence[float | None]) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    with np.errstate(over="ignore"):  # the ledger has NaN there, as for all that is not finite
        found = np.array([math.nan if v is None else v for v in values], dtype=np.float32)
    found[~np.isfinite(found)] = np.nan
    return found


def _prediction_difference(then: str, now: str) -> str:
    if not then or not now:
        return f"test predictions: {'some' if then else 'none'}, now {'some' if now else 'none'}"
    old, new = decode_floats(then), decode_floats(now)
    if old.size != new.size:
        return f"{old.size} test predictions, now {new.size}"
    unlike = int((old.view(np.uint32) != new.view(np.uint32)).sum())
    return f"{unlike} of {old.size} test predictions, by {np.abs(old - new).max():.2g} at most"


def _mean_difference(
    own: Mapping[int, float | None], baseline: Mapping[int, float]
) -> float | None:
    """Return the mean difference over the shared seeds; None without any."""
    found = [value - baseline[seed] for seed, value in own.items()
             if value is not None and seed in baseline]  # fmt: skip
    return float(np.mean(found)) if found else None


def _lies_within(value: float | None, low: float | None, high: float | None) -> bool:
    return value is not None and low is not None and high is not None and low <= value <= high


def _failure_text(record: CellRecord) -> str:
    if record.status != Status.FAILED:
        return ""
    return f"{record.kind}: {record.reason}" if record.kind else record.reason
