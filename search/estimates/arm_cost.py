"""What an arm's cells cost, from micro-runs or from the cells that the ledger holds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import fmean

from msa_core.config.kinds import options_of
from search.estimates.cost import CellCost, proxy
from search.estimates.probe import Probed, Steps, Trained
from search.estimates.remaining import Remaining
from search.ledger.record import CellRecord
from search.schedule.brackets import REDUCTION, rungs
from spaces.plan.plan import CONFIRM, TUNE, Plan
from spaces.plan.planned_arms import PlannedArm

GOOD = 1 / 3  # of the candidates: those like which later generations and the winner are
CURVE_BYTES = 16 / 3  # of a value: float32 as base64
TRAIN_CURVES = 5  # about as many beside those of validation
EXTRA = 0.02  # seconds of a cell beside its epochs, where only its epochs are known
MEASURING = 0.9  # seconds, where nobody measured it
CONFIRM_RATIO = 1.2  # a confirm cell against a tuning cell: its pack is smaller
ASHA_CANDIDATES = 9
FREE = CellCost()


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmCost:
    """What the cells of an arm cost.

    Attributes:
        tune, confirm: seconds.
        pack: most cells of a pack; 0 = unknown.
        measuring: seconds of measuring the size of packs, once.
        epochs: mean.
        record_bytes, fields, metrics: of a cell's record.
    """

    tune: CellCost = FREE
    confirm: CellCost = FREE
    pack: int = 0
    measuring: float = 0.0
    epochs: float = 0.0
    record_bytes: float = 0.0
    fields: float = 0.0
    metrics: float = 0.0


def probed_costs(plan: Plan, left: Sequence[Remaining], probed: Probed) -> dict[str, ArmCost]:
    """What each arm costs that has something left, from micro-runs.

    An arm that was not trained costs what its timed steps say, times what an epoch took of the
    trained ones over what their steps say.
    """
    if not probed.trained:
        return {}
    every = [one for found in probed.trained.values() for one in found]
    costs, busy = {}, busy_factor(every)
    for one in left:
        if not one.anything:
            continue
        steps = probed.steps.get(one.arm.key) or _by_proxy(plan, one.arm, probed)
        own = probed.trained.get(one.arm.key)
        alike = [
            key
            for key in probed.trained
            if key in probed.steps and probed.steps[key].in_turn == steps.in_turn
        ]
        known = {key: probed.trained[key] for key in alike} or probed.trained
        factor = _slower(probed, {one.arm.key: own} if own else known)
        epoch = Steps(
            fixed=steps.fixed * factor, member=steps.member * factor, in_turn=steps.in_turn
        )
        seen = own or [found for trained in known.values() for found in trained] or every
        costs[one.arm.key] = _cost(plan, one, epoch, seen, busy)
    return costs


def ledger_costs(
    plan: Plan, left: Sequence[Remaining], sizes: Mapping[str, int]
) -> dict[str, ArmCost]:
    """What each arm costs that has something left, by its own cells or, without any, by others'.

    Args:
        plan: of the study.
        left: what is left, with the cells that are finished.
        sizes: arm key -> most cells of a pack, where it was measured.
    """
    known = {one.arm.key: cost for one in left if (cost := _by_cells(one.records)) is not None}
    if not known:
        return {}
    rate = fmean(
        known[one.arm.key].tune.each / proxy(one.arm.config) for one in left if one.arm.key in known
    )
    typical = next(iter(known.values()))
    costs = {}
    for one in left:
        each = rate * proxy(one.arm.config)
        cost = known.get(one.arm.key) or replace(
            typical,
            tune=CellCost(each=each, extra=EXTRA),
            confirm=CellCost(each=each * CONFIRM_RATIO, extra=EXTRA),
            measuring=MEASURING,
        )
        costs[one.arm.key] = replace(cost, pack=sizes.get(one.arm.key, 0))
    return costs


def seed_sd(metric_values: Sequence[Sequence[tuple[int, float | None]]]) -> float | None:
    """Standard deviation over seeds within a candidate, pooled over the better half of them.

    Args:
        metric_values: for each arm the candidate and the value of every cell.
    """
    squares, freedom = 0.0, 0
    for values in metric_values:
        by_candidate: dict[int, list[float]] = {}
        for candidate, value in values:
            if value is not None:
                by_candidate.setdefault(candidate, []).append(value)
        within = sorted(
            (sum((v - fmean(own)) ** 2 for v in own), len(own) - 1)
            for own in by_candidate.values()
            if len(own) > 1
        )
        # A candidate that trains badly also scatters: the better half by scatter.
        for square, free in within[: max(1, (len(within) + 1) // 2)]:
            squares, freedom = squares + square, freedom + free
    return (squares / freedom) ** 0.5 if freedom else None


def _cost(
    plan: Plan, one: Remaining, epoch: Steps, seen: Sequence[Trained], busy: float
) -> ArmCost:
    """An arm's cost from an epoch's and from how many epochs cells train."""
    expected = [_clipped(one.arm, epochs) for found in seen for epochs in found.expected]
    good = _good_epochs(plan, one.arm, seen)
    mean = fmean(expected)
    total = sum(one.tune)
    first = one.tune[0] / total if total and not one.records else 0.0
    tuned = first * mean + (1 - first) * (mean + good) / 2
    pack = _pack(epoch, seen, len(plan.tune_seeds))
    in_tuning = min(pack, one.tune[0] if one.tune else pack)
    # Of the seconds of an epoch, those that the ledger will count as training.
    share = min(1.0, fmean(found.device_seconds / max(1e-9, found.wall) for found in seen))
    extra = fmean(found.extra for found in seen)

    def cell_cost(epochs: float, cells: int) -> CellCost:
        longest = _expected_longest(expected, cells) * epochs / mean
        fixed, each = epoch.fixed * longest, epoch.member * epochs
        beside = (1 - share) * (fixed / max(1, cells) + each)
        return CellCost(fixed=fixed * share, each=each * share, extra=extra + beside).scaled(busy)

    tune = cell_cost(tuned, in_tuning)
    trained = sum(sum(found.epochs) for found in seen)
    grown = sum(expected) / max(1, trained)
    return ArmCost(
        tune=tune.scaled(_stopped_early(plan, expected)),
        confirm=cell_cost(good, min(pack, max(1, one.confirm))),
        pack=pack,
        measuring=0.0 if epoch.in_turn else max(found.measuring for found in seen),
        epochs=mean,
        record_bytes=fmean(
            found.record_bytes + CURVE_BYTES * found.curve_values * (grown - 1) for found in seen
        ),
        fields=fmean(found.fields for found in seen),
        metrics=fmean(found.metrics for found in seen),
    )


def busy_factor(seen: Sequence[Trained]) -> float:
    """How much longer training takes because the machine does other things."""
    seconds = sum(_seconds_of(found) for found in seen)
    return max(1.0, sum(found.wall for found in seen) / seconds) if seconds else 1.0


def _slower(probed: Probed, trained: Mapping[str, Sequence[Trained]]) -> float:
    """What epochs took over what the timed steps say they take."""
    took, said = 0.0, 0.0
    for key, found in trained.items():
        steps = probed.steps.get(key)
        if steps is not None:
            took += sum(_seconds_of(one) for one in found)
            said += sum(
                steps.fixed + steps.member * members for one in found for members, _ in one.log
            )
    return took / said if said else 1.0


def _by_proxy(plan: Plan, arm: PlannedArm, probed: Probed) -> Steps:
    """Steps of an arm that nobody timed: those of the others, by what the configurations say."""
    known = [other for other in plan.arms if other.key in probed.steps]
    if not known:
        every = [one for found in probed.trained.values() for one in found]
        seconds = sum(_seconds_of(one) for one in every)
        members = sum(count for one in every for count, _ in one.log)
        return Steps(fixed=0.0, member=seconds / max(1, members), in_turn=False)
    factor = proxy(arm.config) / fmean(proxy(other.config) for other in known)
    own = [probed.steps[other.key] for other in known]
    return Steps(
        fixed=factor * fmean(steps.fixed for steps in own),
        member=factor * fmean(steps.member for steps in own),
        in_turn=False,
    )


def _seconds_of(found: Trained) -> float:
    return sum(seconds for _, seconds in found.log)


def _pack(epoch: Steps, seen: Sequence[Trained], seeds: int) -> int:
    """Most cells of a pack."""
    if epoch.in_turn:
        return seeds
    drawn = [found.drawn for found in seen if found.drawn < min(found.waiting, found.fair)]
    sizes = [found.size for found in seen if found.size]
    return min([*drawn, max(sizes, default=0) or max(found.drawn for found in seen)])


def _clipped(arm: PlannedArm, epochs: float) -> float:
    """The epochs of another arm's cell, as far as this one may train."""
    config = arm.config
    if options_of(config, "procedure", config.procedure.kind).keeps_last:
        return float(config.train.epochs)
    return min(epochs, float(config.train.epochs))


