"""What an arm really is, once everything that means nothing in it is left out."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence

from msa_core.config import Config, ConfigError
from msa_core.config_kinds import FAMILIES, added_kinds
from msa_core.config_paths import Value, fields_of, get, replace
from msa_core.config_rules import check_config, is_active, resolve
from spaces.domains import Choice, Domain, Int

MOST_COMBINATIONS = 1024
MOST_VARIANTS_WITH_NUMBERS = 64  # combinations beside which searched whole numbers are tried
MOST_NUMBERS = 32  # of a domain; of a longer one its ends are tried


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


def possible_plugin_kinds(
    config: Config, search: Mapping[str, Domain], changes: Mapping[str, Value]
) -> set[tuple[str, str]]:
    """Family and name of the plugins' kinds that an arm uses, or that its search can choose."""
    families = {path: info.family for path, (info, _) in fields_of(Config).items() if info.family}
    found = set()
    for family, kind, _ in added_kinds():
        switch: dict[str, Value] = {
            path: kind for path, of_family in families.items() if of_family == family
        }
        if family == "contrast":
            switch = {f"{FAMILIES[family].section}.{kind}.use": True}
        for path, value in switch.items():
            searched = search.get(path) if path not in changes else None
            options = searched.options if isinstance(searched, Choice) else (get(config, path),)
            if value in options:
                found.add((family, kind))
    return found


def refusal(
    config: Config, search: Mapping[str, Domain], changes: Mapping[str, Value], scheme: str
) -> str:
    """Why an arm can't be trained, with something that its search could choose; empty if it can.

    Every combination of the searched choices is tried, and, beside each, the values of the
    searched whole numbers one at a time.

    Args:
        config: the arm's configuration.
        search: the study's searched fields.
        changes: what the arm fixes.
        scheme: of the labels.
    """
    free = {path: domain for path, domain in search.items() if path not in changes}
    tried = {path: values for path, domain in free.items() if (values := _tried(domain))}
    # Numbers in the middle of nothing: a field's default need not be in its domain.
    start = replace(config, {path: _some_value(domain) for path, domain in free.items()})
    choices = _deciding(free)
    for number, picked in enumerate(_combinations(choices)):
        variant = replace(start, picked)
        if reason := _refused(variant, scheme):
            return _blamed(variant, {**tried, **choices}, reason, scheme)
        if number >= MOST_VARIANTS_WITH_NUMBERS:
            continue
        for path in (path for path in tried if path not in choices):
            for value in tried[path] if is_active(variant, path) else ():
                other = replace(variant, {path: value})
                if reason := _refused(other, scheme):
                    return _blamed(other, {**choices, path: tried[path]}, reason, scheme)
    return ""


def _refused(config: Config, scheme: str) -> str:
    try:
        check_config(config, scheme)
    except ConfigError as error:
        return str(error)
    return ""


def _blamed(
    config: Config, searched: Mapping[str, Sequence[Value]], reason: str, scheme: str
) -> str:
    """The reason, and which searched values it is due to: those without which it would go."""
    guilty = [
        f"'{path}: {_written(get(config, path))}'"
        for path, values in searched.items()
        if any(_refused(replace(config, {path: value}), scheme) != reason for value in values)
    ]
    if not guilty:
        return reason
    if len(guilty) == 1:
        return (
            f"the search can choose {guilty[0]}. {reason}. "
            "Leave that value out of 'search', or give it an arm of its own"
        )
    return (
        f"the search can choose {' with '.join(guilty)}, which do not go together. {reason}. "
        "Fix one of them in each arm, or search only values that all go together"
    )


def _written(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _tried(domain: Domain) -> tuple[Value, ...]:
    """Values of a domain among which there is one that is refused, if any is."""
    match domain:
        case Choice(options):
            return options
        case Int(low, high) if high - low < MOST_NUMBERS:
            return tuple(range(low, high + 1))
        case Int(low, high):  # of two neighbours one is no multiple of whatever is asked for
            return (low, low + 1, high - 1, high)
    return ()


def _some_value(domain: Domain) -> Value:
    match domain:
        case Choice(options):
            return options[0]
        case Int(low, _):
            return low
    return domain.high  # of a weight: the term is there


def _variants(config: Config, free: Mapping[str, Domain]) -> Iterator[Config]:
    """The configuration under every combination of the searched choices."""
    for picked in _combinations(_deciding(free)):
        yield replace(config, picked)


def _deciding(free: Mapping[str, Domain]) -> dict[str, tuple[Value, ...]]:
    """The searched choices, field -> options, that are tried in every combination."""
    choices = {path: domain.options for path, domain in free.items() if isinstance(domain, Choice)}
    # A choice that decides about other fields has few options; wide ones (batch sizes) decide
    # about none, and are dropped first if the combinations are too many.
    while math.prod(len(options) for options in choices.values()) > MOST_COMBINATIONS:
        del choices[max(choices, key=lambda path: len(choices[path]))]
    return choices


def _combinations(choices: Mapping[str, Sequence[Value]]) -> Iterator[dict[str, Value]]:
    for values in itertools.product(*choices.values()):
        yield dict(zip(choices, values, strict=True))
