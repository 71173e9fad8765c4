"""Arms without what means nothing in them: searched fields, sameness, reasons to refuse one."""

import itertools
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from spaces.core import Core
from spaces.fields.declaration import ConfigError, Value
from spaces.fields.help import value_text
from spaces.fields.paths import replace, value_at
from spaces.search_space.candidates import ArmSpace, is_switch
from spaces.search_space.domains import Choice, Domain, Int, describe_domain, size_of, values_of
from spaces.syntax.constraints import Condition

MOST_COMBINATIONS = 1024
MOST_IN_A_STUDY = 4096  # combinations of all arms together: a plan answers in a second or two
# One in so many combinations has the whole numbers tried beside it.
COMBINATIONS_PER_NUMBERED_ONE = 16
RANDOM_TRIED, MOST_RANDOM = 50, 1000  # candidates by which constraints are judged
MOST_NUMBERS = 32  # values tried of a domain of whole numbers; of a longer one its ends


def possible_space(
    core: Core, config: Any, search: Mapping[str, Domain], changes: Mapping[str, Value]
) -> dict[str, Domain]:
    """Return the searched fields that can mean something in an arm.

    A field that the arm fixes is not searched in it, nor is one that is switched off, or whose
    `when` does not hold, whatever the searched choices are.

    Args:
        core: Core of the study.
        config: Configuration of the arm.
        search: Searched fields of the study.
        changes: Fields that the arm fixes.
    """
    free = {path: domain for path, domain in search.items() if path not in changes}
    deciding = _deciding_values(free)
    active = _ever_active(core, config, free, deciding)
    before: set[str] | None = None
    # Repeated until nothing changes: a field that is found never to be searched has one value, that
    # of the configuration, and with that value the `when` of another may hold nowhere.
    while active != before and any(free[path].when for path in active):
        before = active
        left = {path: domain for path, domain in free.items() if path in active}
        active = _ever_searched(core, config, left, deciding)
    return {path: domain for path, domain in free.items() if path in active}


def _ever_active(
    core: Core, config: Any, free: Mapping[str, Domain], deciding: Mapping[str, Sequence[Value]]
) -> set[str]:
    """Return the fields that mean something under some combination of the switches."""
    switches = {
        path: values for path, values in deciding.items() if is_switch(core.config_class, path)
    }
    found: set[str] = set()
    for picked in _iterate_combinations(switches):
        variant = replace(config, picked)
        found.update(path for path in free if path not in found and core.is_active(variant, path))
        if len(found) == len(free):
            break
    return found


def _ever_searched(
    core: Core, config: Any, free: Mapping[str, Domain], deciding: Mapping[str, Sequence[Value]]
) -> set[str]:
    """Return the fields that mean something, and whose `when` holds, in some candidate."""
    read = _read_by_whens(free)
    tried = {
        path: values
        for path, values in deciding.items()
        if path in free and (path in read or is_switch(core.config_class, path))
    }
    # A `when` may hold for a value that is not tried, so it counts as one that can hold.
    untried = frozenset(
        path
        for path, domain in free.items()
        if domain.when and any(other in free.keys() - tried for other in domain.when.paths)
    )
    arm = ArmSpace(core, config, free, taken_to_hold=untried)
    elsewhere = {path: value_at(config, path) for path in free}
    found: set[str] = set()
    for picked in _iterate_combinations(tried):
        found.update(arm.settle_candidate({**elsewhere, **picked}.__getitem__))
        if len(found) == len(free):
            break
    return found


def arm_signature(core: Core, config: Any, space: Mapping[str, Domain]) -> tuple[object, ...]:
    """Return a value that two arms share if and only if they are the same arm.

    Such arms are the same model with the same searched fields.

    Args:
        core: Core of the study.
        config: Configuration of the arm.
        space: Its `possible_space`.
    """
    fixed = {path: value for path, value in core.resolve(config).items() if path not in space}
    searched = {path: describe_domain(domain) for path, domain in space.items()}
    return (tuple(sorted(fixed.items())), tuple(sorted(searched.items())))


def feasible_share(
    core: Core, config: Any, space: Mapping[str, Domain], constraints: Sequence[Condition]
) -> float:
    """Return the share of random candidates that satisfy the constraints.

    In [0, 1]; 0 if none of a thousand does.
    """
    draw = random.Random(0)  # the same for every arm and run
    arm = ArmSpace(core, config, space, constraints)
    found = tried = 0
    while tried < (RANDOM_TRIED if found else MOST_RANDOM):
        tried += 1
        found += arm.violated_constraint(arm.draw_candidate(draw)) is None
    return found / tried


