"""Whether a cell or a row that was trained again is the same, and how it is not; pure functions."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from reports.encoding import decode_floats
from search.ledger.record import CellRecord

Verdict = Literal["same", "inside", "not"]
SAME: Verdict = "same"
INSIDE: Verdict = "inside"
NOT: Verdict = "not"
SECONDS = "seconds"
TEST = "test."
MOST_METRICS = 3  # that differ, told one by one
FEWEST_OTHERS = 2  # seeds beside a cell's own that tell how far a new one may lie
COVERAGE = 0.95


@dataclass(frozen=True, kw_only=True, slots=True)
class CellOutcome:
    """A cell that was trained again.

    Attributes:
        then, now: the value that decides, see `metric`; None where there is none.
        low, high: where a new seed of the same arm is expected, with 95 % confidence.
        others: other seeds that this was made from.
        differences: what is not the same, in words; empty if all of it is.
        fails: how it fails, in words; empty if it does not.
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
    """An arm whose confirm cells were trained again.

    Attributes:
        metric: that decides.
        then, now: mean difference from the baseline's cells in the ledger; None of the baseline,
            and where there is none.
        low, high: 95 % interval of the difference then.
        interval: what kind of interval, in words; empty if there is none.
        cells: that were trained again.
        same: those of them that are the same.
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
    then: CellRecord, now: CellRecord, others: Iterable[CellRecord], *, primary: str, sealed: bool
) -> CellOutcome:
    """Compare a cell with what it was.

    It is *inside* where it is not the same, but its value lies where a new seed would be expected
    from the other seeds: mean +- t sd sqrt(1 + 1 / n).

    Args:
        then: whole, from the ledger.
        now: whole.
        others: finished cells of the same arm, candidate and phase, other seeds.
        primary: the study's metric.
        sealed: whether nobody is to look at test.
    """
    tested = then.phase == "confirm" and not sealed
    metric = f"{TEST if tested else 'valid.'}{primary}"
    values = [r.metrics[metric] for r in others if r.status == "complete" and metric in r.metrics]
    interval = prediction_interval(values)
    low, high = interval or (None, None)
    old, new = then.metrics.get(metric), now.metrics.get(metric)
    found = tuple(differences(then, now, tested=tested))
    if not found:
        verdict = SAME
    elif then.status == now.status and _lies(new, low, high):
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
        fails=_failure(now),
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
        arm: its name.
        outcomes: of its confirm cells.
        metric: as in `CellOutcome`.
        is_baseline: it then has no difference, and is inside where all of its cells are.
        baseline: seed -> value of the baseline's cell in the ledger.
        interval: 95 %, of the difference as it was.
        kind: of interval, in words.
    """
    low, high = interval or (None, None)
    then = _delta({o.seed: o.then for o in outcomes}, baseline)
    now = _delta({o.seed: o.now for o in outcomes}, baseline)
    same = sum(outcome.verdict == SAME for outcome in outcomes)
    if same == len(outcomes):
        verdict = SAME
    elif is_baseline:
        verdict = NOT if any(outcome.verdict == NOT for outcome in outcomes) else INSIDE
    else:
        verdict = INSIDE if _lies(now, low, high) else NOT
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
    """Where the value of one new seed is expected with 95 % confidence; None of fewer than two.

    Args:
        values: of the other seeds. (1, 2, 3) give 2 +- 4.303 * 1 * sqrt(4 / 3).
    """
    n = len(values)
    if n < FEWEST_OTHERS:
        return None
    mean, sd = float(np.mean(values)), float(np.std(values, ddof=1))
    reach = float(stats.t.ppf((1 + COVERAGE) / 2, n - 1)) * sd * math.sqrt(1 + 1 / n)
    return mean - reach, mean + reach


