"""Simulation of packs of known cost on some workers, and a guess at a configuration's cost.

Pure functions; no torch.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, replace

from msa_core.config.alignment import aligned_pairs
from msa_core.config.fields import used_modalities
from msa_core.config.kinds import chosen_kinds, declared_cost
from msa_core.config.rules import fused_entries
from msa_core.config.schema import Config

# Milliseconds per step and member in a pack of 30, measured on MOSI's means (32 utterances per
# step, d = 32, one core). What each kind adds to a model of means and a concatenation stands
# beside its options (`cost`). They serve to compare arms with each other, no more.
_STEP = 0.05
_MODALITY = 0.09
_UNIMODAL = {"none": 0.0, "fixed": 0.1, "ulgm": 0.4}
_FLOPS_A_MS = 1.5e7


def relative_cost(config: Config) -> float:
    """Guess the cost of a member's epoch, in a unit that only compares arms of one study."""
    used = used_modalities(config)
    width, common = config.model.fusion.width, config.model.projection.width
    cost = _STEP + _MODALITY * len(used)
    pairs = [getattr(config.loss.alignment, pair) for pair in aligned_pairs(config)]
    cost += sum(declared_cost("alignment", pair.measure) for pair in pairs)
    cost += sum(declared_cost("encoder", getattr(config.model, name).encoder) for name in used)
    cost += declared_cost("fusion", config.model.fusion.kind)
    cost += _UNIMODAL[config.loss.unimodal.kind]
    cost += sum(declared_cost("contrast", kind) for kind in chosen_kinds(config, "contrast"))
    weights = fused_entries(config) * width
    weights += sum(getattr(config.model, name).width * common for name in used)
    flops = 6.0 * weights * min(config.train.batch_size, 4096)
    cost += flops / _FLOPS_A_MS
    procedure = declared_cost("procedure", config.procedure.kind)
    return float(cost * procedure * 32 / config.train.batch_size)


@dataclass(frozen=True, kw_only=True, slots=True)
class CellCost:
    """The cost of a pack: `fixed` once, and the others for each cell of it, in seconds.

    Attributes:
        fixed, each: Time of training; the cells' `seconds` will add up to it.
        extra: Time beside training.
    """

    fixed: float = 0.0
    each: float = 0.0
    extra: float = 0.0

    def training_seconds(self, cells: int) -> float:
        """Return the device-seconds of a pack."""
        return self.fixed + self.each * cells

    def scale_training(self, factor: float) -> "CellCost":
        """Return the cost with its training scaled by a factor."""
        return replace(self, fixed=self.fixed * factor, each=self.each * factor)


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmWork:
    """The remaining work of an arm, and its cost.

    Attributes:
        tune: Missing tuning cells of each generation; one begins when all before it are over.
        confirm: Missing confirm cells.
        pack: Most cells of a pack.
        group_cells: Cells of a candidate or of a bracket; a pack holds whole groups if possible.
        whole_groups: Whether a pack is one group, whatever a worker's share would be.
        measuring: Time of measuring the size of packs, once, in seconds.
        tuned_after: Index of the arm that must be tuned before this one is confirmed; None =
            itself.
    """

    tune: Sequence[int]
    confirm: int
    tune_cost: CellCost
    confirm_cost: CellCost
    pack: int
    group_cells: int = 1
    whole_groups: bool = False
    measuring: float = 0.0
    tuned_after: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class SimulatedRun:
    """The outcome of a simulated run.

    Attributes:
        wall_seconds: Time from the first pack to the end of the last.
        device_seconds: Time of training of each arm, in the order of the plan.
        packs: Number of packs.
    """

    wall_seconds: float
    device_seconds: Sequence[float]
    packs: int


class _ArmProgress:
    """The progress of an arm through a simulated run."""

    def __init__(self, work: ArmWork) -> None:
        self.work = work
        self.generations = [cells for cells in work.tune if cells]
        self.confirm = work.confirm
        self.in_flight = 0  # packs of its tuning
        self.measured = not work.measuring

    @property
    def tuned(self) -> bool:
        return not self.generations and not self.in_flight

    def waiting_cells(self, ready: bool) -> int:
        if self.generations:
            return self.generations[0]
        return self.confirm if ready else 0

    def take_pack(self, fair: int) -> tuple[int, bool]:
        """Take the next pack; return its cells, and whether they are of the tuning."""
        work = self.work
        if not self.generations:
            cells = max(1, min(self.confirm, work.pack, fair))
            self.confirm -= cells
            return cells, False
        waiting = self.generations[0]
        most = work.group_cells if work.whole_groups else max(1, min(work.pack, fair))
        cells = min(waiting, most)
        if cells > work.group_cells:
            cells -= cells % work.group_cells
        self.generations[0] -= cells
        self.in_flight += 1
        return cells, True

    def finish_pack(self) -> None:
        """End a pack of the tuning; the next generation begins once none is in flight."""
        self.in_flight -= 1
        if not self.in_flight and self.generations and not self.generations[0]:
            self.generations.pop(0)


def simulate_run(arms: Sequence[ArmWork], workers: int, gap: float = 0.0) -> SimulatedRun:
    """Simulate workers that take packs as `search.schedule.schedule` assigns them, arms in turn.

    Args:
        arms: Work of the arms, in the order of the plan.
        workers: Number of packs at once.
        gap: Time between two packs of a worker, in seconds.
    """
    states = [_ArmProgress(arm) for arm in arms]
    device = [0.0] * len(arms)
    in_flight: list[tuple[float, int, bool]] = []  # end, index of the arm, whether it is tuning
    clock, turn, packs = 0.0, 0, 0
    while True:
        while len(in_flight) < workers:
            waiting = [
                state.waiting_cells(
                    state.tuned
                    and (state.work.tuned_after is None or states[state.work.tuned_after].tuned)
                )
                for state in states
            ]
            if not any(waiting):
                break
            # Every free worker gets a share, rounded up, as in the run itself.
            fair = -(-sum(waiting) // (workers - len(in_flight)))
            index = next(
                (turn + step) % len(states)
                for step in range(len(states))
                if waiting[(turn + step) % len(states)]
            )
            turn = index + 1
            state = states[index]
            cells, tuning = state.take_pack(fair)
            cost = state.work.tune_cost if tuning else state.work.confirm_cost
            device[index] += cost.training_seconds(cells)
            seconds = cost.training_seconds(cells) + cost.extra * cells + gap
            # Of two cells or fewer the run does not measure which size of pack is fastest.
            if not state.measured and cells >= 3:
                seconds += state.work.measuring
                state.measured = True
            packs += 1
            heapq.heappush(in_flight, (clock + seconds, index, tuning))
        if not in_flight:
            return SimulatedRun(wall_seconds=clock, device_seconds=device, packs=packs)
        clock, index, tuning = heapq.heappop(in_flight)
        if tuning:
            states[index].finish_pack()
