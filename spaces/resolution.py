"""What an arm really is, once everything that means nothing in it is left out."""

import itertools
import math
from collections.abc import Iterator, Mapping

from msa_core.config import Config
from msa_core.config_paths import Value, replace
from msa_core.config_rules import is_active, resolve
from spaces.domains import Choice, Domain

MOST_COMBINATIONS = 1024


def possible_space(
    config: Config, search: Mapping[str, Domain], changes: Mapping[str, Value]
) -> dict[str, Domain]:
    """The searched fields that can mean something in an arm.

    A field that the arm fixes is not searched in it, nor is one that is switched off whatever
    the searched choices are.

    Args:
        config: the arm's configuration.
        search: the study's searched fields.
        changes: what the arm fixes.
    """
    free = {path: domain for path, domain in search.items() if path not in changes}
    variants = list(_variants(config, free))
    return {
        path: domain
        for path, domain in free.items()
        if any(is_active(variant, path) for variant in variants)
    }


def signature(
    config: Config, search: Mapping[str, Domain], changes: Mapping[str, Value]
) -> tuple[object, ...]:
    """Equal for two arms exactly if they are the same model with the same searched fields."""
    space = possible_space(config, search, changes)
    fixed = {path: value for path, value in resolve(config).items() if path not in space}
    return (tuple(sorted(fixed.items())), tuple(sorted(space)))


def _variants(config: Config, free: Mapping[str, Domain]) -> Iterator[Config]:
    """The configuration under every combination of the searched choices."""
    choices = {path: domain.options for path, domain in free.items() if isinstance(domain, Choice)}
    # A choice that decides about other fields has few options; wide ones (batch sizes) decide
    # about none, and are dropped first if the combinations are too many.
    while math.prod(len(options) for options in choices.values()) > MOST_COMBINATIONS:
        del choices[max(choices, key=lambda path: len(choices[path]))]
    for values in itertools.product(*choices.values()):
        yield replace(config, dict(zip(choices, values, strict=True)))
