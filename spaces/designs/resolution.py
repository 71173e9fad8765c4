"""What an arm really is, once everything that means nothing in it is left out."""

import itertools
import math
import random
from collections.abc import Iterator, Mapping, Sequence

from msa_core.config.kinds import FAMILIES, added_kinds
from msa_core.config.paths import Value, fields_of, get, replace
from msa_core.config.rules import check_config, is_active, resolve
from msa_core.config.schema import Config, ConfigError
from spaces.search_space.candidates import ArmSpace, is_switch
from spaces.search_space.domains import Choice, Domain, Int, describe, size_of, values_of
from spaces.syntax.constraints import Condition

MOST_COMBINATIONS = 1024
MOST_IN_A_STUDY = 4096  # combinations of all arms together: a plan answers in a second or two
VARIANTS_A_NUMBERED_ONE = 16  # of so many combinations one has the whole numbers tried beside it
RANDOM_TRIED, MOST_RANDOM = 50, 1000  # candidates by which constraints are judged
MOST_NUMBERS = 32  # of a domain; of a longer one its ends are tried


def possible_space(
    config: Config, search: Mapping[str, Domain], changes: Mapping[str, Value]
) -> dict[str, Domain]:
    """The searched fields that can mean something in an arm.

    A field that the arm fixes is not searched in it, nor is one that is switched off, or whose
    `when` does not hold, whatever the searched choices are.

    Args:
        config: the arm's configuration.
        search: the study's searched fields.
        changes: what the arm fixes.
    """
    free = {path: domain for path, domain in search.items() if path not in changes}
    deciding = _deciding(free)
    active = _ever_active(config, free, deciding)
    before: set[str] | None = None
    # What is never searched is read by others as the configuration has it.
    while active != before and any(free[path].when for path in active):
        before = active
        left = {path: domain for path, domain in free.items() if path in active}
        active = _ever_searched(config, left, deciding)
    return {path: domain for path, domain in free.items() if path in active}


def _ever_active(
    config: Config, free: Mapping[str, Domain], deciding: Mapping[str, Sequence[Value]]
) -> set[str]:
    """The fields that mean something under some combination of the switches."""
    switches = {path: values for path, values in deciding.items() if is_switch(path)}
    found: set[str] = set()
    for picked in _combinations(switches):
        variant = replace(config, picked)
        found.update(path for path in free if path not in found and is_active(variant, path))
        if len(found) == len(free):
            break
    return found


def _ever_searched(
    config: Config, free: Mapping[str, Domain], deciding: Mapping[str, Sequence[Value]]
) -> set[str]:
    """The fields that mean something, and whose `when` holds, in some candidate."""
    read = _read_by_whens(free)
    tried = {
        path: values
        for path, values in deciding.items()
        if path in free and (path in read or is_switch(path))
    }
    # A `when` may hold for a value that is not tried.
    untried = frozenset(
        path
        for path, domain in free.items()
        if domain.when and any(other in free.keys() - tried for other in domain.when.paths)
    )
    arm = ArmSpace(config, free, taken_to_hold=untried)
    elsewhere = {path: get(config, path) for path in free}
    found: set[str] = set()
    for picked in _combinations(tried):
        found.update(arm.settle({**elsewhere, **picked}.__getitem__))
        if len(found) == len(free):
            break
    return found


def signature(config: Config, space: Mapping[str, Domain]) -> tuple[object, ...]:
    """Equal for two arms exactly if they are the same model with the same searched fields.

    Args:
        config: the arm's configuration.
        space: its `possible_space`.
    """
    fixed = {path: value for path, value in resolve(config).items() if path not in space}
    searched = {path: describe(domain) for path, domain in space.items()}
    return (tuple(sorted(fixed.items())), tuple(sorted(searched.items())))