def _good_epochs(plan: Plan, arm: PlannedArm, seen: Sequence[Trained]) -> float:
    """Mean epochs of the cells of the better candidates."""
    sign = 1.0 if plan.study.metric == "mae" else -1.0
    chosen: list[float] = []
    for found in seen:
        by_candidate: dict[int, list[tuple[float, float]]] = {}
        for (candidate, value), epochs in zip(found.values, found.expected, strict=True):
            if value is not None:
                by_candidate.setdefault(candidate, []).append((sign * value, epochs))
        ranked = sorted(by_candidate.values(), key=lambda own: fmean(value for value, _ in own))
        kept = ranked if len(ranked) < 4 else ranked[: max(2, round(GOOD * len(ranked)))]
        chosen += [_clipped(arm, epochs) for own in kept for _, epochs in own]
    every = [_clipped(arm, epochs) for found in seen for epochs in found.expected]
    return fmean(chosen or every)


def _expected_longest(epochs: Sequence[float], cells: int) -> float:
    """Expected largest of so many draws from some numbers."""
    ranked = sorted(epochs)
    shares = [((rank / len(ranked)) ** cells) for rank in range(len(ranked) + 1)]
    return sum(
        value * (after - before)
        for value, (before, after) in zip(ranked, pairwise(shares), strict=True)
    )


