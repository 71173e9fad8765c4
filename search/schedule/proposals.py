"""The candidates of an arm, asked of Optuna, and their results, told to it.

A candidate is a function of the study and of the results of the arm's earlier generations alone:
the sampler is seeded for each question by its number, and results are told in the order of the
numbers, however they arrive. So the same study proposes the same candidates on any number of
workers, and also after an interruption.
"""

import functools
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
import optuna
from optuna.study import StudyDirection
from optuna.trial import Trial, TrialState, create_trial

from search.ledger.record import CellRecord
from search.results.selection import Objective, candidate_value
from search.schedule.samplers import (
    KEEPING,
    make_sampler,
    optuna_distribution,
    seed_of,
    single_threaded,
    suggest_value,
)
from spaces.core import Core, Status
from spaces.fields.declaration import ConfigError, Value
from spaces.plan.arms_on_data import PlannedArm
from spaces.search_space.candidates import ArmSpace, grid_points, grid_size
from spaces.search_space.domains import size_of, value_at_share

Params = Mapping[str, Value]
Identity = tuple[tuple[str, Value], ...]
Asked = tuple[int, Params]  # number of a trial, and its values
SAMPLER_ATTEMPTS = 10  # questions for a candidate that is new and satisfies the constraints
GP_ATTEMPTS = 2  # a GP takes a second per question, and then proposes nearly the same
RANDOM_ATTEMPTS = 1000  # random points, after those of the sampler
REPLACED = "replaced"  # by a trial of the same candidate
MOST_ATTEMPTS = 20_000  # random points, where there are infinitely many and some were found


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialOutcome:
    """The outcome of a candidate in the terms of Optuna.

    Attributes:
        state: State of its trial.
        values: Values of the objectives, if it is COMPLETE.
        curve: Mean of the only objective after each epoch, if it is PRUNED.
    """

    state: TrialState
    values: list[float] | None = None
    curve: Sequence[float] = ()


def trial_outcome(cells: Sequence[CellRecord], metrics: Sequence[str], seeds: int) -> TrialOutcome:
    """Return the outcome of a candidate.

    Args:
        cells: Finished tuning cells of the candidate.
        metrics: Names of the objectives.
        seeds: Number of tuning seeds.
    """
    values = [candidate_value(cells, metric, seeds) for metric in metrics]
    known = [value for value in values if value is not None]
    statuses = {cell.status for cell in cells}
    if len(known) == len(values):
        return TrialOutcome(state=TrialState.COMPLETE, values=known)
    if Status.PRUNED in statuses and Status.FAILED not in statuses:
        # Optuna takes no intermediate values where there are two objectives.
        curve = _mean_curve(cells, f"valid.{metrics[0]}") if len(metrics) == 1 else ()
        return TrialOutcome(state=TrialState.PRUNED, curve=curve)
    return TrialOutcome(state=TrialState.FAIL)


