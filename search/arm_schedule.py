"""One arm on its way through tuning and confirmation: what of it can be trained now."""

from collections.abc import Iterable, Mapping, Sequence

from msa_core.config_paths import Value, flatten, replace
from msa_core.config_rules import resolve
from msa_core.packing import in_turn, pack_key
from search.allowance import Allowance
from search.ledger import CellRecord
from search.pack import Pack, PackCell
from search.proposals import Proposals
from search.samplers import LEARNING
from search.selection import ArmCells, Objective, higher_is_better, paid_candidates
from search.sizes import PackSizes
from spaces.plan import CONFIRM, TUNE, Plan, cell_key
from spaces.planned import PlannedArm

AHEAD = 256  # cells of an arm waiting to be trained; no candidate is asked for beyond them
HOPELESS = 30  # candidates without a single value: no device-seconds are spent on more


class ArmSchedule:
    """One arm: first tuned, with its share of the budget, then confirmed."""

    def __init__(self, plan: Plan, arm: PlannedArm, cells: ArmCells, sizes: PackSizes) -> None:
        """Start from what is finished.

        Args:
            plan: of the study.
            arm: of the plan.
            cells: its finished cells.
            sizes: how large packs may be.
        """
        self.plan = plan
        self.arm = arm
        self.cells = cells
        self.sizes = sizes
        study = plan.study
        self.objective = Objective.of(study.metric, study.second_metric, study.margins)
        self.proposals = Proposals(
            arm,
            sampler=plan.study.sampler,
            seed=plan.study.budget.seed,
            metric=self.objective.metric,
            higher_is_better=self.objective.higher_is_better,
            second=second_of(self.objective),
            generation=plan.study.budget.generation,
            taken=cells.candidates(),
        )
        self.budget = plan.candidates(arm)
        self.allowance: Allowance | None = None
        seconds = plan.study.budget.device_seconds
        if arm.space and seconds is not None:
            self.allowance = Allowance(seconds, cells.tuning())
        self.candidates: list[Mapping[str, Value]] = [] if arm.space else [{}]
        self.exhausted = False
        self._finished = 0  # candidates before this one are finished on every tuning seed
        self._told = 0
        self._flying: set[str] = set()
        self._made: dict[tuple[str, int], dict[int, PackCell]] = {}

    def catch_up(self) -> None:
        """Go as far as the finished cells lead, so that `finished` is known without training."""
        if self.allowance is not None and self.allowance.used_up:
            paid = paid_candidates(self.cells, self.plan.tune_seeds, self.allowance.total)
            self.candidates = [self.cells.params(number) or {} for number in range(paid)]
            return  # nobody will be asked for another one
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
        if self.allowance is not None and not self.allowance.open:
            return []
        waiting = []
        for number in range(self._frontier(), len(self.candidates)):
            waiting += self._waiting_of(number)
        while self._wants_more(len(waiting)) and self._open_candidate():
            waiting += self._waiting_of(len(self.candidates) - 1)
        return waiting

    def next_pack(self, waiting: Sequence[PackCell], fair: int, share: float = 1.0) -> Pack:
        """Some of the waiting cells as a pack.

        Args:
            waiting: from `waiting`; at least one.
            fair: a worker's even share of all cells that wait.
            share: of the arm's device-seconds that are left, where they are its budget.
        """
        phase = CONFIRM if self.tuned else TUNE
        scheduler = "none" if phase == CONFIRM else self.plan.study.budget.scheduler
        seconds = None
        if phase == TUNE and self.allowance is not None:
            seconds = self.allowance.promise(waiting[0].key, share)
        taken = self._taken(waiting, fair, scheduler, phase, seconds)
        key = taken[0].pack_key if len({cell.pack_key for cell in taken}) == 1 else ""
        self._flying.update(cell.key for cell in taken)
        return Pack(
            arm=self.arm.name,
            arm_key=self.arm.key,
            phase=phase,
            cells=tuple(taken),
            pack_key=key,
            size=self.sizes.size(key),
            seconds=seconds,
            scheduler=scheduler,
            metric=self.objective.metric,
            higher_is_better=self.objective.higher_is_better,
        )

    def _taken(
        self,
        waiting: Sequence[PackCell],
        fair: int,
        scheduler: str,
        phase: str,
        seconds: float | None,
    ) -> list[PackCell]:
        """The cells of the next pack."""
        first, seeds = waiting[0], len(self.plan.tune_seeds)
        if scheduler == "bracket":
            size = self.plan.study.budget.bracket
            return [c for c in waiting if c.candidate // size == first.candidate // size]
        if scheduler == "asha":
            return [cell for cell in waiting if cell.candidate == first.candidate]
        alike = [cell for cell in waiting if cell.pack_key == first.pack_key]
        most = self.sizes.most(first.pack_key) if first.pack_key else seeds
        count = max(1, min(most, fair))
        if seconds is not None and self.allowance is not None:
            # Until one candidate has shown what a training takes, no more than one is begun.
            affordable = self.allowance.affordable(seconds) or seeds
            count = max(seeds, min(count, affordable))
        # Whole candidates, as far as possible: a result is of use once all its seeds are in.
        return alike[: count - count % seeds if phase == TUNE and count > seeds else count]

    def receive(self, records: Iterable[CellRecord]) -> None:
        """Take in finished cells."""
        for record in records:
            self.cells.add(record)
            self._flying.discard(record.key)
            if self.allowance is not None and record.phase == TUNE:
                self.allowance.take_in([record])

    @property
    def tuned(self) -> bool:
        """Whether every candidate has been tried, or every device-second is spent."""
        if not self.arm.space:
            return True
        if self.allowance is not None and self.allowance.used_up:
            return True
        opened = len(self.candidates) >= self._most_candidates() or self.exhausted
        return opened and self._decided(len(self.candidates))

    @property
    def best(self) -> int | None:
        """The candidate to confirm, as far as is known; None if none has a value."""
        if not self.arm.space:
            return 0
        return self.objective.best(self.cells, len(self.candidates), self.plan.tune_seeds)

    @property
    def finished(self) -> bool:
        """Whether nothing is left to train, now or later."""
        if not self.tuned or self._flying:
            return False
        best = self.best
        return best is None or not self.cells.missing(CONFIRM, best, self.plan.confirm_seeds)

    def values(self) -> dict[int, float | None]:
        """Candidate -> mean validation value; None where it failed or is not finished."""
        candidates = len(self.candidates) if self.arm.space else 0
        return self.cells.values(candidates, self.plan.tune_seeds, self.objective.metric)

    def params(self, candidate: int) -> Mapping[str, Value]:
        """What a candidate is: searched field -> value."""
        return self.candidates[candidate]

    def _most_candidates(self) -> int:
        """How many candidates may be open now."""
        if self.allowance is None:
            return self.budget
        number = len(self.candidates)
        hopeless = number >= HOPELESS and self._decided(number) and self.best is None
        return number if hopeless or self.allowance.used_up else number + 1

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
        params = self.params(candidate)
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
        if number >= self._most_candidates() or self.exhausted or not self._decided(known):
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
        if study.sampler not in LEARNING:
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


class FrozenArm(ArmSchedule):
    """An arm that is not tuned: it is confirmed with the values of another one's best candidate.

    Its confirm cells carry the number of that candidate.
    """

    def __init__(
        self,
        plan: Plan,
        arm: PlannedArm,
        cells: ArmCells,
        sizes: PackSizes,
        reference: ArmSchedule,
    ) -> None:
        """Wait for the reference to be tuned."""
        super().__init__(plan, arm, cells, sizes)
        self.reference = reference

    @property
    def tuned(self) -> bool:
        """Whether the reference is."""
        return self.reference.tuned

    @property
    def best(self) -> int | None:
        """The reference's best candidate, once that is known."""
        return self.reference.best if self.reference.tuned else None

    def waiting(self) -> list[PackCell]:
        """Nothing until the reference is tuned."""
        return super().waiting() if self.tuned else []

    def params(self, candidate: int) -> Mapping[str, Value]:
        """The reference's values of the fields that mean something here."""
        values = self.reference.params(candidate)
        return {path: values[path] for path in self.arm.inherits if path in values}


def second_of(objective: Objective) -> tuple[str, bool] | None:
    """The second objective and its direction, as the sampler wants it."""
    if not objective.second:
        return None
    return objective.second, higher_is_better(objective.second)
