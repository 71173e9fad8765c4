"""Candidates, asked of Optuna and told to it.

A candidate of an arm is a function of the study and of the results of the arm's earlier
generations alone: the sampler is seeded for each question by its number, and results are told
in the order of the numbers, however they arrive. So the same study proposes the same candidates
on any number of workers, and also after an interruption.
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

from msa_core.config.paths import Value
from msa_core.config.schema import ConfigError
from search.ledger.record import CellRecord
from search.results.selection import candidate_value
from search.schedule.samplers import (
    KEEPING,
    distribution,
    make_sampler,
    reproducible,
    seed_of,
    suggest,
)
from spaces.plan.planned_arms import PlannedArm
from spaces.search_space.candidates import ArmSpace, grid_points, grid_size
from spaces.search_space.domains import at, contains, size_of

Params = Mapping[str, Value]
Identity = tuple[tuple[str, Value], ...]
Asked = tuple[int, Params]  # number of a trial, and its values
SAMPLER_ATTEMPTS = 10  # questions for a candidate that is new and satisfies the constraints
GP_ATTEMPTS = 2  # it thinks for a second, and then says nearly the same
RANDOM_ATTEMPTS = 1000  # then at random
REPLACED = "replaced"  # by a trial of the same candidate
MOST_ATTEMPTS = 20_000  # at random, where there are infinitely many and some satisfy them


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How a candidate ended, as Optuna calls it.

    Attributes:
        values: of the objectives, if it is COMPLETE.
        curve: mean of the only objective after each epoch, if it is PRUNED.
    """

    state: TrialState
    values: list[float] | None = None
    curve: Sequence[float] = ()


def outcome(cells: Sequence[CellRecord], metrics: Sequence[str], seeds: int) -> Outcome:
    """How a candidate ended.

    Args:
        cells: its finished tuning cells.
        metrics: the objectives.
        seeds: how many tuning seeds there are.
    """
    values = [candidate_value(cells, metric, seeds) for metric in metrics]
    known = [value for value in values if value is not None]
    statuses = {cell.status for cell in cells}
    if len(known) == len(values):
        return Outcome(state=TrialState.COMPLETE, values=known)
    if "pruned" in statuses and "failed" not in statuses:
        # Optuna knows no values on the way to two objectives.
        curve = _mean_curve(cells, f"valid.{metrics[0]}") if len(metrics) == 1 else ()
        return Outcome(state=TrialState.PRUNED, curve=curve)
    return Outcome(state=TrialState.FAIL)


