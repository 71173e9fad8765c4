"""What must be said rather than hidden: the limits of a design, its fairness, its failures."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from reports.evidence.statistics.paired import detectable_effect, p_floor, seeds_needed
from reports.results import METRIC, Results

SPENT_ALIKE = 0.05  # of the device-seconds: within these, arms that got seconds got the same


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What this many seeds and utterances can and cannot show.

    Attributes:
        seeds: confirm seeds that arms share with the baseline (planned ones before any is done).
        arms: arms compared with the baseline, so the tests that Holm corrects for.
        p_floor: smallest two-sided p that `seeds` can give.
        seeds_needed: fewest seeds with which a Holm-corrected p <= .05 is possible at all.
        detectable_sd: smallest detectable effect in sd of the paired differences; 80 % power.
        detectable: the same in the primary metric's unit, by the median sd over arms.
        test_size: test utterances.
        accuracy_metric: the accuracy whose sampling error is given.
        accuracy_error: standard error of that accuracy of the baseline, from test size alone.
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
    """What one arm was given.

    Attributes:
        arm: its name.
        searched: number of searched fields; with 0 there is nothing to tune.
        candidates: distinct candidates tried.
        tune_seeds: distinct seeds in tuning.
        epochs: epochs trained in tuning, all cells.
        seconds: seconds spent in tuning; None where no cell says.
        complete: confirm seeds with a complete cell.
        missing: planned confirm seeds without one.
        failed, pruned: cells of both phases with that status.
        unequal: whether its tuning budget is another than that of most tuned arms.
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
class Failure:
    """A cell that failed, or was stopped early in the confirm phase, and why.

    Attributes:
        kind: of a failure, in a word or two; empty if unknown.
        log: the last lines that the training said; empty if there are none.
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
        """What it is listed under."""
        return self.kind or self.status


def describe_limits(
    *,
    seeds: int,
    arms: int,
    difference_sds: Sequence[float],
    test_size: int | None,
    baseline_means: Mapping[str, float | None],
) -> Limits:
    """The limits of a design.

    Args:
        seeds: as in `Limits`.
        arms: as in `Limits`.
        difference_sds: per arm, the sd of its paired differences on the primary metric.
        test_size: as in `Limits`.
        baseline_means: metric -> mean of the baseline; the first `acc2*` gives the accuracy.
    """
    effect = detectable_effect(seeds)
    spread = float(np.median(difference_sds)) if len(difference_sds) else None
    accuracy = next((name for name in baseline_means if name.startswith("acc2")), None)
    share = baseline_means[accuracy] if accuracy else None
    error = None
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
    """What every arm was given, in the order of the facts."""
    rows = results.cells.groupby("arm", sort=False).indices
    nothing = results.cells.iloc[:0]
    found = [
        _fairness_of(results, arm, results.cells.iloc[rows[arm]] if arm in rows else nothing)
        for arm in results.facts.arms
    ]
    seconds = results.facts.device_seconds
    tried = Counter(row.candidates for row in found if row.searched)
    usual = max(tried, key=lambda number: (tried[number], number), default=0)
    return tuple(
        replace(row, unequal=bool(row.searched) and _deviates(row, usual, seconds)) for row in found
    )


def _deviates(row: Fairness, usual: int, device_seconds: float | None) -> bool:
    """Whether a tuned arm's budget is not the usual number of candidates, or not the seconds."""
    if device_seconds is None:
        return row.candidates != usual
    return abs((row.seconds or 0.0) - device_seconds) > SPENT_ALIKE * device_seconds


def _fairness_of(results: Results, arm: str, own: pd.DataFrame) -> Fairness:
    facts = results.facts
    tuning = own[own["phase"] == "tune"]
    complete = own[(own["phase"] == "confirm") & (own["status"] == "complete")]
    done = {int(seed) for seed in complete["seed"]}
    return Fairness(
        arm=arm,
        searched=len(facts.searched.get(arm, ())),
        candidates=int(tuning["candidate"].nunique()),
        tune_seeds=int(tuning["seed"].nunique()),
        epochs=int(tuning["epochs"].fillna(0).sum()),
        seconds=_seconds(tuning),
        complete=len(done),
        missing=len(set(facts.confirm_seeds) - done),
        failed=int((own["status"] == "failed").sum()),
        pruned=int((own["status"] == "pruned").sum()),
    )


def _seconds(tuning: pd.DataFrame) -> float | None:
    name = f"{METRIC}seconds"
    if name not in tuning.columns or not tuning[name].notna().any():
        return None
    # Sorted: a float sum depends on the order, and a report must not depend on that of the cells.
    return float(np.sum(np.sort(tuning[name].dropna().to_numpy(dtype=np.float64))))


def list_failures(results: Results) -> tuple[Failure, ...]:
    """Failed cells, and confirm cells stopped early. Pruned tuning cells are the plan, not news."""
    cells = results.cells
    wrong = cells[
        (cells["status"] == "failed")
        | ((cells["status"] == "pruned") & (cells["phase"] == "confirm"))
    ]
    order = {arm: place for place, arm in enumerate(results.facts.arms)}
    found = [
        Failure(
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
        for row in wrong.to_dict("records")
    ]
    # "tune" sorts after "confirm"; it happened before it.
    found.sort(key=lambda f: (order[f.arm], f.phase != "tune", f.candidate, f.seed, f.key))
    return tuple(found)
