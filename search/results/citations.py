"""Which papers a study builds on: of its arms' modules, its tuning and its analyses."""

from collections.abc import Iterator, Mapping

from msa_core.config.paths import Value, replace
from msa_core.config.schema import Config, ConfigError
from msa_core.reference.citations import ANALYSES, TRAINING, references, references_of
from spaces.plan.plan import Plan
from spaces.plan.planned_arms import PlannedArm
from spaces.search_space.domains import Choice, Domain, at

TOOLS = ("akiba2019optuna", "liaw2018tune")
OF_SAMPLERS = {
    "tpe": "bergstra2011tpe",
    "random": "bergstra2012random",
    "qmc": "sobol1967distribution",
    "cmaes": "hansen2016cma",
    "gp": "snoek2012practical",
    "nsga2": "deb2002nsga2",
}
OF_SCHEDULERS = {"asha": "li2020asha", "bracket": "li2018hyperband"}


def citations(plan: Plan) -> tuple[dict[str, tuple[str, ...]], dict[str, str]]:
    """What a report cites.

    Returns:
        Arm -> keys of what it is built from, as `StudyFacts.methods`; and key -> BibTeX entry of
        these, the tools and the analyses, as `StudyFacts.references`.
    """
    methods = {arm.name: _methods(arm) for arm in plan.arms}
    keys = [key for own in methods.values() for key in own]
    keys += [*TRAINING, *ANALYSES]
    if any(arm.space for arm in plan.arms):
        keys += TOOLS
        keys += _known(OF_SAMPLERS, plan.study.sampler)
        keys += _known(OF_SCHEDULERS, plan.study.budget.scheduler)
    entries = references()
    return methods, {key: entries[key] for key in dict.fromkeys(keys)}


def _known(keys: Mapping[str, str], name: object) -> list[str]:
    return [keys[name]] if isinstance(name, str) and name in keys else []


def _methods(arm: PlannedArm) -> tuple[str, ...]:
    """Of everything that a candidate of the arm can have."""
    found = [key for config in _configurations(arm) for key in references_of(config)]
    return tuple(dict.fromkeys(found))


def _configurations(arm: PlannedArm) -> Iterator[Config]:
    """The arm's own configuration with each searched field at values that switch things on."""
    yield arm.config
    middle = {path: at(domain, 0.5) for path, domain in arm.space.items()}
    for path, domain in arm.space.items():
        for value in _values(domain):
            try:
                yield replace(arm.config, {**middle, path: value})
            except ConfigError:  # no such combination, so no candidate has it
                continue


def _values(domain: Domain) -> tuple[Value, ...]:
    return domain.options if isinstance(domain, Choice) else (at(domain, 0.5),)