def differences(then: CellRecord, now: CellRecord, *, tested: bool) -> list[str]:
    """What is not the same of two records of one cell, in words; empty if it is, to the bit.

    Seconds, and what a failed training said, do not count.

    Args:
        then: whole, from the ledger.
        now: whole.
        tested: whether test metrics and predictions count.
    """
    said = []
    for name in ("status", "kind", "reason"):
        if getattr(then, name) != getattr(now, name):
            said.append(_change(name, getattr(then, name), getattr(now, name)))
    for name, label in (("epochs", "epochs trained"), ("best_epoch", "best epoch")):
        if getattr(then, name) != getattr(now, name):
            said.append(f"{label} {getattr(then, name)}, now {getattr(now, name)}")
    said += _metric_differences(then.metrics, now.metrics, tested)
    said += _curve_differences(then.curve, now.curve)
    if tested and then.predictions != now.predictions:
        said.append(_prediction_difference(then.predictions, now.predictions))
    return said


def _change(name: str, then: str, now: str) -> str:
    return (
        f"{name} '{then}', now '{now}'"
        if then and now
        else f"{name} '{then or now}' " + ("then, now none" if then else "now, then none")
    )


def _metric_differences(
    then: Mapping[str, float], now: Mapping[str, float], tested: bool
) -> list[str]:
    names = [
        name
        for name in dict.fromkeys([*then, *now])
        if name != SECONDS and (tested or not name.startswith(TEST))
    ]
    unlike = [name for name in names if then.get(name) != now.get(name)]
    said = [f"{name} {_shown(then.get(name))}, now {_shown(now.get(name))}" for name in
            unlike[:MOST_METRICS]]  # fmt: skip
    if len(unlike) > MOST_METRICS:
        said.append(f"{len(unlike) - MOST_METRICS} more metrics")
    return said


def _curve_differences(
    then: Mapping[str, Sequence[float | None]], now: Mapping[str, Sequence[float | None]]
) -> list[str]:
    """Curves compared as the ledger keeps them, as float32."""
    first: dict[str, int] = {}
    for name in dict.fromkeys([*then, *now]):
        old, new = _float32(then.get(name, ())), _float32(now.get(name, ()))
        if old.tobytes() == new.tobytes():
            continue
        shared = min(old.size, new.size)
        bits = old[:shared].view(np.uint32) != new[:shared].view(np.uint32)
        first[name] = 1 + (int(np.argmax(bits)) if bits.any() else shared)
    if not first:
        return []
    earliest = min(first, key=lambda name: first[name])
    count = f"{len(first)} curves" if len(first) > 1 else "the curve"
    return [f"{count}, {earliest} from epoch {first[earliest]} on"]


def _float32(values: Sequence[float | None]) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    with np.errstate(over="ignore"):  # the ledger has NaN there, as for all that is not finite
        found = np.array([math.nan if v is None else v for v in values], dtype=np.float32)
    found[~np.isfinite(found)] = np.nan
    return found


def _prediction_difference(then: str, now: str) -> str:
    if not then or not now:
        return "test predictions then, now none" if then else "test predictions now, then none"
    old, new = decode_floats(then), decode_floats(now)
    if old.size != new.size:
        return f"{old.size} test predictions, now {new.size}"
    unlike = int((old.view(np.uint32) != new.view(np.uint32)).sum())
    return f"{unlike} of {old.size} test predictions, by {np.abs(old - new).max():.2g} at most"


def _delta(own: Mapping[int, float | None], baseline: Mapping[int, float]) -> float | None:
    """Mean difference over the shared seeds."""
    found = [value - baseline[seed] for seed, value in own.items()
             if value is not None and seed in baseline]  # fmt: skip
    return float(np.mean(found)) if found else None


def _lies(value: float | None, low: float | None, high: float | None) -> bool:
    return value is not None and low is not None and high is not None and low <= value <= high


def _failure(record: CellRecord) -> str:
    if record.status != "failed":
        return ""
    return f"{record.kind}: {record.reason}" if record.kind else record.reason


def _shown(value: float | None) -> str:
    return "none" if value is None else repr(value)
