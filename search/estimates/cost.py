"""How long packs of known cost take on some workers, and a guess at what a configuration costs.

Pure functions; no torch.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, replace

from msa_core.config.alignment import aligned_pairs
from msa_core.config.fields import used_modalities
from msa_core.config.kinds import chosen
from msa_core.config.rules import fused_entries
from msa_core.config.schema import Config

# Milliseconds of a step and member in a pack of 30, measured on MOSI's means (32 utterances a
# step, d = 32, one core): what each kind adds to a model of means and a concatenation. They serve
# to compare arms with each other, no more.
_STEP = 0.05
_MODALITY = 0.09
_PAIR = 0.1
_ENCODERS = {"mean_mlp": 0.0, "lstm": 0.6, "gru": 0.6, "conv": 0.2, "transformer": 0.7}
_FUSIONS = {"lmf": 0.05, "gated": 0.05, "misa": 1.0, "mult": 4.0, "reorg_sum": 1.0}
_UNIMODAL = {"fixed": 0.1, "ulgm": 0.4}
_CONTRASTS = {"rbc": 4.4, "anchor": 0.2, "bound": 0.5}
_CONTRAST = 0.35
_PROCEDURES = {"mla": 1.7, "two_stage": 1.3, "stream": 0.5}
_FLOPS_A_MS = 1.5e7


def proxy(config: Config) -> float:
    """How much a member's epoch costs, in a unit that only compares arms of one study."""
    used = used_modalities(config)
    width, common = config.model.fusion.width, config.model.projection.width
    cost = _STEP + _MODALITY * len(used) + _PAIR * len(aligned_pairs(config))
    cost += sum(_ENCODERS.get(getattr(config.model, name).encoder, 0.5) for name in used)
    cost += _FUSIONS.get(config.model.fusion.kind, 0.0)
    cost += _UNIMODAL.get(config.loss.unimodal.kind, 0.0)
    cost += sum(_CONTRASTS.get(kind, _CONTRAST) for kind in chosen(config, "contrast"))
    weights = fused_entries(config) * width
    weights += sum(getattr(config.model, name).width * common for name in used)
    flops = 6.0 * weights * min(config.train.batch_size, 4096)
    cost += flops / _FLOPS_A_MS
    procedure = _PROCEDURES.get(config.procedure.kind, 1.0)
    return float(cost * procedure * 32 / config.train.batch_size)


@dataclass(frozen=True, kw_only=True, slots=True)
class CellCost:
    """Seconds of a pack: `fixed` for the pack, and the others for each cell of it.

    Attributes:
        fixed, each: of training; what the cells' `seconds` will add up to.
        extra: beside it.
    """

    fixed: float = 0.0
    each: float = 0.0
    extra: float = 0.0

    def training(self, cells: int) -> float:
        """Device-seconds of a pack."""
        return self.fixed + self.each * cells

    def scaled(self, factor: float) -> "CellCost":
        """Where training takes some share of it, or longer."""
        return replace(self, fixed=self.fixed * factor, each=self.each * factor)


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmWork:
    """What is left of an arm, and what it costs.

    Attributes:
        tune: missing tuning cells of each generation; one begins when all before it are over.
        confirm: missing confirm cells.
        pack: most cells of a pack.
        whole: cells of a candidate, or of a bracket: a pack holds some of these as far as possible.
        entire: whether a pack holds one of them, whatever a worker's share would be.
        measuring: seconds of measuring the size of packs, once.
        after: place of the arm that must be tuned before this one is confirmed; None = itself.
    """

    tune: Sequence[int]
    confirm: int
    tune_cost: CellCost
    confirm_cost: CellCost
    pack: int
    whole: int = 1
    entire: bool = False
    measuring: float = 0.0
    after: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Course:
    """How a run would go.

    Attributes:
        wall_seconds: from the first pack to the end of the last.
        device_seconds: of training, by the arms' places.
        packs: handed out.
    """

    wall_seconds: float
    device_seconds: Sequence[float]
    packs: int


class _Arm:
    """An arm on its way through a course."""

    def __init__(self, work: ArmWork) -> None:
        self.work = work
        self.generations = [cells for cells in work.tune if cells]
        self.confirm = work.confirm
        self.flying = 0  # packs of its tuning
        self.measured = not work.measuring

    @property
    def tuned(self) -> bool:
        return not self.generations and not self.flying

    def waiting(self, ready: bool) -> int:
        if self.generations:
            return self.generations[0]
        return self.confirm if ready else 0

    def take(self, fair: int) -> tuple[int, bool]:
        """Cells of the next pack, and whether they are of the tuning."""
        work = self.work
        if not self.generations:
            cells = max(1, min(self.confirm, work.pack, fair))
            self.confirm -= cells
            return cells, False
        waiting = self.generations[0]
        cells = min(waiting, work.whole) if work.entire else max(1, min(waiting, work.pack, fair))
        if cells > work.whole:
            cells -= cells % work.whole
        self.generations[0] -= cells
        self.flying += 1
        return cells, True

    def land(self) -> None:
        """A pack of the tuning is over; the next generation begins once none is on its way."""
        self.flying -= 1
        if not self.flying and self.generations and not self.generations[0]:
            self.generations.pop(0)


def course(arms: Sequence[ArmWork], workers: int, gap: float = 0.0) -> Course:
    """Let workers take packs as `search.schedule.schedule` hands them out, arms in turn.

    Args:
        arms: in the order of the plan.
        workers: packs at once.
        gap: seconds between two packs of a worker.
    """
    states = [_Arm(arm) for arm in arms]
    device = [0.0] * len(arms)
    flying: list[tuple[float, int, bool]] = []  # until when, which arm, whether it is tuning
    clock, turn, packs = 0.0, 0, 0
    while True:
        while len(flying) < workers:
            waiting = [
                state.waiting(
                    state.tuned and (state.work.after is None or states[state.work.after].tuned)
                )
                for state in states
            ]
            if not any(waiting):
                break
            fair = -(-sum(waiting) // (workers - len(flying)))
            place = next(
                (turn + step) % len(states)
                for step in range(len(states))
                if waiting[(turn + step) % len(states)]
            )
            turn = place + 1
            state = states[place]
            cells, tuning = state.take(fair)
            cost = state.work.tune_cost if tuning else state.work.confirm_cost
            device[place] += cost.training(cells)
            seconds = cost.training(cells) + cost.extra * cells + gap
            if not state.measured and cells >= 3:
                seconds += state.work.measuring
                state.measured = True
            packs += 1
            heapq.heappush(flying, (clock + seconds, place, tuning))
        if not flying:
            return Course(wall_seconds=clock, device_seconds=device, packs=packs)
        clock, place, tuning = heapq.heappop(flying)
        if tuning:
            states[place].land()
