"""Designs: from a few named components and factors to the arms of a study.

An arm's name follows from what it switches, never from the order in which a file lists things:
parts of a name stand in the order in which their fields are declared. So an arm
that a larger design contains too has the same name there, and its cells are found again.
"""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from spaces.abilities import FieldGroups
from spaces.designs.arm_names import COMPONENT_SEPARATOR, group_letters, groups_name
from spaces.designs.fraction import MOST_ARMS, fraction_generators
from spaces.fields.declaration import ConfigError, Value
from spaces.fields.paths import fields_of
from spaces.search_space.domains import Domain, describe_domain

Changes = Mapping[str, Value]
LEVEL_SEPARATOR = ", "  # levels of the factors of a grid
PRODUCT_SEPARATOR = " / "  # arms of the designs of a product
ON, OFF = "on", "off"  # levels of a component
AS_IN_BASE = "as in the base"  # level of a factor that an arm leaves alone
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True, kw_only=True, slots=True)
class Arm:
    """One row of the table: the base configuration with some fields fixed.

    Attributes:
        name: Name of its row in the table.
        changes: Field -> value, over the base configuration.
        search: Field -> domain that this arm has beside or instead of the study's.
        reference: Whether its design compares the other arms with it.
        where: Line of the study file that made it, for messages.
        levels: Factor of its design -> its level in this arm. A component is a factor with the
            levels `on` and `off`.
    """

    name: str
    changes: Changes
    search: Mapping[str, Domain] = field(default_factory=dict)
    reference: bool = field(default=False, compare=False)
    where: str = field(default="", compare=False)
    levels: Mapping[str, str] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """Something that an arm is put together from: changes under a human name."""

    name: str
    changes: Changes
    search: Mapping[str, Domain] = field(default_factory=dict)
    where: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Component:
    """Fields that switch together.

    Attributes:
        on: Changes over the base where the component is there.
        off: Changes over the base where it is absent.
    """

    name: str
    on: Part
    off: Part


@dataclass(frozen=True, kw_only=True, slots=True)
class Factor:
    """Alternatives of which an arm has one."""

    name: str
    levels: tuple[Part, ...]


# Of these designs the name is what a study file writes, and the first line of the docstring is what
# `triptych explain` and docs/studies.md show of it (`spaces.help`).


def explicit(parts: Sequence[Part]) -> list[Arm]:
    """The arms as they are written."""
    return [_build_arm(part.name, [part]) for part in parts]


def leave_one_out(components: Sequence[Component], reference: str = "full") -> list[Arm]:
    """All components on, then `without X` for every component X."""
    arms = [_subset_arm(reference, components, {c.name for c in components}, reference=True)]
    for left_out in components:
        on = {component.name for component in components} - {left_out.name}
        arms.append(_subset_arm(f"without {left_out.name}", components, on))
    return arms


def add_one_in(components: Sequence[Component], reference: str = "base") -> list[Arm]:
    """All components off, then `with X` for every component X."""
    return [
        _subset_arm(reference, components, set(), reference=True),
        *(_subset_arm(f"with {added.name}", components, {added.name}) for added in components),
    ]


def factorial(
    config_class: type, components: Sequence[Component], reference: str = "none"
) -> list[Arm]:
    """Every subset of the components, `reference` for the empty one."""
    _check_arm_count(2 ** len(components))
    ordered = sort_canonically(config_class, components)
    subsets = itertools.chain.from_iterable(
        itertools.combinations(ordered, size) for size in range(len(ordered) + 1)
    )
    return [
        _combination_arm(config_class, components, [c.name for c in subset], reference)
        for subset in subsets
    ]


