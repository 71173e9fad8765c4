"""What is trained next: arms in turn with equal budgets, each first tuned, then confirmed."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from msa_core.config_paths import Value, flatten, replace, resolve
from search.ledger import CellRecord
from search.proposals import Proposals
from search.selection import ArmCells, best_candidate
from spaces.plan import CONFIRM, TUNE, Plan, PlannedArm, cell_key

CONFIRM_PACK = 5  # seeds; enough work to outlast an actor's start, small enough to share out


@dataclass(frozen=True, kw_only=True, slots=True)
class Pack:
    """The cells that one trial trains: one candidate on some seeds.

    Attributes:
        params: the candidate, searched field -> value.
        config: every field of the configuration.
        resolved: the fields that mean something.
        cells: seed -> cell key.
    """

    arm: str
    arm_key: str
    phase: str
    candidate: int
    params: Mapping[str, Value]
    config: Mapping[str, Value]
    resolved: Mapping[str, Value]
    cells: Mapping[int, str]


class ArmSchedule:
    """One arm on its way through tuning and confirmation."""

    def __init__(self, plan: Plan, arm: PlannedArm, cells: ArmCells, higher_is_better: bool):
        self.plan = plan
        self.arm = arm
        self.cells = cells
        self.higher_is_better = higher_is_better
        self.metric = plan.study.metric
        self.proposals = Proposals(
            arm,
            sampler=plan.study.sampler,
            seed=plan.study.budget.seed,
            metric=self.metric,
            higher_is_better=higher_is_better,
            taken=cells.candidates(),
        )
        self.budget = plan.study.budget.candidates if arm.space else 0
        self.candidates: list[Mapping[str, Value]] = [] if arm.space else [{}]
        self.exhausted = False
        self._told = 0
        self._flying: set[str] = set()

    def catch_up(self) -> None:
        """Go as far as the finished cells lead, so that `finished` is known without training."""
        while self._decided(len(self.candidates)) and self._open_candidate():
            pass

    def next_pack(self) -> Pack | None:
        """The next pack to train; None if there is nothing to do now (see `finished`)."""
        return self._next_tuning() or self._next_confirm()

    def receive(self, records: Iterable[CellRecord]) -> None:
        """Take in finished cells."""
        for record in records:
            self.cells.add(record)
            self._flying.discard(record.key)

    @property
    def tuned(self) -> bool:
        """Whether every candidate has been tried."""
        opened = len(self.candidates) >= self.budget or self.exhausted
        return not self.budget or (opened and self._decided(len(self.candidates)))

    @property
    def best(self) -> int | None:
        """The candidate to confirm, as far as is known; None if none has a value."""
        if not self.budget:
            return 0
        return best_candidate(self.values(), self.higher_is_better)

    @property
    def finished(self) -> bool:
        """Whether nothing is left to train, now or later."""
        if not self.tuned or self._flying:
            return False
        best = self.best
        return best is None or not self.cells.missing(CONFIRM, best, self.plan.confirm_seeds)

    def values(self) -> dict[int, float | None]:
        """Candidate -> mean validation value; None where it failed or is not finished."""
        candidates = len(self.candidates) if self.budget else 0
        return self.cells.values(candidates, self.plan.tune_seeds, self.metric)

    def _next_tuning(self) -> Pack | None:
        if not self.budget:
            return None
        seeds = self.plan.tune_seeds
        while True:
            for number in range(self._told, len(self.candidates)):
                pack = self._pack(TUNE, number, self.cells.missing(TUNE, number, seeds))
                if pack:
                    return pack
            if not self._open_candidate():
                return None

    def _next_confirm(self) -> Pack | None:
        best = self.best
        if not self.tuned or best is None:
            return None
        missing = self.cells.missing(CONFIRM, best, self.plan.confirm_seeds)
        return self._pack(CONFIRM, best, missing, most=CONFIRM_PACK)

    def _open_candidate(self) -> bool:
        """Ask for one more candidate, if the results it may depend on are there."""
        number = len(self.candidates)
        known = number - self.plan.study.budget.in_flight + 1
        if number >= self.budget or self.exhausted or not self._decided(known):
            return False
        self._tell(known)
        params = self.cells.params(number)
        if params is not None:
            self.proposals.restore(params)
            self.candidates.append(params)
            return True
        asked = self.proposals.ask()
        self.exhausted = asked is None
        if asked is not None:
            self.candidates.append(asked)
        return asked is not None

    def _decided(self, number: int) -> bool:
        """Whether every candidate before this one is finished on every tuning seed."""
        seeds = self.plan.tune_seeds
        return not any(
            self.cells.missing(TUNE, earlier, seeds) for earlier in range(self._told, number)
        )

    def _tell(self, number: int) -> None:
        """Tell Optuna of the candidates before this one, exactly these, in their order."""
        seeds = self.plan.tune_seeds
        for earlier in range(self._told, number):
            cells = self.cells.finished(TUNE, earlier, seeds)
            self.proposals.tell(earlier, cells, len(seeds))
        self._told = max(self._told, number)

    def _pack(
        self, phase: str, candidate: int, seeds: Sequence[int], most: int | None = None
    ) -> Pack | None:
        params = self.candidates[candidate]
        config = replace(self.arm.config, params)
        resolved = resolve(config)
        keys = {seed: cell_key(self.arm, phase, resolved, seed) for seed in seeds}
        free = [seed for seed in seeds if keys[seed] not in self._flying][:most]
        if not free:
            return None
        cells = {seed: keys[seed] for seed in free}
        self._flying.update(cells.values())
        return Pack(
            arm=self.arm.name,
            arm_key=self.arm.key,
            phase=phase,
            candidate=candidate,
            params=params,
            config=flatten(config),
            resolved=resolved,
            cells=cells,
        )


class Schedule:
    """All arms of a plan, served in turn."""

    def __init__(self, plan: Plan, records: Iterable[CellRecord], higher_is_better: bool) -> None:
        """Start from what is finished.

        Args:
            plan: what to train.
            records: the ledger's cells.
            higher_is_better: direction of the study's metric.
        """
        finished = list(records)
        self.arms = {
            arm.key: ArmSchedule(plan, arm, ArmCells(arm.key, finished), higher_is_better)
            for arm in plan.arms
        }
        for arm_schedule in self.arms.values():
            arm_schedule.catch_up()
        self._turn = 0

    @property
    def finished(self) -> bool:
        """Whether nothing is left to train."""
        return all(arm.finished for arm in self.arms.values())

    def next_pack(self) -> Pack | None:
        """The next pack of the arm whose turn it is, or of the next arm that has one."""
        arms = list(self.arms.values())
        for step in range(len(arms)):
            place = (self._turn + step) % len(arms)
            pack = arms[place].next_pack()
            if pack is not None:
                self._turn = place + 1
                return pack
        return None

    def receive(self, records: Iterable[CellRecord]) -> None:
        """Take in finished cells."""
        for record in records:
            self.arms[record.arm_key].receive([record])
