"""One arm on its way through tuning and confirmation: what of it can be trained now."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace as with_changes

from msa_core.config.paths import Value, flatten, replace
from msa_core.config.rules import resolve
from msa_core.vectorised.pack_key import in_turn, pack_key
from search.ledger.record import CellRecord
from search.results.selection import ArmCells, Objective, Ranking, higher_is_better, paid_candidates
from search.schedule.pack import Pack, PackCell
from search.schedule.pack_sizes import PackSizes
from search.schedule.proposals import Proposals
from search.schedule.remaining_budget import Allowance
from search.schedule.samplers import LEARNING
from spaces.plan.plan import CONFIRM, TUNE, Plan, cell_key
from spaces.plan.planned_arms import PlannedArm

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
        self.ranking = Ranking(self.objective, cells, plan.tune_seeds)
        self._finished = 0  # candidates before this one are finished on every tuning seed
        self._told = 0
        self._flying: set[str] = set()
        self._waiting: dict[str, PackCell] = {}  # by key, in the order of candidates and seeds
        self._waits_for: tuple[str, int | None] = (TUNE, None)  # phase, confirmed candidate

    def catch_up(self) -> None:
        """Go as far as the finished cells lead, so that `finished` is known without training."""
        if self.allowance is not None and self.allowance.used_up:
            paid = paid_candidates(self.cells, self.plan.tune_seeds, self.allowance.total)
            self.candidates = [self.cells.params(number) or {} for number in range(paid)]
            for number in range(paid):
                self.ranking.look(number)
            return  # nobody will be asked for another one
        while self._decided(len(self.candidates)) and self._open_candidate():
            pass

    def waiting(self) -> list[PackCell]:
        """The cells that can be trained now, in order; asks for more candidates if it may."""
        if self.tuned:
            self._confirm(self.best)
            return list(self._waiting.values())
        if self.allowance is not None and not self.allowance.open:
            return []
        while self._wants_more(len(self._waiting)) and self._open_candidate():
            pass
        return list(self._waiting.values())

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
            seconds = self.allowance.limit(share)
        taken = self._taken(waiting, fair, scheduler, phase, seconds)
        key = taken[0].pack_key if len({cell.pack_key for cell in taken}) == 1 else ""
        self._hand_out(taken, seconds)
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
            self._waiting.pop(record.key, None)  # of a worker that was given up
            if record.phase == TUNE:
                if self.allowance is not None:
                    self.allowance.take_in([record])
                if record.candidate < len(self.candidates):
                    self.ranking.look(record.candidate)

    def give_back(self, pack: Pack, parts: Sequence[Pack] = ()) -> list[Pack]:
        """A pack of this arm came back without all of its cells.

        Args:
            pack: as it was handed out.
            parts: packs of cells of it, which go to workers next; the others wait again.

        Returns:
            The parts, where seconds are the budget with no more of them than are left.
        """
        back = [cell for cell in pack.cells if cell.key in self._flying]
        again = {cell.key for part in parts for cell in part.cells}
        self._flying.difference_update(cell.key for cell in back)
        waiting = [*self._waiting.values(), *(cell for cell in back if cell.key not in again)]
        waiting.sort(key=lambda cell: (cell.candidate, cell.seed))
        self._waiting = {cell.key: cell for cell in waiting}
        seconds = self.allowance.give_back(cell.key for cell in back) if self.allowance else 0.0
        wanted = sum(part.seconds or 0.0 for part in parts)
        share = min(1.0, seconds / wanted) if wanted else 0.0
        given = []
        for part in parts:
            own = None if part.seconds is None else part.seconds * share
            self._hand_out(part.cells, own)
            given.append(with_changes(part, seconds=own))
        return given

    def is_finished(self, cell: PackCell, phase: str) -> bool:
        """Whether a cell is in the ledger."""
        return self.cells.get(phase, cell.candidate, cell.seed) is not None

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
        return self.ranking.best

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

    def _hand_out(self, cells: Iterable[PackCell], seconds: float | None) -> None:
        """Cells go to a worker, with seconds of the arm's own if those are its budget."""
        keys = [cell.key for cell in cells]
        self._flying.update(keys)
        for key in keys:
            self._waiting.pop(key, None)
        if self.allowance is not None and seconds is not None:
            self.allowance.promise(seconds, keys)

    def _open(self, params: Mapping[str, Value]) -> None:
        """One more candidate: its cells wait."""
        number = len(self.candidates)
        self.candidates.append(params)
        self.ranking.look(number)
        self._wait(TUNE, number, self.plan.tune_seeds)

    def _confirm(self, best: int | None) -> None:
        """The cells that wait are those of the candidate to confirm."""
        if self._waits_for == (CONFIRM, best):
            return
        self._waits_for = (CONFIRM, best)
        self._waiting = {}
        if best is not None:
            self._wait(CONFIRM, best, self.plan.confirm_seeds)

    def _wait(self, phase: str, candidate: int, seeds: Sequence[int]) -> None:
        """Those of a candidate's cells that are neither finished nor on a worker wait."""
        missing = self.cells.missing(phase, candidate, seeds)
        made = self._make_cells(phase, candidate) if missing else {}
        cells = (made[seed] for seed in missing)
        self._waiting.update((cell.key, cell) for cell in cells if cell.key not in self._flying)

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
            self._open(params)
            return True
        asked = self.proposals.ask()
        self.exhausted = asked is None
        if asked is not None:
            self._open(asked)
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