class Proposals:
    """The candidates of one arm.

    The Optuna study behind it says the truth of each: COMPLETE with the mean over the tuning
    seeds, PRUNED with the values up to where it was stopped, FAIL if a seed failed or has no
    value. A proposal that repeats an earlier candidate, or violates a constraint, is never
    trained and is told FAIL.
    """

    def __init__(
        self,
        arm: PlannedArm,
        *,
        sampler: str,
        seed: int,
        metric: str,
        higher_is_better: bool,
        second: tuple[str, bool] | None = None,
        generation: int = 10,
        taken: Iterable[Params] = (),
    ) -> None:
        """Start with no candidate.

        Args:
            arm: what is searched, and which candidates come first.
            sampler: as a study names it.
            seed: of the study's sampler.
            metric: the validation metric tuned.
            higher_is_better: its direction.
            second: a second metric that is tuned for, and its direction.
            generation: candidates that are asked for together, for samplers that breed them.
            taken: candidates that the ledger holds, whatever their number; never asked for anew.
        """
        self.arm = arm
        self.sampler = sampler
        self.seed = seed
        self.objectives = [(metric, higher_is_better), *([second] if second else [])]
        self.generation = generation
        self._attempts = GP_ATTEMPTS if sampler == "gp" else SAMPLER_ATTEMPTS
        self.rejected: list[tuple[Params, str]] = []  # in this run, and why
        self._numbers: list[int] = []  # of the candidates' trials
        self._kept: set[Identity] = set()
        self._known = {_identity(params) for params in taken}  # and what was kept since
        # The starting points whose turn has not come.
        self._start = [point for given in arm.start if (point := self._within(given))]
        self._started: set[Identity] = set()

    def __len__(self) -> int:
        return len(self._numbers)

    @functools.cached_property
    def optuna(self) -> optuna.Study:
        """The Optuna study, once it is needed."""
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        directions = [
            StudyDirection.MAXIMIZE if higher else StudyDirection.MINIMIZE
            for _, higher in self.objectives
        ]
        return optuna.create_study(directions=directions)

    @functools.cached_property
    def space(self) -> ArmSpace:
        """What a candidate may be."""
        return ArmSpace(self.arm.config, self.arm.space, self.arm.constraints)

    def ask(self) -> dict[str, Value] | None:
        """The next candidate, searched field -> value; None if the space is exhausted."""
        found = self._next(self._known)
        if found is None:
            return None
        self._keep(*found)
        return dict(found[1])

    def restore(self, params: Params) -> None:
        """Take the next candidate from the ledger.

        Where asking leaves a trace that later questions depend on, it is asked for again.
        """
        if self._start or self.sampler in KEEPING:
            again = self._next(self._kept)
            if again and again[1] == dict(params):
                self._keep(*again)
                return
            if again:
                self._reject(again[0], REPLACED, "the ledger holds another candidate")
        self._keep(self._add(params), params)

    def tell(self, number: int, cells: Sequence[CellRecord], seeds: int) -> None:
        """Report how a candidate ended.

        Args:
            number: the candidate.
            cells: its finished tuning cells.
            seeds: how many tuning seeds there are.
        """
        trial = self._numbers[number]
        ended = outcome(cells, [metric for metric, _ in self.objectives], seeds)
        if ended.curve:
            self._report(trial, ended.curve)
        self.optuna.tell(trial, ended.values, state=ended.state)

    def _next(self, taken: set[Identity]) -> Asked | None:
        """Trial and values of the next candidate that is none of those taken."""
        while self._start:
            if found := self._from_start(self._start.pop(0), taken):
                return found
        if self.sampler in ("qmc", "grid"):
            return self._first(self._points, taken)
        for attempt in range(self._attempts):
            if found := self._question(attempt, {}, taken):
                return found
        return self._first(self._new_ones(self._at_random()), taken)

    def _from_start(self, given: Params, taken: set[Identity]) -> Asked | None:
        """A candidate made of a starting point; None if that is no new one."""
        for attempt in range(self._attempts):
            found = self._question(attempt, given, taken)
            if found is None:
                continue
            own = _identity({path: value for path, value in found[1].items() if path in given})
            if own not in self._started:
                self._started.add(own)
                return found
            self._reject(found[0], "repeats", "an earlier starting point; never trained")
            return None
        return None

    def _question(self, attempt: int, given: Params, taken: set[Identity]) -> Asked | None:
        """What the sampler proposes, beside what is given; None if it can't be trained."""
        # The same seed for every arm: where arms search the same fields they start from the same
        # random candidates, so that luck in tuning is no difference between them.
        seed = seed_of(self.seed, len(self), attempt)
        self.optuna.sampler = make_sampler(self.sampler, seed, self.generation)
        if given:
            self.optuna.enqueue_trial(dict(given))
        with reproducible(self.sampler):
            trial = self.optuna.ask()
            params = self.space.settle(lambda path: suggest(trial, path, self.arm.space[path]))
        if violated := self.space.violated(params):
            self._reject(trial.number, "violates", violated.text)
        elif _identity(params) in taken:
            self._reject(trial.number, "repeats", "an earlier candidate; never trained")
        elif self.sampler in KEEPING or (not given and _is_only(trial, params)):
            return trial.number, params
        else:
            # It holds what a candidate from the ledger would not, and the sampler would learn it.
            self._reject(trial.number, REPLACED, "the next trial is the candidate alone")
            return self._add(params), params
        return None

    def _first(self, points: Iterator[Params], taken: set[Identity]) -> Asked | None:
        """The first of some points that is new and satisfies the constraints."""
        for point in points:
            if _identity(point) not in taken and not self.space.violated(point):
                return self._add(point), point
        return None

    @functools.cached_property
    def _points(self) -> Iterator[Params]:
        """All points of a sampler that knows them beforehand, in their order."""
        if self.sampler == "grid":
            return self._grid()
        return self._new_ones(self._sequence())

    def _grid(self) -> Iterator[Params]:
        return grid_points(self.arm.config, self.arm.space, self.arm.constraints, self.seed)

    def _sequence(self) -> Iterator[Params]:
        """The points of one scrambled Sobol sequence, a dimension for each searched field."""
        from scipy.stats.qmc import Sobol

        order, domains = self.space.order, self.arm.space
        sobol = Sobol(len(order), scramble=True, rng=np.random.default_rng(self.seed))
        while True:
            shares = dict(zip(order, sobol.random(1)[0].tolist(), strict=True))
            values = {path: at(domains[path], share) for path, share in shares.items()}
            yield self.space.settle(values.__getitem__)

    def _at_random(self) -> Iterator[Params]:
        draw = random.Random(f"{self.seed}/{len(self)}/at random")
        while True:
            yield self.space.draw(draw)

    def _new_ones(self, points: Iterator[Params]) -> Iterator[Params]:
        """Of endless points each once, and only those that satisfy the constraints.

        It gives up where no other comes for long; of a finite space it then gives the rest.
        """
        seen: set[Identity] = set()
        in_vain = 0
        for point in points:
            if self.space.violated(point) or _identity(point) in seen:
                in_vain += 1
            else:
                in_vain = 0
                seen.add(_identity(point))
                yield point
            if in_vain >= (MOST_ATTEMPTS if seen and not self._finite else RANDOM_ATTEMPTS):
                break
        if self._finite:
            yield from (point for point in self._grid() if _identity(point) not in seen)

    @functools.cached_property
    def _finite(self) -> bool:
        """Whether all candidates that there are can be listed."""
        if any(size_of(domain) is None for domain in self.arm.space.values()):
            return False
        try:
            grid_size(self.arm.config, self.arm.space, self.arm.constraints)
        except ConfigError:
            return False
        return True

    def _within(self, given: Params) -> Params:
        """What of a starting point the arm searches."""
        domains = self.arm.space
        return {
            path: value
            for path, value in given.items()
            if path in domains and contains(domains[path], value)
        }

    def _keep(self, number: int, params: Params) -> None:
        identity = _identity(params)
        self._kept.add(identity)
        self._known.add(identity)
        self._numbers.append(number)

    def _add(self, params: Params) -> int:
        """A trial of its own for values that are known; its number."""
        known = create_trial(
            state=TrialState.RUNNING,
            params=dict(params),
            distributions={path: distribution(self.arm.space[path]) for path in params},
        )
        self.optuna.add_trial(known)
        return self.optuna.get_trials(deepcopy=False)[-1].number

    def _reject(self, number: int, name: str, reason: str) -> None:
        trial = self.optuna.get_trials(deepcopy=False)[number]
        self.optuna._storage.set_trial_user_attr(trial._trial_id, name, reason)
        self.optuna.tell(number, state=TrialState.FAIL)
        if name != REPLACED:
            self.rejected.append((dict(trial.params), f"{name} {reason}"))

    def _report(self, number: int, curve: Sequence[float]) -> None:
        self.optuna.sampler = make_sampler("random", 0, 0)  # nothing is asked here
        trial = Trial(self.optuna, self.optuna.get_trials(deepcopy=False)[number]._trial_id)
        for epoch, mean in enumerate(curve, start=1):
            trial.report(mean, epoch)


def _is_only(trial: Trial, params: Params) -> bool:
    """Whether a trial knows these values, and of no others."""
    return trial.params == params and trial.relative_params.keys() <= params.keys()


def _identity(params: Params) -> Identity:
    return tuple(sorted(params.items()))


def _mean_curve(cells: Sequence[CellRecord], name: str) -> list[float]:
    """Mean over the cells, epoch by epoch, as far as every cell has a value."""
    curves = [cell.curve.get(name, ()) for cell in cells]
    means: list[float] = []
    for values in zip(*curves, strict=False):
        defined = [value for value in values if value is not None]
        if len(defined) < len(values):
            break
        means.append(fmean(defined))
    return means
