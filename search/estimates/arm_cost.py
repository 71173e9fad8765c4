"""The cost of an arm's cells, from micro-runs or from the cells that the ledger holds."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, variance

from search.estimates.probe import EpochTiming, ProbeResults
from search.estimates.remaining import Remaining
from search.ledger.record import CellRecord
from search.schedule.brackets import REDUCTION, rung_epochs
from spaces.core import Core, Status
from spaces.fields.paths import default_of, replace
from spaces.plan.arms_on_data import PlannedArm
from spaces.plan.plan import Phase, Plan

# Seconds of a confirm cell over those of a tuning cell: a good candidate trains longer, and its
# pack is smaller.
CONFIRM_RATIO = 1.2
ASHA_CANDIDATES = 9  # that compete in the model of ASHA, which has no groups of its own


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmCost:
    """The device-seconds of an arm's cells.

    Attributes:
        pack: Seconds of a pack, however many cells it has.
        tune, confirm: Further seconds of a tuning cell and of a confirm cell.
    """

    pack: float = 0.0
    tune: float = 0.0
    confirm: float = 0.0


def probed_costs(plan: Plan, left: Sequence[Remaining], probed: ProbeResults) -> dict[str, ArmCost]:
    """Compute the cost of each arm that has something left, from micro-runs.

    An epoch costs what was timed, times the slowdown of those that were trained; an arm that was
    not timed costs what the others do on average.
    """
    seen = [cell for cells in probed.trained.values() for cell in cells]
    slowdown = _slowdown_factor(probed)
    typical = EpochTiming(
        fixed=fmean(timing.fixed for timing in probed.timings.values()),
        member=fmean(timing.member for timing in probed.timings.values()),
    )
    core = plan.study.core
    costs = {}
    for one in left:
        timing = probed.timings.get(one.arm.key, typical)
        own = probed.trained.get(one.arm.key) or seen
        epochs = [_clip_epochs(core, one.arm, expected_epochs(core, cell)) for cell in own]
        each = timing.member * slowdown * fmean(epochs)
        share = _trained_share(plan, epochs)
        costs[one.arm.key] = ArmCost(
            # Paid as long as any cell of the pack trains.
            pack=timing.fixed * slowdown * max(epochs),
            tune=each * share,
            confirm=each * CONFIRM_RATIO,
        )
    return costs


def ledger_costs(left: Sequence[Remaining]) -> dict[str, ArmCost]:
    """Compute the cost of each arm, from its own cells or, without any, as the mean of others."""
    known = {one.arm.key: cost for one in left if (cost := _cost_of_cells(one.records)) is not None}
    if not known:
        return {}
    typical = ArmCost(
        tune=fmean(cost.tune for cost in known.values()),
        confirm=fmean(cost.confirm for cost in known.values()),
    )
    return {one.arm.key: known.get(one.arm.key, typical) for one in left}


def seed_sd(cells: Iterable[CellRecord], metric: str) -> float | None:
    """Estimate the standard deviation over seeds within a candidate, pooled over the better half.

    Args:
        cells: Cells of any arms, of which those of the tuning count.
        metric: Metric of the study, on validation.
    """
    by_candidate: dict[tuple[str, int], list[float]] = {}
    for cell in cells:
        value = cell.metrics.get(f"valid.{metric}")
        if cell.phase == Phase.TUNE and cell.best_epoch and value is not None:
            by_candidate.setdefault((cell.arm_key, cell.candidate), []).append(value)
    within = sorted(
        (variance(values), len(values) - 1) for values in by_candidate.values() if len(values) > 1
    )
    # A candidate that trains badly also scatters: the better half by scatter.
    better = within[: (len(within) + 1) // 2]
    freedom = sum(free for _, free in better)
    return (sum(square * free for square, free in better) / freedom) ** 0.5 if freedom else None


def expected_epochs(core: Core, cell: CellRecord) -> float:
    """Return the epochs of a cell: as trained, or as expected where the micro-run stopped it."""
    if cell.status != Status.PRUNED:
        return cell.epochs
    config = replace(default_of(core.config_class), cell.config)
    return core.expected_epochs(config, cell.best_epoch)


def _slowdown_factor(probed: ProbeResults) -> float:
    """Return the time of trained epochs over that of the timed ones."""
    took, timed = 0.0, 0.0
    for key, cells in probed.trained.items():
        timing, epochs = probed.timings[key], [cell.epochs for cell in cells]
        took += sum(cell.metrics.get("seconds", 0.0) for cell in cells)
        timed += timing.fixed * max(epochs) + timing.member * sum(epochs)
    return took / timed if took and timed else 1.0


def _clip_epochs(core: Core, arm: PlannedArm, epochs: float) -> float:
    """Limit the epochs of another arm's cell to those that this arm may train."""
    most = float(core.epochs(arm.config))
    if not most:
        return epochs
    return min(epochs, most) if core.stops_early(arm.config) else most


def _trained_share(plan: Plan, epochs: Sequence[float]) -> float:
    """Return the share of their epochs that tuning cells train under the study's scheduler."""
    budget = plan.study.budget
    if budget.scheduler == "none":
        return 1.0
    candidates = budget.bracket if budget.scheduler == "bracket" else ASHA_CANDIDATES
    most = max(plan.study.core.epochs(arm.config) for arm in plan.arms)
    trained, left, before = 0.0, candidates, 0.0
    for rung in (*rung_epochs(most, candidates), most):
        until = fmean(min(rung, own) for own in epochs)
        trained += left * (until - before)
        left, before = -(-left // REDUCTION), until
    return trained / (candidates * fmean(epochs))


def _cost_of_cells(records: Sequence[CellRecord]) -> ArmCost | None:
    """Compute an arm's cost from its finished cells; None without any that trained."""
    seconds: Mapping[Phase, list[float]] = {
        phase: [
            cell.metrics["seconds"]
            for cell in records
            if cell.phase == phase and "seconds" in cell.metrics
        ]
        for phase in Phase
    }
    tune, confirm = seconds[Phase.TUNE], seconds[Phase.CONFIRM]
    if not tune and not confirm:
        return None
    a_tune = fmean(tune) if tune else fmean(confirm) / CONFIRM_RATIO
    return ArmCost(tune=a_tune, confirm=fmean(confirm) if confirm else a_tune * CONFIRM_RATIO)
