"""The schedule of one arm, through tuning and confirmation: which cells can be trained now."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace as with_changes

from search.ledger.record import CellRecord
from search.results.selection import ArmCells, Objective, paid_candidates
from search.schedule.pack import Pack, PackCell
from search.schedule.pack_sizes import PackSizes
from search.schedule.proposals import Proposals
from search.schedule.remaining_budget import RemainingBudget
from search.schedule.samplers import LEARNING
from spaces.fields.declaration import Value
from spaces.fields.paths import flatten, replace
from spaces.plan.arms_on_data import PlannedArm
from spaces.plan.plan import Phase, Plan, cell_key

AHEAD = 256  # waiting cells of an arm, beyond which no candidate is asked for
HOPELESS = 30  # candidates without a single value, after which no device-seconds are spent


class ArmSchedule:
    """The schedule of an arm: first tuned, with its share of the budget, then confirmed."""

    def __init__(self, plan: Plan, arm: PlannedArm, cells: ArmCells, sizes: PackSizes) -> None:
        """Start from what is finished.

        Args:
            plan: Plan of the study.
            arm: Arm of the plan.
            cells: Finished cells of the arm.
            sizes: Pack sizes.
        """
        self.plan = plan
        self.arm = arm
        self.cells = cells
        self.sizes = sizes
        study = plan.study
        self.objective = Objective.from_metrics(
            study.task, study.metric, study.second_metric, study.margins
        )
        self.proposals = Proposals(
            study.core,
            arm,
            self.objective,
            sampler=plan.study.sampler,
            seed=plan.study.budget.seed,
            generation=plan.study.budget.generation,
            taken=cells.tried_params(),
        )
        self.budget = plan.candidate_count(arm)
        self.remaining_budget: RemainingBudget | None = None
        seconds = plan.study.budget.device_seconds
        if arm.space and seconds is not None:
            self.remaining_budget = RemainingBudget(seconds, cells.tuning_cells())
        self.candidates: list[Mapping[str, Value]] = [] if arm.space else [{}]
        self.exhausted = False
        self._best: int | None = None
        self._is_best_known = False  # whether nothing has come since `_best` was chosen
        self._finished = 0  # candidates before this one are finished on every tuning seed
        self._reported = 0
        self._in_flight: set[str] = set()
        self._waiting: dict[str, PackCell] = {}  # by key, in the order of candidates and seeds
        self._waits_for: tuple[str, int | None] = (Phase.TUNE, None)  # phase, confirmed candidate

    def catch_up(self) -> None:
        """Restore candidates as far as the finished cells reach, so that `is_finished` is right."""
        if self.remaining_budget is not None and self.remaining_budget.used_up:
            paid = paid_candidates(self.cells, self.plan.tune_seeds, self.remaining_budget.total)
            self.candidates = [self.cells.params_of(number) or {} for number in range(paid)]
            return  # the seconds are spent, so there will be no other candidate
        while self._is_decided(len(self.candidates)) and self._open_candidate():
            pass

    def waiting_cells(self) -> list[PackCell]:
        """Return the cells that can be trained now; ask for more candidates first, if allowed."""
        if self.is_tuned:
            self._queue_confirmation(self.best_candidate)
            return list(self._waiting.values())
        if self.remaining_budget is not None and not self.remaining_budget.has_room:
            return []
        while self._wants_more(len(self._waiting)) and self._open_candidate():
            pass
        return list(self._waiting.values())

    def next_pack(self, waiting: Sequence[PackCell], fair: int, share: float = 1.0) -> Pack:
        """Assign some of the waiting cells as a pack.

        Args:
            waiting: Cells of `waiting_cells`; at least one.
            fair: Even share of a worker of all cells that wait.
            share: Share of the arm's remaining device-seconds, where those are its budget.
        """
        phase = Phase.CONFIRM if self.is_tuned else Phase.TUNE
        scheduler = "none" if phase == Phase.CONFIRM else self.plan.study.budget.scheduler
        seconds = None
        if phase == Phase.TUNE and self.remaining_budget is not None:
            seconds = self.remaining_budget.pack_limit(share)
        taken = self._choose_cells(waiting, fair, scheduler, phase, seconds)
        key = taken[0].pack_key if len({cell.pack_key for cell in taken}) == 1 else ""
        self._assign_cells(taken, seconds)
        return Pack(
            arm=self.arm.name,
            arm_key=self.arm.key,
            phase=phase,
            cells=tuple(taken),
            pack_key=key,
            size=self.sizes.size_for(key),
            seconds=seconds,
            scheduler=scheduler,
            metric=self.objective.metric,
            higher_is_better=self.objective.higher_is_better,
        )

    def _choose_cells(
        self,
        waiting: Sequence[PackCell],
        fair: int,
        scheduler: str,
        phase: Phase,
        seconds: float | None,
    ) -> list[PackCell]:
        """Choose the cells of the next pack."""
        first, seeds = waiting[0], len(self.plan.tune_seeds)
        if scheduler == "bracket":
            size = self.plan.study.budget.bracket
            return [c for c in waiting if c.candidate // size == first.candidate // size]
        if scheduler == "asha":
            return [cell for cell in waiting if cell.candidate == first.candidate]
        alike = [cell for cell in waiting if cell.pack_key == first.pack_key]
        most = self.sizes.most_cells(first.pack_key) if first.pack_key else seeds
        count = max(1, min(most, fair))
        if seconds is not None and self.remaining_budget is not None:
            # Until one candidate has shown what a training takes, no more than one is begun.
            affordable = self.remaining_budget.affordable_cells(seconds) or seeds
            count = max(seeds, min(count, affordable))
        # Whole candidates, as far as possible: a result is of use once all its seeds are in.
        return alike[: count - count % seeds if phase == Phase.TUNE and count > seeds else count]

    def add_results(self, records: Iterable[CellRecord]) -> None:
        """Add finished cells."""
        for record in records:
            self.cells.add(record)
            self._in_flight.discard(record.key)
            self._waiting.pop(
                record.key, None
            )  # a worker that counted as lost may still have finished it
            if record.phase == Phase.TUNE:
                if self.remaining_budget is not None:
                    self.remaining_budget.add_cells([record])
                self._is_best_known = False

    def requeue(self, pack: Pack, parts: Sequence[Pack] = ()) -> list[Pack]:
        """Requeue the cells of a pack that are not finished.

        Args:
            pack: Pack as it was assigned.
            parts: Packs of some of its cells, which are assigned next; the others wait again.

        Returns:
            The parts; where seconds are the budget, with no more of them than are left.
        """
        back = [cell for cell in pack.cells if cell.key in self._in_flight]
        again = {cell.key for part in parts for cell in part.cells}
        self._in_flight.difference_update(cell.key for cell in back)
        waiting = [*self._waiting.values(), *(cell for cell in back if cell.key not in again)]
        waiting.sort(key=lambda cell: (cell.candidate, cell.seed))
        self._waiting = {cell.key: cell for cell in waiting}
        seconds = (
            self.remaining_budget.release_cells(cell.key for cell in back)
            if self.remaining_budget
            else 0.0
        )
        wanted = sum(part.seconds or 0.0 for part in parts)
        share = min(1.0, seconds / wanted) if wanted else 0.0
        given = []
        for part in parts:
            own = None if part.seconds is None else part.seconds * share
            self._assign_cells(part.cells, own)
            given.append(with_changes(part, seconds=own))
        return given

    def is_cell_finished(self, cell: PackCell, phase: Phase) -> bool:
        """Check whether a cell is in the ledger."""
        return self.cells.get(phase, cell.candidate, cell.seed) is not None

    @property
    def is_tuned(self) -> bool:
        """Whether every candidate has been tried, or every device-second is spent."""
        if not self.arm.space:
            return True
        if self.remaining_budget is not None and self.remaining_budget.used_up:
            return True
        opened = len(self.candidates) >= self._most_candidates() or self.exhausted
        return opened and self._is_decided(len(self.candidates))

    @property
    def best_candidate(self) -> int | None:
        """The candidate to confirm, as far as is known; None if none has a value."""
        if not self.arm.space:
            return 0
        if not self._is_best_known:
            self._best = self.objective.best_candidate(
                self.cells, len(self.candidates), self.plan.tune_seeds
            )
            self._is_best_known = True
        return self._best

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left to train, now or later."""
        if not self.is_tuned or self._in_flight:
            return False
        best = self.best_candidate
        return best is None or not self.cells.missing_seeds(
            Phase.CONFIRM, best, self.plan.confirm_seeds
        )

    def candidate_params(self, candidate: int) -> Mapping[str, Value]:
        """Return the values of a candidate: searched field -> value."""
        return self.candidates[candidate]

    def _most_candidates(self) -> int:
        """Return the number of candidates that may be open now."""
        if self.remaining_budget is None:
            return self.budget
        number = len(self.candidates)
        hopeless = number >= HOPELESS and self._is_decided(number) and self.best_candidate is None
        return number if hopeless or self.remaining_budget.used_up else number + 1

    def _wants_more(self, waiting: int) -> bool:
        budget = self.plan.study.budget
        open_bracket = budget.scheduler == "bracket" and len(self.candidates) % budget.bracket
        return waiting < AHEAD or bool(open_bracket)

    def _assign_cells(self, cells: Iterable[PackCell], seconds: float | None) -> None:
        """Mark cells as in flight, and reserve seconds for them if those are the budget."""
        keys = [cell.key for cell in cells]
        self._in_flight.update(keys)
        for key in keys:
            self._waiting.pop(key, None)
        if self.remaining_budget is not None and seconds is not None:
            self.remaining_budget.reserve_seconds(seconds, keys)

    def _add_candidate(self, params: Mapping[str, Value]) -> None:
        """Add a candidate, whose cells wait now."""
        number = len(self.candidates)
        self.candidates.append(params)
        self._is_best_known = False  # cells of it may be in the ledger
        self._queue_missing(Phase.TUNE, number, self.plan.tune_seeds)

    def _queue_confirmation(self, best: int | None) -> None:
        """Let the cells of the candidate to confirm wait, and no others."""
        if self._waits_for == (Phase.CONFIRM, best):
            return
        self._waits_for = (Phase.CONFIRM, best)
        self._waiting = {}
        if best is not None:
            self._queue_missing(Phase.CONFIRM, best, self.plan.confirm_seeds)

    def _queue_missing(self, phase: Phase, candidate: int, seeds: Sequence[int]) -> None:
        """Let those of a candidate's cells wait that are neither finished nor in flight."""
        missing = self.cells.missing_seeds(phase, candidate, seeds)
        made = self._make_cells(phase, candidate) if missing else {}
        cells = (made[seed] for seed in missing)
        self._waiting.update((cell.key, cell) for cell in cells if cell.key not in self._in_flight)

    def _make_cells(self, phase: Phase, candidate: int) -> dict[int, PackCell]:
        """Make the cells of a candidate, by seed."""
        params = self.candidate_params(candidate)
        core, config = self.plan.study.core, replace(self.arm.config, params)
        flat, resolved = flatten(config), core.resolve(config)
        key = core.pack_key(config, self.sizes.device)
        return {
            seed: PackCell(
                candidate=candidate,
                seed=seed,
                params=params,
                config=flat,
                resolved=resolved,
                key=cell_key(self.arm, phase, resolved, seed),
                pack_key=key,
            )
            for seed in (self.plan.tune_seeds if phase == Phase.TUNE else self.plan.confirm_seeds)
        }

    def _open_candidate(self) -> bool:
        """Ask for one more candidate, if the results it may depend on are there."""
        number = len(self.candidates)
        known = self._known_before(number)
        if number >= self._most_candidates() or self.exhausted or not self._is_decided(known):
            return False
        self._report_finished(known)
        params = self.cells.params_of(number)
        if params is not None:
            self.proposals.restore_candidate(params)
            self._add_candidate(params)
            return True
        asked = self.proposals.ask()
        self.exhausted = asked is None
        if asked is not None:
            self._add_candidate(asked)
        return asked is not None

    def _known_before(self, number: int) -> int:
        """Return how many candidates are finished and reported when this one is asked for.

        These are all of the generations before its own, never more: so the candidates are the same
        on any number of workers. Where candidates are stopped in brackets, a generation is a whole
        number of them.
        """
        study = self.plan.study
        if study.sampler not in LEARNING:
            return 0
        generation = study.budget.generation
        if study.budget.scheduler == "bracket":
            generation = -(-generation // study.budget.bracket) * study.budget.bracket
        return number // generation * generation

    def _first_unfinished(self) -> int:
        """Return the first candidate that is not finished on every tuning seed."""
        seeds = self.plan.tune_seeds
        while self._finished < len(self.candidates) and not self.cells.missing_seeds(
            Phase.TUNE, self._finished, seeds
        ):
            self._finished += 1
        return self._finished

    def _is_decided(self, number: int) -> bool:
        """Check whether every candidate before this one is finished on every tuning seed."""
        return self._first_unfinished() >= number

    def _report_finished(self, number: int) -> None:
        """Report the candidates before this one to Optuna, exactly these, in their order."""
        seeds = self.plan.tune_seeds
        for earlier in range(self._reported, number):
            cells = self.cells.finished_cells(Phase.TUNE, earlier, seeds)
            self.proposals.tell(earlier, cells, len(seeds))
        self._reported = max(self._reported, number)


class FrozenArm(ArmSchedule):
    """The schedule of an arm that is confirmed with the values of another arm's best candidate.

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
    def is_tuned(self) -> bool:
        """Whether the reference is tuned."""
        return self.reference.is_tuned

    @property
    def best_candidate(self) -> int | None:
        """The reference's best candidate, once that is known."""
        return self.reference.best_candidate if self.reference.is_tuned else None

    def waiting_cells(self) -> list[PackCell]:
        """Return the cells that can be trained now: none until the reference is tuned."""
        return super().waiting_cells() if self.is_tuned else []

    def candidate_params(self, candidate: int) -> Mapping[str, Value]:
        """Return the reference's values of the fields that mean something here."""
        values = self.reference.candidate_params(candidate)
        return {path: values[path] for path in self.arm.inherits if path in values}
