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

from spaces.fields.declaration import Value
from spaces.search_space.domains import Choice, Domain, Int, LogUniform, Uniform, tidy_value

# Their candidates depend on the results of earlier ones.
LEARNING = ("tpe", "cmaes", "gp", "nsga2")
# These keep state in their trials beside candidates and values, which only asking again restores.
KEEPING = ("cmaes", "nsga2")
STARTUP = 10  # candidates that TPE and GP draw at random before they use results


def seed_of(*parts: object) -> int:
    """Derive a seed from all of its parts."""
    text = "/".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "little")


def make_sampler(name: str, seed: int, population: int) -> optuna.samplers.BaseSampler:
    """Make a sampler for one question.

    Args:
        name: Name as in a study file; one that Optuna does not have draws at random.
        seed: Seed of the question.
        population: Number of candidates per generation, for samplers that breed them.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        match name:
            case "tpe":
                return optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP)
            case "cmaes":
                # Choices, and fields that not every candidate has, it draws at random.
                return optuna.samplers.CmaEsSampler(seed=seed, warn_independent_sampling=False)
            case "gp":
                return optuna.samplers.GPSampler(
                    seed=seed, n_startup_trials=STARTUP, warn_independent_sampling=False
                )
            case "nsga2":
                return optuna.samplers.NSGAIISampler(seed=seed, population_size=max(2, population))
    return optuna.samplers.RandomSampler(seed=seed)


@contextlib.contextmanager
def single_threaded(name: str) -> Iterator[None]:
    """Use one thread inside for a sampler that uses torch, whose sums depend on their number."""
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


def suggest_value(trial: Trial, path: str, domain: Domain) -> Value:
    """Let Optuna choose the value of a field."""
    # What all of `suggest_float` and its like call; they differ in nothing but the distribution.
    chosen: Value = trial._suggest(path, optuna_distribution(domain))
    return tidy_value(domain, chosen)


def optuna_distribution(domain: Domain) -> BaseDistribution:
    """Return Optuna's form of a domain."""
    match domain:
        case Uniform(low, high, step):
            return FloatDistribution(low, high, step=step)
        case LogUniform(low, high):
            return FloatDistribution(low, high, log=True)
        case Int(low, high, step, log):
            return IntDistribution(low, high, step=step, log=log)
        case Choice(options):
            return CategoricalDistribution(list(options))
