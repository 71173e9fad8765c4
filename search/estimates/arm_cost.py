"""The cost of an arm's cells, from micro-runs or from the cells that the ledger holds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import fmean

from msa_core.config.kinds import options_of
from search.estimates.cost import CellCost, relative_cost
from search.estimates.probe import EpochTiming, ProbedPack, ProbeResults
from search.estimates.remaining import Remaining
from search.ledger.record import CellRecord
from search.schedule.brackets import REDUCTION, rung_epochs
from spaces.plan.arms_on_data import PlannedArm
from spaces.plan.plan import Phase, Plan

GOOD = 1 / 3  # share of the candidates that later generations and the winner resemble
CURVE_BYTES = 16 / 3  # bytes per value: float32 as base64
TRAIN_CURVES = 5  # training curves of a cell, about, beside those of validation
EXTRA = 0.02  # seconds per cell beside its epochs, where only its epochs are known
MEASURING = 0.9  # seconds of measuring the size of packs, where it was not timed
CONFIRM_RATIO = 1.2  # cost of a confirm cell over that of a tuning cell: its pack is smaller
ASHA_CANDIDATES = 9  # that compete in the model of ASHA, which has no groups of its own
FREE = CellCost()


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmCost:
    """The cost of an arm's cells.

    Attributes:
        tune, confirm: Cost of a tuning cell and of a confirm cell.
        pack: Most cells of a pack; 0 = unknown.
        measuring: Time of measuring the size of packs, once, in seconds.
        epochs: Mean number of epochs of a cell.
        record_bytes, fields, metrics: Size of a cell's record, and its numbers of configuration
            fields and of metrics.
    """

    tune: CellCost = FREE
    confirm: CellCost = FREE
    pack: int = 0
    measuring: float = 0.0
    epochs: float = 0.0
    record_bytes: float = 0.0
    fields: float = 0.0
    metrics: float = 0.0


def probed_costs(plan: Plan, left: Sequence[Remaining], probed: ProbeResults) -> dict[str, ArmCost]:
    """Compute the cost of each arm that has something left, from micro-runs.

    An arm that was not trained costs its timed epoch, times the slowdown of those that were: the
    time of their epochs over that of their timed ones.
    """
    if not probed.trained:
        return {}
    every = [one for found in probed.trained.values() for one in found]
    costs, busy = {}, busy_factor(every)
    for one in left:
        if not one.is_due:
            continue
        steps = probed.steps.get(one.arm.key) or _guess_timing(plan, one.arm, probed)
        own = probed.trained.get(one.arm.key)
        alike = [
            key
            for key in probed.trained
            if key in probed.steps and probed.steps[key].in_turn == steps.in_turn
        ]
        known = {key: probed.trained[key] for key in alike} or probed.trained
        factor = _slowdown_factor(probed, {one.arm.key: own} if own else known)
        epoch = EpochTiming(
            fixed=steps.fixed * factor, member=steps.member * factor, in_turn=steps.in_turn
        )
        seen = own or [found for trained in known.values() for found in trained] or every
        costs[one.arm.key] = _probed_cost(plan, one, epoch, seen, busy)
    return costs


def ledger_costs(
    plan: Plan, left: Sequence[Remaining], sizes: Mapping[str, int]
) -> dict[str, ArmCost]:
    """Compute the cost of each arm, from its own cells or, without any, from those of others.

    Args:
        plan: Plan of the study.
        left: Remaining work of each arm, with the cells that are finished.
        sizes: Arm key -> most cells of a pack, where that was measured.
    """
    known = {one.arm.key: cost for one in left if (cost := _cost_of_cells(one.records)) is not None}
    if not known:
        return {}
    rate = fmean(
        known[one.arm.key].tune.each / relative_cost(one.arm.config)
        for one in left
        if one.arm.key in known
    )
    typical = next(iter(known.values()))
    costs = {}
    for one in left:
        each = rate * relative_cost(one.arm.config)
        cost = known.get(one.arm.key) or replace(
            typical,
            tune=CellCost(each=each, extra=EXTRA),
            confirm=CellCost(each=each * CONFIRM_RATIO, extra=EXTRA),
            measuring=MEASURING,
        )
        costs[one.arm.key] = replace(cost, pack=sizes.get(one.arm.key, 0))
    return costs


def seed_sd(metric_values: Sequence[Sequence[tuple[int, float | None]]]) -> float | None:
    """Estimate the standard deviation over seeds within a candidate, pooled over the better half.

    Args:
        metric_values: For each arm the candidate and the value of every cell.
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


