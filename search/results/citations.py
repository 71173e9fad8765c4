"""The papers that a study builds on: for its arms' modules, its tuning and its analyses."""

import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from spaces.abilities import Informed
from spaces.core import Core
from spaces.fields.declaration import ConfigError, Value
from spaces.fields.paths import replace
from spaces.plan.arms_on_data import PlannedArm
from spaces.plan.plan import Plan
from spaces.search_space.domains import Choice, Domain, value_at_share

TOOLS_FILE = Path(__file__).with_name("tools.bib")
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


def collect_citations(plan: Plan) -> tuple[dict[str, tuple[str, ...]], dict[str, str]]:
    """Collect what a report cites.

    Returns:
        Arm -> keys of what it is built from, as `StudyFacts.methods`; and key -> BibTeX entry of
        these, the tools and the analyses, as `StudyFacts.references`.
    """
    core = plan.study.core
    methods = {arm.name: _references_of_arm(core, arm) for arm in plan.arms}
    keys = [key for own in methods.values() for key in own]
    keys += core.information_cites if isinstance(core, Informed) else ()
    # A study that tunes nothing uses neither a sampler nor Ray Tune's ways of stopping.
    if any(arm.space for arm in plan.arms):
        keys += TOOLS
        keys += [OF_SAMPLERS.get(plan.study.sampler, "")]
        keys += [OF_SCHEDULERS.get(plan.study.budget.scheduler, "")]
    entries = {**read_tools(), **core.references()}
    return methods, {key: entries[key] for key in dict.fromkeys(keys) if key}


@functools.cache
def read_tools() -> dict[str, str]:
    """Return key -> BibTeX entry of what the platform itself builds on."""
    text = TOOLS_FILE.read_text(encoding="utf-8")
    found = re.finditer(r"^@\w+\{([^,\s]+),.*?^\}$", text, re.M | re.S)
    return {entry[1]: entry[0] for entry in found}


def _references_of_arm(core: Core, arm: PlannedArm) -> tuple[str, ...]:
    """Return the keys of everything that a candidate of the arm can have."""
    found = [key for config in _possible_configurations(arm) for key in core.cites(config)]
    return tuple(dict.fromkeys(found))


def _possible_configurations(arm: PlannedArm) -> Iterator[Any]:
    """Yield the arm's configuration with each searched field at values that switch things on."""
    yield arm.config
    # The middle of a range, since a weight of 0 at its lower end would switch its module off.
    middle = {path: value_at_share(domain, 0.5) for path, domain in arm.space.items()}
    for path, domain in arm.space.items():
        for value in _sample_values(domain):
            try:
                yield replace(arm.config, {**middle, path: value})
            except ConfigError:  # no such combination, so no candidate has it
                continue


def _sample_values(domain: Domain) -> tuple[Value, ...]:
    return domain.options if isinstance(domain, Choice) else (value_at_share(domain, 0.5),)
