"""Optuna, asked and told. The only file that imports it.

A candidate of an arm is a function of the study and of the results of the arm's earlier
generations alone: the sampler is seeded for each question by its number, and results are told
in the order of the numbers, however they arrive. So the same study proposes the same candidates
on any number of workers, and also after an interruption.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import Trial, TrialState, create_trial

from msa_core.config_paths import Value, replace
from msa_core.config_rules import is_active
from search.ledger import CellRecord
from search.selection import candidate_value
from spaces.domains import Choice, Domain, Int, LogUniform, Uniform
from spaces.plan import PlannedArm

Params = Mapping[str, Value]
STARTUP = 10  # candidates that TPE draws at random before it believes what it knows
SAMPLER_ATTEMPTS = 10  # questions for a candidate that was not proposed before
RANDOM_ATTEMPTS = 40  # then at random; after that the space counts as exhausted


class Proposals:
    """The candidates of one arm.

    The Optuna study behind it says the truth of each: COMPLETE with the mean over the tuning
    seeds, PRUNED with the values up to where it was stopped, FAIL if a seed failed or has no
    value. A proposal that only repeats an earlier candidate is never trained and is told FAIL.
    """

    def __init__(
        self,
        arm: PlannedArm,
        *,
        sampler: str,
        seed: int,
        metric: str,
        higher_is_better: bool,
        taken: Iterable[Params] = (),
    ) -> None:
        """Start with no candidate.

        Args:
            arm: what is searched.
            taken: candidates that the ledger holds, whatever their number; never asked for anew.
            sampler: `tpe` or `random`.
            seed: of the study's sampler.
            metric: the validation metric tuned.
            higher_is_better: its direction.
        """
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.arm = arm
        self.sampler = sampler
        self.seed = seed
        self.metric = metric
        self.optuna = optuna.create_study(direction="maximize" if higher_is_better else "minimize")
        self._trials: list[Trial] = []
        self._taken = {_identity(params) for params in taken}

    def __len__(self) -> int:
        return len(self._trials)

    def ask(self) -> dict[str, Value] | None:
        """The next candidate, searched field -> value; None if the space is exhausted."""
        for attempt in range(SAMPLER_ATTEMPTS + RANDOM_ATTEMPTS):
            self.optuna.sampler = self._sampler(attempt)
            trial = self.optuna.ask()
            params = self._suggest(trial)
            if _identity(params) not in self._taken:
                self._keep(trial, params)
                return params
            trial.set_user_attr("repeats", "an earlier candidate; never trained")
            self.optuna.tell(trial, state=TrialState.FAIL)
        return None

    def restore(self, params: Params) -> None:
        """Take the next candidate from the ledger instead of asking for it."""
        known = create_trial(
            state=TrialState.RUNNING,
            params=dict(params),
            distributions={name: _distribution(self.arm.space[name]) for name in params},
        )
        self.optuna.add_trial(known)
        frozen = self.optuna.get_trials(deepcopy=False)[-1]
        self._keep(Trial(self.optuna, frozen._trial_id), params)

    def tell(self, number: int, cells: Sequence[CellRecord], seeds: int) -> None:
        """Report how a candidate ended.

        Args:
            number: the candidate.
            cells: its finished tuning cells.
            seeds: how many tuning seeds there are.
        """
        trial = self._trials[number]
        value = candidate_value(cells, self.metric, seeds)
        if value is not None:
            self.optuna.tell(trial.number, value)
        elif any(cell.status == "pruned" for cell in cells) and not any(
            cell.status == "failed" for cell in cells
        ):
            for epoch, mean in enumerate(_mean_curve(cells, f"valid.{self.metric}"), start=1):
                trial.report(mean, epoch)
            self.optuna.tell(trial.number, state=TrialState.PRUNED)
        else:
            self.optuna.tell(trial.number, state=TrialState.FAIL)

    def _keep(self, trial: Trial, params: Params) -> None:
        self._taken.add(_identity(params))
        self._trials.append(trial)

    def _sampler(self, attempt: int) -> optuna.samplers.BaseSampler:
        # The same for every arm: where arms search the same fields they start from the same
        # random candidates, so that luck in tuning is no difference between them.
        text = f"{self.seed}/{len(self._trials)}/{attempt}"
        seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "little")
        if self.sampler == "random" or attempt >= SAMPLER_ATTEMPTS:
            return optuna.samplers.RandomSampler(seed=seed)
        return optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP)

    def _suggest(self, trial: Trial) -> dict[str, Value]:
        """Values for the searched fields that mean something, choices first.

        A choice may decide whether another field means anything (`mode: off` and its weight); a
        field that does not is never suggested, so no one sees a value of it.
        """
        space = self.arm.space
        params: dict[str, Value] = {}
        for path in sorted(space, key=lambda path: not isinstance(space[path], Choice)):
            if is_active(replace(self.arm.config, params), path):
                params[path] = _suggest_one(trial, path, space[path])
        config = replace(self.arm.config, params)
        # A choice made later can switch off one made earlier.
        return {path: value for path, value in params.items() if is_active(config, path)}


def _suggest_one(trial: Trial, path: str, domain: Domain) -> Value:
    match domain:
        case Uniform(low, high):
            return trial.suggest_float(path, low, high)
        case LogUniform(low, high):
            return trial.suggest_float(path, low, high, log=True)
        case Int(low, high):
            return trial.suggest_int(path, low, high)
        case Choice(options):
            chosen = trial.suggest_categorical(path, list(options))
            assert chosen is not None  # no option of ours is None
            return chosen


def _distribution(domain: Domain) -> BaseDistribution:
    match domain:
        case Uniform(low, high):
            return FloatDistribution(low, high)
        case LogUniform(low, high):
            return FloatDistribution(low, high, log=True)
        case Int(low, high):
            return IntDistribution(low, high)
        case Choice(options):
            return CategoricalDistribution(list(options))


def _identity(params: Params) -> tuple[tuple[str, Value], ...]:
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