def combinations_per_arm(arms: int) -> int:
    """Return how many combinations of its searched choices are tried in each arm of a study."""
    return max(4, min(MOST_COMBINATIONS, MOST_IN_A_STUDY // max(1, arms)))


def find_refusal(
    core: Core,
    config: Any,
    search: Mapping[str, Domain],
    changes: Mapping[str, Value],
    scheme: str,
    constraints: Sequence[Condition] = (),
    most: int = MOST_COMBINATIONS,
) -> str:
    """Find why an arm can't be trained with something that its search could choose.

    Every combination of the searched choices is tried, and, beside each, the values of the
    searched whole numbers one at a time. Where the combinations are too many, the widest choices
    are tried one value at a time too.

    Args:
        core: Core of the study.
        config: Configuration of the arm.
        search: Searched fields of the study.
        changes: Fields that the arm fixes.
        scheme: Scheme of the labels.
        constraints: Constraints that what is tried must satisfy, as every candidate will.
        most: Number of combinations tried; `combinations_per_arm` of a study of many arms.

    Returns:
        The reason; empty if there is none.
    """
    free = {path: domain for path, domain in search.items() if path not in changes}
    tried = {path: values for path, domain in free.items() if (values := _values_to_try(domain))}
    # What is not tried has a value of its domain: the field's default need not be in it.
    start = {path: _some_value(domain) for path, domain in free.items()}
    choices = _deciding_values(free, most)
    arm = ArmSpace(core, config, free, constraints)
    for number, picked in enumerate(_iterate_combinations(choices)):
        candidate: Mapping[str, Value] = {**start, **picked}
        if constraints or any(domain.when for domain in free.values()):
            candidate = arm.settle_candidate(candidate.__getitem__)
            if arm.violated_constraint(candidate):
                continue
        variant = replace(config, candidate)
        if reason := _refusal_reason(core, variant, scheme):
            return _blame_values(core, variant, {**tried, **choices}, reason, scheme)
        # Whole numbers multiply the work, so only a share of the combinations has them beside it.
        if number >= max(1, most // COMBINATIONS_PER_NUMBERED_ONE):
            continue
        for path in (path for path in tried if path not in choices and path in candidate):
            for value in tried[path] if core.is_active(variant, path) else ():
                if arm.violated_constraint({**candidate, path: value}):
                    continue
                other = replace(variant, {path: value})
                if reason := _refusal_reason(core, other, scheme):
                    return _blame_values(
                        core, other, {**choices, path: tried[path]}, reason, scheme
                    )
    return ""


def _refusal_reason(core: Core, config: Any, scheme: str) -> str:
    try:
        core.check(config, scheme)
    except ConfigError as error:
        return str(error)
    return ""


def _blame_values(
    core: Core, config: Any, searched: Mapping[str, Sequence[Value]], reason: str, scheme: str
) -> str:
    """Add to a reason the searched values that it is due to: those without which it would go."""
    guilty = [
        f"'{path}: {value_text(value_at(config, path))}'"
        for path, values in searched.items()
        if any(
            _refusal_reason(core, replace(config, {path: value}), scheme) != reason
            for value in values
        )
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


def _values_to_try(domain: Domain) -> tuple[Value, ...]:
    """Return values of a domain among which there is one that is refused, if any is."""
    match domain:
        case Choice(options):
            return options
        case Int(low, high, step) if (high - low) // step < MOST_NUMBERS:
            return tuple(range(low, high + 1, step))
        case Int(low, high, step):  # two neighbours are rarely multiples of what is needed
            return (low, low + step, high - step, high)
    return ()


def _some_value(domain: Domain) -> Value:
    match domain:
        case Choice(options):
            return options[0]
        case Int(low, _):
            return low
    return domain.high  # of a weight: the term is there


def _deciding_values(
    free: Mapping[str, Domain], most: int = MOST_COMBINATIONS
) -> dict[str, tuple[Value, ...]]:
    """Return the fields, with their values, that are tried in every combination.

    They are the searched choices, and whatever else has few values and is read by another's `when`.
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


def _iterate_combinations(choices: Mapping[str, Sequence[Value]]) -> Iterator[dict[str, Value]]:
    for values in itertools.product(*choices.values()):
        yield dict(zip(choices, values, strict=True))
