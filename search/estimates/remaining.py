"""What of a plan the ledger does not hold yet, arm by arm."""

import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from search.ledger.record import CellRecord
from search.results.selection import ArmCells, Objective, seconds_of
from search.schedule.samplers import LEARNING
from spaces.plan.plan import CONFIRM, TUNE, Plan
from spaces.plan.planned_arms import PlannedArm


@dataclass(frozen=True, kw_only=True, slots=True)
class Remaining:
    """What is left of an arm.

    Attributes:
        tune: missing tuning cells of each generation.
        tune_seconds: device-seconds that are left for its tuning, where those are its budget.
        confirm: missing confirm cells; as many as are expected where the winner may change.
        records: of its finished cells.
    """

    arm: PlannedArm
    tune: tuple[int, ...]
    tune_seconds: float | None
    confirm: int
    records: tuple[CellRecord, ...]

    @property
    def anything(self) -> bool:
        """Whether there is something to train."""
        return bool(sum(self.tune) or self.confirm or self.tune_seconds)


def remaining(plan: Plan, records: Iterable[CellRecord]) -> list[Remaining]:
    """What is left of every arm, in the order of the plan."""
    by_key: dict[str, list[CellRecord]] = {arm.key: [] for arm in plan.arms}
    for record in records:
        if record.arm_key in by_key:
            by_key[record.arm_key].append(record)
    cells = {arm.name: ArmCells(arm.key, by_key[arm.key]) for arm in plan.arms}
    tuning = {arm.name: _tuning_left(plan, arm, cells[arm.name]) for arm in plan.arms}
    left = []
    for arm in plan.arms:
        tuned = arm.frozen or arm.name
        groups, seconds, open_share = tuning[arm.name]
        reference = next(other for other in plan.arms if other.name == tuned)
        open_share = tuning[tuned][2]
        left.append(
            Remaining(
                arm=arm,
                tune=groups,
                tune_seconds=seconds,
                confirm=_confirm_left(plan, reference, cells[tuned], cells[arm.name], open_share),
                records=tuple(by_key[arm.key]),
            )
        )
    return left


def identity(plan: Plan, left: Sequence[Remaining]) -> str:
    """Names the plan and what is left of it: what an estimate is an estimate of."""
    said = [
        [one.arm.key, list(one.tune), one.confirm, one.tune_seconds is not None] for one in left
    ]
    text = json.dumps([plan.study.name, said], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _tuning_left(
    plan: Plan, arm: PlannedArm, cells: ArmCells
) -> tuple[tuple[int, ...], float | None, float]:
    """Missing cells a generation, seconds left, and the share of the tuning that is missing."""
    budget = plan.study.budget
    if plan.by_seconds and arm.space and not arm.frozen:
        total = budget.device_seconds or 0.0
        seconds = max(0.0, total - seconds_of(cells.tuning()))
        seconds = seconds if seconds > 0.05 * total else 0.0
        return (), seconds, seconds / total
    candidates = plan.candidates(arm)
    missing = [len(cells.missing(TUNE, number, plan.tune_seeds)) for number in range(candidates)]
    if not sum(missing):
        return (), None, 0.0
    share = sum(missing) / (candidates * len(plan.tune_seeds))
    if plan.study.sampler not in LEARNING:
        return (sum(missing),), None, share
    size = budget.generation
    if budget.scheduler == "bracket":
        size = math.ceil(size / budget.bracket) * budget.bracket
    groups = tuple(sum(missing[start : start + size]) for start in range(0, candidates, size))
    return tuple(group for group in groups if group), None, share


def _confirm_left(
    plan: Plan, reference: PlannedArm, tuned: ArmCells, own: ArmCells, open_share: float
) -> int:
    """Missing confirm cells: of the best so far, or of one that is still to be found.

    Candidates are alike before they are tried: the best of all is one of the untried with the
    share that they have.
    """
    study = plan.study
    seeds = len(plan.confirm_seeds)
    best: int | None = 0
    if reference.space:
        objective = Objective.of(study.metric, study.second_metric, study.margins)
        best = objective.best(tuned, tuned.tried(), plan.tune_seeds)
    if best is None:
        return seeds if open_share else 0
    missing = len(own.missing(CONFIRM, best, plan.confirm_seeds))
    return math.ceil(open_share * seeds + (1 - open_share) * missing)