def fractional(
    config_class: type, components: Sequence[Component], resolution: int, reference: str = "none"
) -> list[Arm]:
    """A regular two-level fraction of the factorial that contains the empty subset.

    Args:
        config_class: Class of the configurations, whose order of fields names have.
        components: The components, at least as many as the resolution.
        resolution: Length of the shortest word that is mixed with the mean: at 3 main effects are
            mixed with two-way interactions, at 4 not any more, at 5 these are not with each other.
        reference: Name of the empty subset.

    Raises:
        ConfigError: Too few components for the resolution.
    """
    from pyDOE3 import fracfact  # half a second, so only where it is needed

    ordered = sort_canonically(config_class, components)
    if not 3 <= resolution <= len(ordered):
        raise ConfigError(
            f"fractional: `3 <= resolution <= components` must hold, but got resolution "
            f"{resolution} for {len(ordered)} components; a factorial needs no resolution"
        )
    generators = fraction_generators(len(ordered), resolution)
    _check_arm_count(2 ** sum(len(word) == 1 for word in generators))
    signs = fracfact(" ".join("".join(_LETTERS[base] for base in word) for word in generators))
    # The first run need not be the one with everything off. Turning its columns round makes it so,
    # and keeps the resolution.
    is_on = signs != signs[0]
    names = [component.name for component in ordered]
    subsets = [[name for name, on in zip(names, row, strict=True) if on] for row in is_on]
    return [_combination_arm(config_class, components, subset, reference) for subset in subsets]


def path(
    config_class: type,
    components: Sequence[Component],
    order: Sequence[str],
    reference: str = "base",
) -> list[Arm]:
    """From nothing to everything, one component more at each step, in this order."""
    return [
        _combination_arm(config_class, components, order[:steps], reference)
        for steps in range(len(order) + 1)
    ]


def one_at_a_time(
    config_class: type, factors: Sequence[Factor], reference: str = "base"
) -> list[Arm]:
    """The base, then each alternative of each factor alone."""
    untouched = {factor.name: AS_IN_BASE for factor in factors}
    alternatives = [
        _build_arm(
            _level_name(config_class, factor, level),
            [level],
            levels={**untouched, factor.name: level.name},
        )
        for factor in factors
        for level in factor.levels
    ]
    return [Arm(name=reference, changes={}, reference=True, levels=untouched), *alternatives]


def grid(config_class: type, factors: Sequence[Factor], reference: str | None = None) -> list[Arm]:
    """Every combination of one level a factor; in names fields come before named factors.

    Args:
        config_class: Class of the configurations, whose order of fields names have.
        factors: The factors, at least one.
        reference: Name of the arm that is the reference; None = no arm is.
    """
    # By what doesn't change when a factor is given one more level, so that the arms that were there
    # before keep their names and their finished cells.
    positions = {path: position for position, path in enumerate(fields_of(config_class))}
    ordered = sorted(
        factors, key=lambda factor: (positions.get(factor.name, len(positions)), factor.name)
    )
    _check_arm_count(math.prod(len(factor.levels) for factor in ordered))
    arms = []
    for levels in itertools.product(*(factor.levels for factor in ordered)):
        name = LEVEL_SEPARATOR.join(
            _level_name(config_class, factor, level, alone=False)
            for factor, level in zip(ordered, levels, strict=True)
        )
        chosen = {factor.name: level.name for factor, level in zip(ordered, levels, strict=True)}
        arms.append(_build_arm(name, levels, reference=name == reference, levels=chosen))
    return arms


def pairs(
    groups: FieldGroups,
    modes: Sequence[str],
    details: Sequence[str],
    chosen: Sequence[str],
    reference: str = "no pair",
) -> list[Arm]:
    """Every modality pair x its mode x its measure.

    Args:
        groups: Pairs of the core, or other groups of fields that switch alike.
        modes: Values of the field that switches a group; a group that is off has no detail.
        details: Values of the other field; none = the base's, which is in no name.
        chosen: Groups that vary; the others stay as in the base.
        reference: Name of the arm in which every group is off.
    """
    states = [
        (mode, detail)
        for mode in modes
        for detail in ([""] if mode == groups.off else details or [""])
    ]
    ordered = [group for group in groups.sections if group in chosen]
    _check_arm_count(len(states) ** len(ordered))
    arms = []
    for picked in itertools.product(states, repeat=len(ordered)):
        changes: dict[str, Value] = {}
        for group, (mode, detail) in zip(ordered, picked, strict=True):
            changes[f"{groups.sections[group]}.{groups.switch}"] = mode
            if detail:
                changes[f"{groups.sections[group]}.{groups.detail}"] = detail
        by_group = dict(zip(ordered, picked, strict=True))
        name = groups_name(by_group, groups.off)
        levels = {group_letters(own): " ".join(state).strip() for own, state in by_group.items()}
        arms.append(Arm(name=name or reference, changes=changes, reference=not name, levels=levels))
    return arms