def _stopped_early(plan: Plan, epochs: Sequence[float]) -> float:
    """The share of their epochs that tuning cells train under the study's scheduler."""
    budget = plan.study.budget
    if budget.scheduler == "none":
        return 1.0
    candidates = budget.bracket if budget.scheduler == "bracket" else ASHA_CANDIDATES
    most = max(arm.config.train.epochs for arm in plan.arms)
    trained, left, before = 0.0, candidates, 0.0
    for rung in (*rungs(most, candidates), most):
        until = fmean(min(rung, own) for own in epochs)
        trained += left * (until - before)
        left, before = -(-left // REDUCTION), until
    return trained / (candidates * fmean(epochs))


def _by_cells(records: Sequence[CellRecord]) -> ArmCost | None:
    """What an arm costs by its finished cells; None without any that trained."""
    tune = _seconds(records, TUNE)
    confirm = _seconds(records, CONFIRM)
    if not tune and not confirm:
        return None
    a_tune = fmean(tune) if tune else fmean(confirm) / CONFIRM_RATIO
    a_confirm = fmean(confirm) if confirm else a_tune * CONFIRM_RATIO
    curves = [one.epochs * (TRAIN_CURVES + _validated(one)) for one in records]
    fields = fmean(len(one.config) for one in records)
    metrics = fmean(len(one.metrics) for one in records)
    return ArmCost(
        tune=CellCost(each=a_tune, extra=EXTRA),
        confirm=CellCost(each=a_confirm, extra=EXTRA),
        epochs=fmean(one.epochs for one in records),
        record_bytes=400 + 40 * (fields + metrics) + CURVE_BYTES * fmean(curves),
        fields=fields,
        metrics=metrics,
    )


def _validated(record: CellRecord) -> int:
    return sum(name.startswith("valid.") for name in record.metrics)


def _seconds(records: Sequence[CellRecord], phase: str) -> list[float]:
    return [
        one.metrics["seconds"] for one in records if one.phase == phase and "seconds" in one.metrics
    ]
