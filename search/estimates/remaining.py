"""The part of a plan that the ledger does not hold yet, arm by arm."""

import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from search.ledger.record import CellRecord
from search.results.selection import ArmCells, Objective, seconds_of
from search.schedule.samplers import LEARNING
from spaces.plan.arms_on_data import PlannedArm
from spaces.plan.plan import Phase, Plan


@dataclass(frozen=True, kw_only=True, slots=True)
class Remaining:
    """The remaining work of an arm.

    Attributes:
        tune: Missing tuning cells of each generation.
        tune_seconds: Device-seconds that are left for its tuning, where those are its budget.
        confirm: Missing confirm cells; their expected number where the winner may change.
        records: Records of its finished cells.
    """

    arm: PlannedArm
    tune: tuple[int, ...]
    tune_seconds: float | None
    confirm: int
    records: tuple[CellRecord, ...]

    @property
    def is_due(self) -> bool:
        """Whether there is something to train."""
        return bool(sum(self.tune) or self.confirm or self.tune_seconds)


def find_remaining(plan: Plan, records: Iterable[CellRecord]) -> list[Remaining]:
    """Find what is left of every arm, in the order of the plan."""
    by_key: dict[str, list[CellRecord]] = {arm.key: [] for arm in plan.arms}
    for record in records:
        if record.arm_key in by_key:
            by_key[record.arm_key].append(record)
    arms = {arm.name: arm for arm in plan.arms}
    cells = {arm.name: ArmCells(arm.key, by_key[arm.key]) for arm in plan.arms}
    left = []
    for arm in plan.arms:
        tuned = arms[arm.frozen or arm.name]
        groups, seconds, _ = _tuning_left(plan, arm, cells[arm.name])
        _, _, open_share = _tuning_left(plan, tuned, cells[tuned.name])
        left.append(
            Remaining(
                arm=arm,
                tune=groups,
                tune_seconds=seconds,
                confirm=_confirm_left(plan, tuned, cells[tuned.name], cells[arm.name], open_share),
                records=tuple(by_key[arm.key]),
            )
        )
    return left


def work_identity(plan: Plan, left: Sequence[Remaining]) -> str:
    """Return a digest of the plan and of what is left of it, which names what is estimated."""
    said = [
        [one.arm.key, list(one.tune), one.confirm, one.tune_seconds is not None] for one in left
    ]
    text = json.dumps([plan.study.name, said], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _tuning_left(
    plan: Plan, arm: PlannedArm, cells: ArmCells
) -> tuple[tuple[int, ...], float | None, float]:
    """Return missing cells per generation, seconds left, and the missing share of the tuning."""
    budget = plan.study.budget
    if plan.by_seconds and arm.space and not arm.frozen:
        total = budget.device_seconds or 0.0
        seconds = max(0.0, total - seconds_of(cells.tuning_cells()))
        seconds = seconds if seconds > 0.05 * total else 0.0
        return (), seconds, seconds / total
    candidates = plan.candidate_count(arm)
    missing = [
        len(cells.missing_seeds(Phase.TUNE, number, plan.tune_seeds))
        for number in range(candidates)
    ]
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
    """Count missing confirm cells: of the best candidate so far, or of one still to be found."""
    study = plan.study
    seeds = len(plan.confirm_seeds)
    best: int | None = 0
    if reference.space:
        objective = Objective.from_metrics(
            study.task, study.metric, study.second_metric, study.margins
        )
        best = objective.best_candidate(tuned, tuned.count_tried(), plan.tune_seeds)
    if best is None:
        return seeds if open_share else 0
    # Candidates are alike before they are tried: the probability that the best of all is an
    # untried one is the share of those.
    missing = len(own.missing_seeds(Phase.CONFIRM, best, plan.confirm_seeds))
    return math.ceil(open_share * seeds + (1 - open_share) * missing)