def product(config_class: type, designs: Sequence[Sequence[Arm]]) -> list[Arm]:
    """Every combination of one arm a design.

    Raises:
        ConfigError: Two designs set one field to different values, or search it differently.
    """
    # By the first field alone: one more arm rarely changes it, and so renames none.
    ordered = sorted(
        designs,
        key=lambda arms: (
            _declaration_rank(config_class, arms)[:1],
            sorted(arm.name for arm in arms),
        ),
    )
    _check_arm_count(math.prod(len(arms) for arms in ordered))
    return [
        _build_arm(
            PRODUCT_SEPARATOR.join(arm.name for arm in arms),
            arms,
            reference=all(arm.reference for arm in arms),
            levels={factor: level for arm in arms for factor, level in arm.levels.items()},
        )
        for arms in itertools.product(*ordered)
    ]


def sort_canonically(config_class: type, components: Iterable[Component]) -> list[Component]:
    """Sort components by the order in which their fields are declared, then by name."""
    return sorted(
        components,
        key=lambda component: (
            _declaration_rank(config_class, [component.on, component.off]),
            component.name,
        ),
    )


def _declaration_rank(config_class: type, parts: Iterable[Part | Arm]) -> list[int]:
    """Return the positions at which the fields that parts change or search are declared."""
    positions = {path: position for position, path in enumerate(fields_of(config_class))}
    return sorted({positions[path] for part in parts for path in (*part.changes, *part.search)})


def _level_name(config_class: type, factor: Factor, level: Part, *, alone: bool = True) -> str:
    """Return the text for a level in the name of an arm."""
    # The level of a field has the field in its name (`fusion tfn`). A level that the author named
    # needs its factor's name too, except beside the levels of other factors.
    if factor.name in fields_of(config_class) or not alone:
        return level.name
    return f"{factor.name}: {level.name}"


def _combination_arm(
    config_class: type, components: Sequence[Component], on: Sequence[str], reference: str
) -> Arm:
    names = [
        component.name
        for component in sort_canonically(config_class, components)
        if component.name in on
    ]
    name = COMPONENT_SEPARATOR.join(names) or reference
    return _subset_arm(name, components, set(on), reference=not names)


def _subset_arm(
    name: str, components: Sequence[Component], on: set[str], *, reference: bool = False
) -> Arm:
    parts = [component.on if component.name in on else component.off for component in components]
    levels = {c.name: ON if c.name in on else OFF for c in components}
    return _build_arm(name, parts, reference=reference, levels=levels)


def _build_arm(
    name: str,
    parts: Sequence[Part | Arm],
    *,
    reference: bool = False,
    levels: Mapping[str, str] | None = None,
) -> Arm:
    """Put an arm together from parts.

    Raises:
        ConfigError: Two parts set one field to different values, or search it differently.
    """
    changes: dict[str, Value] = {}
    search: dict[str, Domain] = {}
    for part in parts:
        for path, value in part.changes.items():
            if changes.setdefault(path, value) != value:
                raise ConfigError(
                    f"'{name}': '{path}' is set to {changes[path]} and to {value}, by parts of one "
                    "arm; let only one of them set it"
                )
        for path, domain in part.search.items():
            if search.setdefault(path, domain) != domain:
                raise ConfigError(
                    f"'{name}': '{path}' is searched as {describe_domain(search[path])} and as "
                    f"{describe_domain(domain)}, by parts of one arm; let only one of them search "
                    "it"
                )
    for path in changes.keys() & search.keys():
        raise ConfigError(
            f"'{name}': '{path}' is set to {changes[path]} and searched, by parts of one arm; "
            "leave it out of one of them"
        )
    where = next((part.where for part in parts if part.where), "")
    return Arm(
        name=name,
        changes=changes,
        search=search,
        reference=reference,
        where=where,
        levels=levels or {},
    )


def _check_arm_count(arms: int) -> None:
    if arms > MOST_ARMS:
        raise ConfigError(
            f"the design has more than {MOST_ARMS:,} arms; leave some factors or levels out, or "
            "use 'fractional' or 'one_at_a_time'"
        )