def _probed_cost(
    plan: Plan, one: Remaining, epoch: EpochTiming, seen: Sequence[ProbedPack], busy: float
) -> ArmCost:
    """Compute an arm's cost from that of an epoch and from how many epochs cells train."""
    expected = [_clip_epochs(one.arm, epochs) for found in seen for epochs in found.expected]
    good = _good_epochs(plan, one.arm, seen)
    mean = fmean(expected)
    total = sum(one.tune)
    first = one.tune[0] / total if total and not one.records else 0.0
    # The first generation is drawn at random; later ones learn, and so train longer, like the
    # good candidates. On average they are halfway there.
    tuned = first * mean + (1 - first) * (mean + good) / 2
    pack = _most_cells(epoch, seen, len(plan.tune_seeds))
    in_tuning = min(pack, one.tune[0] if one.tune else pack)
    # The part of an epoch's seconds that the ledger will count as training.
    share = min(1.0, fmean(found.device_seconds / max(1e-9, found.wall) for found in seen))
    extra = fmean(found.extra for found in seen)

    def cell_cost(epochs: float, cells: int) -> CellCost:
        # The fixed part of an epoch is paid as long as any member of the pack trains.
        longest = _expected_longest(expected, cells) * epochs / mean
        fixed, each = epoch.fixed * longest, epoch.member * epochs
        beside = (1 - share) * (fixed / max(1, cells) + each)
        return CellCost(
            fixed=fixed * share, each=each * share, extra=extra + beside
        ).scale_training(busy)

    tune = cell_cost(tuned, in_tuning)
    trained = sum(sum(found.epochs) for found in seen)
    grown = sum(expected) / max(1, trained)
    return ArmCost(
        tune=tune.scale_training(_trained_share(plan, expected)),
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


def busy_factor(seen: Sequence[ProbedPack]) -> float:
    """Return how much longer training takes because the machine does other things; >= 1."""
    seconds = sum(_seconds_of(found) for found in seen)
    return max(1.0, sum(found.wall for found in seen) / seconds) if seconds else 1.0


def _slowdown_factor(probed: ProbeResults, trained: Mapping[str, Sequence[ProbedPack]]) -> float:
    """Return the time of trained epochs over that of the timed ones."""
    took, said = 0.0, 0.0
    for key, found in trained.items():
        steps = probed.steps.get(key)
        if steps is not None:
            took += sum(_seconds_of(one) for one in found)
            said += sum(
                steps.fixed + steps.member * members for one in found for members, _ in one.log
            )
    return took / said if said else 1.0


def _guess_timing(plan: Plan, arm: PlannedArm, probed: ProbeResults) -> EpochTiming:
    """Guess the timing of an arm that was not timed, from the others by their configurations."""
    known = [other for other in plan.arms if other.key in probed.steps]
    if not known:
        every = [one for found in probed.trained.values() for one in found]
        seconds = sum(_seconds_of(one) for one in every)
        members = sum(count for one in every for count, _ in one.log)
        return EpochTiming(fixed=0.0, member=seconds / max(1, members), in_turn=False)
    factor = relative_cost(arm.config) / fmean(relative_cost(other.config) for other in known)
    own = [probed.steps[other.key] for other in known]
    return EpochTiming(
        fixed=factor * fmean(steps.fixed for steps in own),
        member=factor * fmean(steps.member for steps in own),
        in_turn=False,
    )


def _seconds_of(found: ProbedPack) -> float:
    return sum(seconds for _, seconds in found.log)


def _most_cells(epoch: EpochTiming, seen: Sequence[ProbedPack], seeds: int) -> int:
    """Return the most cells of a pack."""
    if epoch.in_turn:
        return seeds
    # A pack that was drawn smaller than the cells at hand and the worker's share is at its limit.
    drawn = [found.drawn for found in seen if found.drawn < min(found.waiting, found.fair)]
    sizes = [found.size for found in seen if found.size]
    return min([*drawn, max(sizes, default=0) or max(found.drawn for found in seen)])


def _clip_epochs(arm: PlannedArm, epochs: float) -> float:
    """Limit the epochs of another arm's cell to those that this arm may train."""
    config = arm.config
    if options_of(config, "procedure", config.procedure.kind).keeps_last:
        return float(config.train.epochs)
    return min(epochs, float(config.train.epochs))


def _good_epochs(plan: Plan, arm: PlannedArm, seen: Sequence[ProbedPack]) -> float:
    """Average the epochs over the cells of the better candidates."""
    sign = 1.0 if plan.study.metric == "mae" else -1.0
    chosen: list[float] = []
    for found in seen:
        by_candidate: dict[int, list[tuple[float, float]]] = {}
        for (candidate, value), epochs in zip(found.values, found.expected, strict=True):
            if value is not None:
                by_candidate.setdefault(candidate, []).append((sign * value, epochs))
        ranked = sorted(by_candidate.values(), key=lambda own: fmean(value for value, _ in own))
        kept = ranked if len(ranked) < 4 else ranked[: max(2, round(GOOD * len(ranked)))]
        chosen += [_clip_epochs(arm, epochs) for own in kept for _, epochs in own]
    every = [_clip_epochs(arm, epochs) for found in seen for epochs in found.expected]
    return fmean(chosen or every)


def _expected_longest(epochs: Sequence[float], cells: int) -> float:
    """Return the expected largest of some draws with replacement from numbers."""
    ranked = sorted(epochs)
    shares = [((rank / len(ranked)) ** cells) for rank in range(len(ranked) + 1)]
    return sum(
        value * (after - before)
        for value, (before, after) in zip(ranked, pairwise(shares), strict=True)
    )


def _trained_share(plan: Plan, epochs: Sequence[float]) -> float:
    """Return the share of their epochs that tuning cells train under the study's scheduler."""
    budget = plan.study.budget
    if budget.scheduler == "none":
        return 1.0
    candidates = budget.bracket if budget.scheduler == "bracket" else ASHA_CANDIDATES
    most = max(arm.config.train.epochs for arm in plan.arms)
    trained, left, before = 0.0, candidates, 0.0
    for rung in (*rung_epochs(most, candidates), most):
        until = fmean(min(rung, own) for own in epochs)
        trained += left * (until - before)
        left, before = -(-left // REDUCTION), until
    return trained / (candidates * fmean(epochs))


def _cost_of_cells(records: Sequence[CellRecord]) -> ArmCost | None:
    """Compute an arm's cost from its finished cells; None without any that trained."""
    tune = _cell_seconds(records, Phase.TUNE)
    confirm = _cell_seconds(records, Phase.CONFIRM)
    if not tune and not confirm:
        return None
    a_tune = fmean(tune) if tune else fmean(confirm) / CONFIRM_RATIO
    a_confirm = fmean(confirm) if confirm else a_tune * CONFIRM_RATIO
    curves = [one.epochs * (TRAIN_CURVES + _count_validation_metrics(one)) for one in records]
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


def _count_validation_metrics(record: CellRecord) -> int:
    return sum(name.startswith("valid.") for name in record.metrics)


def _cell_seconds(records: Sequence[CellRecord], phase: Phase) -> list[float]:
    return [
        one.metrics["seconds"] for one in records if one.phase == phase and "seconds" in one.metrics
    ]