def feasible_share(
    config: Config, space: Mapping[str, Domain], constraints: Sequence[Condition]
) -> float:
    """Share of random candidates that satisfy the constraints; 0 if none of a thousand does."""
    draw = random.Random(0)  # the same for every arm and run
    arm = ArmSpace(config, space, constraints)
    found = tried = 0
    while tried < (RANDOM_TRIED if found else MOST_RANDOM):
        tried += 1
        found += arm.violated(arm.draw(draw)) is None
    return found / tried


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


def combinations_an_arm(arms: int) -> int:
    """Combinations of its searched choices that are tried in each arm of a study."""
    return max(4, min(MOST_COMBINATIONS, MOST_IN_A_STUDY // max(1, arms)))


def refusal(
    config: Config,
    search: Mapping[str, Domain],
    changes: Mapping[str, Value],
    scheme: str,
    constraints: Sequence[Condition] = (),
    most: int = MOST_COMBINATIONS,
) -> str:
    """Why an arm can't be trained, with something that its search could choose; empty if it can.

    Every combination of the searched choices is tried, and, beside each, the values of the
    searched whole numbers one at a time. Where the combinations are too many, the widest choices
    are tried one value at a time too.

    Args:
        config: the arm's configuration.
        search: the study's searched fields.
        changes: what the arm fixes.
        scheme: of the labels.
        constraints: what is tried must satisfy them, as every candidate will.
        most: combinations tried; `combinations_an_arm` of a study of many arms.
    """
    free = {path: domain for path, domain in search.items() if path not in changes}
    tried = {path: values for path, domain in free.items() if (values := _tried(domain))}
    # Numbers in the middle of nothing: a field's default need not be in its domain.
    start = {path: _some_value(domain) for path, domain in free.items()}
    choices = _deciding(free, most)
    arm = ArmSpace(config, free, constraints)
    for number, picked in enumerate(_combinations(choices)):
        candidate: Mapping[str, Value] = {**start, **picked}
        if constraints or any(domain.when for domain in free.values()):
            candidate = arm.settle(candidate.__getitem__)
            if arm.violated(candidate):
                continue
        variant = replace(config, candidate)
        if reason := _refused(variant, scheme):
            return _blamed(variant, {**tried, **choices}, reason, scheme)
        if number >= max(1, most // VARIANTS_A_NUMBERED_ONE):
            continue
        for path in (path for path in tried if path not in choices and path in candidate):
            for value in tried[path] if is_active(variant, path) else ():
                if arm.violated({**candidate, path: value}):
                    continue
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
        case Int(low, high, step) if (high - low) // step < MOST_NUMBERS:
            return tuple(range(low, high + 1, step))
        case Int(low, high, step):  # two neighbours are rarely multiples of what is asked for
            return (low, low + step, high - step, high)
    return ()


def _some_value(domain: Domain) -> Value:
    match domain:
        case Choice(options):
            return options[0]
        case Int(low, _):
            return low
    return domain.high  # of a weight: the term is there


def _deciding(
    free: Mapping[str, Domain], most: int = MOST_COMBINATIONS
) -> dict[str, tuple[Value, ...]]:
    """The fields, with their values, that are tried in every combination.

    The searched choices, and whatever else has few values and is read by another's `when`.
    """
    read = _read_by_whens(free)
    choices: dict[str, tuple[Value, ...]] = {}
    for path, domain in free.items():
        if isinstance(domain, Choice):
            choices[path] = domain.options
        elif path in read and (size_of(domain) or math.inf) <= MOST_NUMBERS:
            choices[path] = values_of(domain) or ()
    # A choice that decides about other fields has few options; wide ones (batch sizes) decide
    # about none, and are dropped first if the combinations are too many.
    while math.prod(len(options) for options in choices.values()) > most:
        del choices[max(choices, key=lambda path: len(choices[path]))]
    return choices


def _read_by_whens(free: Mapping[str, Domain]) -> set[str]:
    return {path for domain in free.values() if domain.when for path in domain.when.paths}


def _combinations(choices: Mapping[str, Sequence[Value]]) -> Iterator[dict[str, Value]]:
    for values in itertools.product(*choices.values()):
        yield dict(zip(choices, values, strict=True))
