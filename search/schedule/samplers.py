"""Optuna's samplers and distributions, by the names that studies use."""

import contextlib
import hashlib
import warnings
from collections.abc import Iterator

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.exceptions import ExperimentalWarning
from optuna.trial import Trial

from msa_core.config.paths import Value
from spaces.search_space.domains import Choice, Domain, Int, LogUniform, Uniform, tidy

# Their candidates depend on the results of earlier ones.
LEARNING = ("tpe", "cmaes", "gp", "nsga2")
# They keep something beside the candidates and their values, which only asking again brings back.
KEEPING = ("cmaes", "nsga2")
STARTUP = 10  # candidates that TPE and GP draw at random before they believe what they know


def seed_of(*parts: object) -> int:
    """A seed that depends on all of its parts."""
    text = "/".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "little")


def make_sampler(name: str, seed: int, population: int) -> optuna.samplers.BaseSampler:
    """A sampler for one question.

    Args:
        name: as in a study; what is no sampler of Optuna's draws at random.
        seed: of the question.
        population: candidates of a generation, for samplers that breed them.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        match name:
            case "tpe":
                return optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP)
            case "cmaes":
                # What it can't do (choices, fields that not every candidate has) is random.
                return optuna.samplers.CmaEsSampler(seed=seed, warn_independent_sampling=False)
            case "gp":
                return optuna.samplers.GPSampler(
                    seed=seed, n_startup_trials=STARTUP, warn_independent_sampling=False
                )
            case "nsga2":
                return optuna.samplers.NSGAIISampler(seed=seed, population_size=max(2, population))
    return optuna.samplers.RandomSampler(seed=seed)


@contextlib.contextmanager
def reproducible(name: str) -> Iterator[None]:
    """Asks on one thread where a sampler uses torch, whose sums depend on their number."""
    if name != "gp":
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            yield
    finally:
        torch.set_num_threads(before)


def suggest(trial: Trial, path: str, domain: Domain) -> Value:
    """Optuna's value for a field."""
    match domain:
        case Uniform(low, high, step):
            return tidy(domain, trial.suggest_float(path, low, high, step=step))
        case LogUniform(low, high):
            return trial.suggest_float(path, low, high, log=True)
        case Int(low, high, step, log):
            return trial.suggest_int(path, low, high, step=step, log=log)
        case Choice(options):
            chosen = trial.suggest_categorical(path, list(options))
            assert chosen is not None  # no option of ours is None
            return chosen


def distribution(domain: Domain) -> BaseDistribution:
    """Optuna's form of a domain; the same that `suggest` gives it."""
    match domain:
        case Uniform(low, high, step):
            return FloatDistribution(low, high, step=step)
        case LogUniform(low, high):
            return FloatDistribution(low, high, log=True)
        case Int(low, high, step, log):
            return IntDistribution(low, high, step=step, log=log)
        case Choice(options):
            return CategoricalDistribution(list(options))
