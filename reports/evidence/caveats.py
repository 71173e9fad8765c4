"""Caveats of a study: limits of the design, fairness of the tuning budgets, failed cells."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from reports.evidence.statistics.paired import detectable_effect, p_floor, seeds_needed
from reports.results import METRIC, CellPhase, CellStatus, Results, order_cells, select_complete

# Share of the device-seconds within which arms count as equal: training stops between epochs, so
# no arm spends its seconds exactly.
SPENT_ALIKE = 0.05


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits that the numbers of seeds and utterances set to the conclusions of a study.

    Attributes:
        seeds: Confirm seeds that arms share with the baseline (planned ones before any is done).
        arms: Arms compared with the baseline, which is the number of tests that Holm corrects for.
        p_floor: Smallest two-sided p that `seeds` can give.
        seeds_needed: Fewest seeds with which a Holm-corrected p <= .05 is possible at all.
        detectable_sd: Smallest effect found with 80 % power, in sd of the paired differences.
        detectable: Same effect in the unit of the primary metric, by the median sd over arms.
        test_size: Number of test utterances.
        accuracy_metric: Name of the accuracy whose sampling error is given.
        accuracy_error: Standard error of that accuracy of the baseline, from test size alone.
    """

    seeds: int
    arms: int
    p_floor: float
    seeds_needed: int
    detectable_sd: float | None
    detectable: float | None
    test_size: int | None
    accuracy_metric: str | None
    accuracy_error: float | None


@dataclass(frozen=True, kw_only=True)
class Fairness:
    """Budget that one arm was given, and what came of it.

    Attributes:
        arm: Name of the arm.
        searched: Number of searched fields; with 0 there is nothing to tune.
        candidates: Number of distinct candidates tried.
        tune_seeds: Number of distinct seeds in tuning.
        epochs: Epochs trained in tuning, over all cells.
        seconds: Seconds spent in tuning; None where no cell has a time.
        complete: Number of confirm seeds with a complete cell.
        missing: Number of planned confirm seeds without one.
        failed, pruned: Number of cells of both phases with that status.
        unequal: Whether the tuning budget differs from that of most tuned arms.
    """

    arm: str
    searched: int
    candidates: int
    tune_seeds: int
    epochs: int
    seconds: float | None
    complete: int
    missing: int
    failed: int
    pruned: int
    unequal: bool = False


@dataclass(frozen=True, kw_only=True)
class FailedCell:
    """Cell that failed, or was stopped early in the confirm phase, with the reason.

    Attributes:
        kind: Kind of the failure, in a word or two; empty if unknown.
        log: Last lines that the training printed; empty if there are none.
    """

    key: str
    arm: str
    phase: str
    candidate: int
    seed: int
    status: str
    reason: str
    kind: str = ""
    log: str = ""

    @property
    def group(self) -> str:
        """Kind, or else status, under which a report lists the cell."""
        return self.kind or self.status


def describe_limits(
    *,
    seeds: int,
    arms: int,
    difference_sds: Sequence[float],
    test_size: int | None,
    baseline_means: Mapping[str, float | None],
) -> Limits:
    """Compute the limits of a design.

    Args:
        seeds: Confirm seeds that arms share with the baseline.
        arms: Arms compared with the baseline.
        difference_sds: Sd of the paired differences on the primary metric, one per arm.
        test_size: Number of test utterances; None if unknown.
        baseline_means: Metric -> mean of the baseline; the first `acc2*`, or `accuracy`, gives
            the accuracy.
    """
    effect = detectable_effect(seeds)
    spread = float(np.median(difference_sds)) if len(difference_sds) else None
    shares = (name for name in baseline_means if name.startswith("acc2") or name == "accuracy")
    accuracy = next(shares, None)
    share = baseline_means[accuracy] if accuracy else None
    error = None
    # The formula is that of a share; an accuracy on another scale has none here.
    if share is not None and test_size and 0 <= share <= 1:
        error = float(np.sqrt(share * (1 - share) / test_size))
    return Limits(
        seeds=seeds,
        arms=arms,
        p_floor=p_floor(seeds),
        seeds_needed=seeds_needed(arms),
        detectable_sd=effect,
        detectable=effect * spread if effect is not None and spread is not None else None,
        test_size=test_size,
        accuracy_metric=accuracy if error is not None else None,
        accuracy_error=error,
    )


def describe_fairness(results: Results) -> tuple[Fairness, ...]:
    """Collect the budgets of all arms, in the order of the facts."""
    rows = results.cells.groupby("arm", sort=False).indices
    nothing = results.cells.iloc[:0]
    found = [
        _fairness_of(results, arm, results.cells.iloc[rows[arm]] if arm in rows else nothing)
        for arm in results.facts.arms
    ]
    seconds = results.facts.device_seconds
    tried = Counter(row.candidates for row in found if row.searched)
    # The most frequent number; of several such numbers the largest, so that ties are decided.
    usual = max(tried, key=lambda number: (tried[number], number), default=0)
    return tuple(
        replace(row, unequal=bool(row.searched) and _budget_deviates(row, usual, seconds))
        for row in found
    )


def _budget_deviates(row: Fairness, usual: int, device_seconds: float | None) -> bool:
    """Check whether a tuned arm had another budget than the usual one, in candidates or seconds."""
    if device_seconds is None:
        return row.candidates != usual
    return abs((row.seconds or 0.0) - device_seconds) > SPENT_ALIKE * device_seconds


def _fairness_of(results: Results, arm: str, own: pd.DataFrame) -> Fairness:
    facts = results.facts
    tuning = own[own["phase"] == CellPhase.TUNE]
    done = {int(seed) for seed in select_complete(own, CellPhase.CONFIRM)["seed"]}
    return Fairness(
        arm=arm,
        searched=len(facts.searched.get(arm, ())),
        candidates=int(tuning["candidate"].nunique()),
        tune_seeds=int(tuning["seed"].nunique()),
        epochs=int(tuning["epochs"].fillna(0).sum()),
        seconds=_tuning_seconds(tuning),
        complete=len(done),
        missing=len(set(facts.confirm_seeds) - done),
        failed=int((own["status"] == CellStatus.FAILED).sum()),
        pruned=int((own["status"] == CellStatus.PRUNED).sum()),
    )


def _tuning_seconds(tuning: pd.DataFrame) -> float | None:
    name = f"{METRIC}seconds"
    if name not in tuning.columns or not tuning[name].notna().any():
        return None
    # Sorted: a float sum depends on the order, and a report must not depend on that of the cells.
    return float(np.sum(np.sort(tuning[name].dropna().to_numpy(dtype=np.float64))))


def list_failures(results: Results) -> tuple[FailedCell, ...]:
    """List failed cells, and confirm cells that were stopped early."""
    cells = results.cells
    # Pruned tuning cells are part of the plan; a pruned confirm cell is a seed that is missing.
    wrong = cells[
        (cells["status"] == CellStatus.FAILED)
        | ((cells["status"] == CellStatus.PRUNED) & (cells["phase"] == CellPhase.CONFIRM))
    ]
    return tuple(
        FailedCell(
            key=str(row["key"]),
            arm=str(row["arm"]),
            phase=str(row["phase"]),
            candidate=int(row["candidate"]),
            seed=int(row["seed"]),
            status=str(row["status"]),
            reason=results.reasons.get(str(row["key"]), "no reason was recorded"),
            kind=results.kinds.get(str(row["key"]), ""),
            log=results.logs.get(str(row["key"]), ""),
        )
        for row in order_cells(wrong, results.facts).to_dict("records")
    )
