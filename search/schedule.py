"""What is trained next: arms in turn with equal budgets, each first tuned, then confirmed."""

from collections.abc import Iterable, Mapping, Sequence

from msa_core.config_paths import Value, flatten, replace
from msa_core.config_rules import resolve
from msa_core.packing import PackSize, in_turn, pack_key
from search.ledger import CellRecord
from search.pack import Pack, PackCell
from search.proposals import Proposals
from search.selection import ArmCells, best_candidate
from search.sizes import PackSizes
from spaces.plan import CONFIRM, TUNE, Plan, PlannedArm, cell_key

AHEAD = 256  # cells of an arm waiting to be trained; no candidate is asked for beyond them


class ArmSchedule:
    """One arm on its way through tuning and confirmation."""

    def __init__(
        self,
        plan: Plan,
        arm: PlannedArm,
        cells: ArmCells,
        higher_is_better: bool,
        sizes: PackSizes,
    ):
        self.plan = plan
        self.arm = arm
        self.cells = cells
        self.higher_is_better = higher_is_better
        self.sizes = sizes
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
        self._finished = 0  # candidates before this one are finished on every tuning seed
        self._told = 0
        self._flying: set[str] = set()
        self._made: dict[tuple[str, int], dict[int, PackCell]] = {}

    def catch_up(self) -> None:
        """Go as far as the finished cells lead, so that `finished` is known without training."""
        while self._decided(len(self.candidates)) and self._open_candidate():
            pass

    def waiting(self) -> list[PackCell]:
        """The cells that can be trained now, in order; asks for more candidates if it may."""
        if self.tuned:
            best = self.best
            if best is None:
                return []
            missing = self.cells.missing(CONFIRM, best, self.plan.confirm_seeds)
            return self._free_cells(CONFIRM, best, missing)
        waiting = []
        for number in range(self._frontier(), len(self.candidates)):
            waiting += self._waiting_of(number)
        while self._wants_more(len(waiting)) and self._open_candidate():
            waiting += self._waiting_of(len(self.candidates) - 1)
        return waiting

    def next_pack(self, waiting: Sequence[PackCell], fair: int) -> Pack:
        """Some of the waiting cells as a pack.

        Args:
            waiting: from `waiting`; at least one.
            fair: a worker's even share of all cells that wait.
        """
        phase = CONFIRM if self.tuned else TUNE
        scheduler = "none" if phase == CONFIRM else self.plan.study.budget.scheduler
        first, seeds = waiting[0], len(self.plan.tune_seeds)
        key = first.pack_key
        if scheduler == "bracket":
            size = self.plan.study.budget.bracket
            taken = [c for c in waiting if c.candidate // size == first.candidate // size]
            key = key if {cell.pack_key for cell in taken} == {key} else ""
        elif scheduler == "asha":
            taken = [cell for cell in waiting if cell.candidate == first.candidate]
        else:
            alike = [cell for cell in waiting if cell.pack_key == key]
            most = self.sizes.most(key) if key else seeds
            count = max(1, min(most, fair))
            # Whole candidates, as far as possible: a result is of use once all its seeds are in.
            taken = alike[: count - count % seeds if phase == TUNE and count > seeds else count]
        self._flying.update(cell.key for cell in taken)
        return Pack(
            arm=self.arm.name,
            arm_key=self.arm.key,
            phase=phase,
            cells=tuple(taken),
            pack_key=key,
            size=self.sizes.size(key),
            scheduler=scheduler,
            metric=self.metric,
            higher_is_better=self.higher_is_better,
        )

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

    def _wants_more(self, waiting: int) -> bool:
        budget = self.plan.study.budget
        open_bracket = budget.scheduler == "bracket" and len(self.candidates) % budget.bracket
        return waiting < AHEAD or bool(open_bracket)

    def _waiting_of(self, number: int) -> list[PackCell]:
        missing = self.cells.missing(TUNE, number, self.plan.tune_seeds)
        return self._free_cells(TUNE, number, missing)

    def _free_cells(self, phase: str, candidate: int, seeds: Sequence[int]) -> list[PackCell]:
        """Those of a candidate's cells that no worker has."""
        if (phase, candidate) not in self._made:
            self._made[phase, candidate] = self._make_cells(phase, candidate)
        made = self._made[phase, candidate]
        return [made[seed] for seed in seeds if made[seed].key not in self._flying]

    def _make_cells(self, phase: str, candidate: int) -> dict[int, PackCell]:
        """Seed -> cell of a candidate."""
        params = self.candidates[candidate]
        config = replace(self.arm.config, params)
        flat, resolved = flatten(config), resolve(config)
        alone = in_turn(config, self.sizes.device)
        return {
            seed: PackCell(
                candidate=candidate,
                seed=seed,
                params=params,
                config=flat,
                resolved=resolved,
                key=cell_key(self.arm, phase, resolved, seed),
                pack_key="" if alone else pack_key(config),
            )
            for seed in (self.plan.tune_seeds if phase == TUNE else self.plan.confirm_seeds)
        }

    def _open_candidate(self) -> bool:
        """Ask for one more candidate, if the results it may depend on are there."""
        number = len(self.candidates)
        known = self._known(number)
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

    def _known(self, number: int) -> int:
        """How many candidates are finished, and told, when this one is asked for.

        All of the generations before its own. Where candidates are stopped in brackets, a
        generation is a whole number of them.
        """
        study = self.plan.study
        if study.sampler == "random":
            return 0
        generation = study.budget.generation
        if study.budget.scheduler == "bracket":
            generation = -(-generation // study.budget.bracket) * study.budget.bracket
        return number // generation * generation

    def _frontier(self) -> int:
        """The first candidate that is not finished on every tuning seed."""
        seeds = self.plan.tune_seeds
        while self._finished < len(self.candidates) and not self.cells.missing(
            TUNE, self._finished, seeds
        ):
            self._finished += 1
        return self._finished

    def _decided(self, number: int) -> bool:
        """Whether every candidate before this one is finished on every tuning seed."""
        return self._frontier() >= number

    def _tell(self, number: int) -> None:
        """Tell Optuna of the candidates before this one, exactly these, in their order."""
        seeds = self.plan.tune_seeds
        for earlier in range(self._told, number):
            cells = self.cells.finished(TUNE, earlier, seeds)
            self.proposals.tell(earlier, cells, len(seeds))
        self._told = max(self._told, number)


class Schedule:
    """All arms of a plan, served in turn."""

    def __init__(
        self,
        plan: Plan,
        records: Iterable[CellRecord],
        higher_is_better: bool,
        sizes: PackSizes | None = None,
    ) -> None:
        """Start from what is finished.

        Args:
            plan: what to train.
            records: the ledger's cells.
            higher_is_better: direction of the study's metric.
            sizes: how large packs may be; None = as measured in this run.
        """
        finished = list(records)
        self.sizes = sizes or PackSizes()
        self.arms = {
            arm.key: ArmSchedule(
                plan, arm, ArmCells(arm.key, finished), higher_is_better, self.sizes
            )
            for arm in plan.arms
        }
        for arm_schedule in self.arms.values():
            arm_schedule.catch_up()
        self._turn = 0

    @property
    def finished(self) -> bool:
        """Whether nothing is left to train."""
        return all(arm.finished for arm in self.arms.values())

    def next_pack(self, idle: int = 1) -> Pack | None:
        """The next pack of the arm whose turn it is, or of the next arm that has one.

        Args:
            idle: workers without a pack; what waits is shared out among them.
        """
        arms = list(self.arms.values())
        waiting = [arm.waiting() for arm in arms]
        fair = -(-sum(len(cells) for cells in waiting) // max(1, idle))
        for step in range(len(arms)):
            place = (self._turn + step) % len(arms)
            if waiting[place]:
                self._turn = place + 1
                return arms[place].next_pack(waiting[place], fair)
        return None

    def receive(self, records: Iterable[CellRecord], measured: PackSize | None = None) -> None:
        """Take in finished cells, and how large packs like theirs should be."""
        if measured is not None:
            self.sizes.add(measured)
        for record in records:
            self.arms[record.arm_key].receive([record])