class Proposals:
    """The candidates of one arm.

    The Optuna study behind it has each in its true state: COMPLETE with the mean over the tuning
    seeds, PRUNED with the values up to where it was stopped, FAIL if a seed failed or has no
    value. A proposal that repeats an earlier candidate, or violates a constraint, is never trained
    and ends as FAIL.
    """

    def __init__(
        self,
        core: Core,
        arm: PlannedArm,
        objective: Objective,
        *,
        sampler: str,
        seed: int,
        generation: int = 10,
        taken: Iterable[Params] = (),
    ) -> None:
        """Start with no candidate.

        Args:
            core: Core of the study.
            arm: Arm with its search space and its starting points.
            objective: Objective of the tuning.
            sampler: Name of the sampler, as in a study file.
            seed: Seed of the study's sampler.
            generation: Number of candidates per generation, for samplers that breed them.
            taken: Candidates in the ledger, whatever their number; never proposed anew.
        """
        self.core = core
        self.arm = arm
        self.sampler = sampler
        self.seed = seed
        self.metrics = objective.metrics
        self.directions = [
            StudyDirection.MAXIMIZE if metric in objective.rising else StudyDirection.MINIMIZE
            for metric in self.metrics
        ]
        self.generation = generation
        self._attempts = GP_ATTEMPTS if sampler == "gp" else SAMPLER_ATTEMPTS
        self.rejected: list[tuple[Params, str]] = []  # proposals of this run, and the reasons
        self._numbers: list[int] = []  # Optuna's trial of each candidate
        self._kept: set[Identity] = set()
        self._known = {_identity_of(params) for params in taken}  # and those added since
        self._start = list(arm.start)  # the starting points that are left
        self._started: set[Identity] = set()

    def __len__(self) -> int:
        return len(self._numbers)

    @functools.cached_property
    def optuna_study(self) -> optuna.Study:
        """Optuna's study, in memory, made when it is first needed."""
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        return optuna.create_study(directions=self.directions)

    @functools.cached_property
    def space(self) -> ArmSpace:
        """Space of the candidates."""
        return ArmSpace(self.core, self.arm.config, self.arm.space, self.arm.constraints)

    def ask(self) -> dict[str, Value] | None:
        """Propose the next candidate, searched field -> value; None if the space is exhausted."""
        found = self._next_new(self._known)
        if found is None:
            return None
        self._keep_candidate(*found)
        return dict(found[1])

    def restore_candidate(self, params: Params) -> None:
        """Take the next candidate from the ledger.

        Where asking leaves a trace that later questions depend on, it is asked for again.
        """
        if self._start or self.sampler in KEEPING:
            again = self._next_new(self._kept)
            if again and again[1] == dict(params):
                self._keep_candidate(*again)
                return
            if again:
                self._reject_trial(again[0], REPLACED, "the ledger holds another candidate")
        self._keep_candidate(self._add_trial(params), params)

    def tell(self, number: int, cells: Sequence[CellRecord], seeds: int) -> None:
        """Report how a candidate ended.

        Args:
            number: Number of the candidate.
            cells: Finished tuning cells of the candidate.
            seeds: Number of tuning seeds.
        """
        trial = self._numbers[number]
        ended = trial_outcome(cells, self.metrics, seeds)
        if ended.curve:
            self._report_curve(trial, ended.curve)
        self.optuna_study.tell(trial, ended.values, state=ended.state)

    def _next_new(self, taken: set[Identity]) -> Asked | None:
        """Find the next candidate that is not taken; return its trial and values."""
        while self._start:
            if found := self._from_start(self._start.pop(0), taken):
                return found
        if self.sampler in ("qmc", "grid"):
            return self._first_new(self._listed_points, taken)
        for attempt in range(self._attempts):
            if found := self._ask_sampler(attempt, {}, taken):
                return found
        return self._first_new(self._distinct_points(self._random_points()), taken)

    def _from_start(self, given: Params, taken: set[Identity]) -> Asked | None:
        """Complete a starting point to a candidate; None if that is no new one."""
        for attempt in range(self._attempts):
            found = self._ask_sampler(attempt, given, taken)
            if found is None:
                continue
            own = _identity_of({path: value for path, value in found[1].items() if path in given})
            if own not in self._started:
                self._started.add(own)
                return found
            self._reject_trial(found[0], "repeats", "an earlier starting point; never trained")
            return None
        return None

    def _ask_sampler(self, attempt: int, given: Params, taken: set[Identity]) -> Asked | None:
        """Ask the sampler for the values that are not given; None if they can't be trained."""
        # The same seed for every arm: where arms search the same fields they start from the same
        # random candidates, so that luck in tuning is no difference between them.
        seed = seed_of(self.seed, len(self), attempt)
        self.optuna_study.sampler = make_sampler(self.sampler, seed, self.generation)
        if given:
            self.optuna_study.enqueue_trial(dict(given))
        with single_threaded(self.sampler):
            trial = self.optuna_study.ask()
            params = self.space.settle_candidate(
                lambda path: suggest_value(trial, path, self.arm.space[path])
            )
        if violated := self.space.violated_constraint(params):
            self._reject_trial(trial.number, "violates", violated.text)
        elif _identity_of(params) in taken:
            self._reject_trial(trial.number, "repeats", "an earlier candidate; never trained")
        elif self.sampler in KEEPING or (not given and _is_only(trial, params)):
            return trial.number, params
        else:
            # It holds values that a candidate from the ledger would not: after an interruption the
            # sampler would learn something else.
            self._reject_trial(trial.number, REPLACED, "the next trial is the candidate alone")
            return self._add_trial(params), params
        return None

    def _first_new(self, points: Iterator[Params], taken: set[Identity]) -> Asked | None:
        """Return the first of some points that is new and satisfies the constraints."""
        for point in points:
            if _identity_of(point) not in taken and not self.space.violated_constraint(point):
                return self._add_trial(point), point
        return None

    @functools.cached_property
    def _listed_points(self) -> Iterator[Params]:
        """Iterator over the points of a sampler that knows them beforehand, in their order."""
        if self.sampler == "grid":
            return self._grid_points()
        return self._distinct_points(self._sobol_points())

    def _grid_points(self) -> Iterator[Params]:
        return grid_points(
            self.core, self.arm.config, self.arm.space, self.arm.constraints, self.seed
        )

    def _sobol_points(self) -> Iterator[Params]:
        """Yield the points of one scrambled Sobol sequence, a dimension for each searched field."""
        from scipy.stats.qmc import Sobol

        order, domains = self.space.order, self.arm.space
        sobol = Sobol(len(order), scramble=True, rng=np.random.default_rng(self.seed))
        while True:
            shares = dict(zip(order, sobol.random(1)[0].tolist(), strict=True))
            values = {path: value_at_share(domains[path], share) for path, share in shares.items()}
            yield self.space.settle_candidate(values.__getitem__)

    def _random_points(self) -> Iterator[Params]:
        draw = random.Random(f"{self.seed}/{len(self)}/at random")
        while True:
            yield self.space.draw_candidate(draw)

    def _distinct_points(self, points: Iterator[Params]) -> Iterator[Params]:
        """Yield each of endless points once, and only those that satisfy the constraints.

        Where no new one comes for long it ends; of a finite space it then yields the rest.
        """
        seen: set[Identity] = set()
        in_vain = 0
        for point in points:
            if self.space.violated_constraint(point) or _identity_of(point) in seen:
                in_vain += 1
            else:
                in_vain = 0
                seen.add(_identity_of(point))
                yield point
            if in_vain >= (MOST_ATTEMPTS if seen and not self._is_finite else RANDOM_ATTEMPTS):
                break
        if self._is_finite:
            yield from (point for point in self._grid_points() if _identity_of(point) not in seen)

    @functools.cached_property
    def _is_finite(self) -> bool:
        """Whether all candidates can be listed."""
        if any(size_of(domain) is None for domain in self.arm.space.values()):
            return False
        try:
            grid_size(self.core, self.arm.config, self.arm.space, self.arm.constraints)
        except ConfigError:
            return False
        return True

    def _keep_candidate(self, number: int, params: Params) -> None:
        identity = _identity_of(params)
        self._kept.add(identity)
        self._known.add(identity)
        self._numbers.append(number)

    def _add_trial(self, params: Params) -> int:
        """Add a trial with known values; return its number."""
        known = create_trial(
            state=TrialState.RUNNING,
            params=dict(params),
            distributions={path: optuna_distribution(self.arm.space[path]) for path in params},
        )
        self.optuna_study.add_trial(known)
        return self.optuna_study.get_trials(deepcopy=False)[-1].number

    def _reject_trial(self, number: int, name: str, reason: str) -> None:
        trial = self.optuna_study.get_trials(deepcopy=False)[number]
        self.optuna_study._storage.set_trial_user_attr(trial._trial_id, name, reason)
        self.optuna_study.tell(number, state=TrialState.FAIL)
        if name != REPLACED:
            self.rejected.append((dict(trial.params), f"{name} {reason}"))

    def _report_curve(self, number: int, curve: Sequence[float]) -> None:
        self.optuna_study.sampler = make_sampler(
            "random", 0, 0
        )  # any will do: nothing is asked here
        trial = Trial(
            self.optuna_study, self.optuna_study.get_trials(deepcopy=False)[number]._trial_id
        )
        for epoch, mean in enumerate(curve, start=1):
            trial.report(mean, epoch)


def _is_only(trial: Trial, params: Params) -> bool:
    """Check whether a trial holds these values and no others."""
    return trial.params == params and trial.relative_params.keys() <= params.keys()


def _identity_of(params: Params) -> Identity:
    return tuple(sorted(params.items()))


def _mean_curve(cells: Sequence[CellRecord], name: str) -> list[float]:
    """Return the mean over the cells, epoch by epoch, as far as every cell has a value."""
    curves = [cell.curve.get(name, ()) for cell in cells]
    means: list[float] = []
    for values in zip(*curves, strict=False):
        defined = [value for value in values if value is not None]
        if len(defined) < len(values):
            break
        means.append(fmean(defined))
    return means
