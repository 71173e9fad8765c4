"""Designs: from a few named components and factors to the arms of a study.

An arm's name follows from what it switches, never from the order in which a file lists things:
parts of a name stand in the order in which their fields are declared (`msa_core.config`). So an arm
that a larger design contains too has the same name there, and its cells are found again.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from msa_core.config.fields import PAIRS
from msa_core.config.paths import Value, fields_of
from msa_core.config.schema import Config, ConfigError
from spaces.designs.fraction import MOST_ARMS, fraction
from spaces.search_space.domains import Domain, describe

Changes = Mapping[str, Value]
BESIDE = " + "  # components that are on together
LEVELS = ", "  # levels of the factors of a grid
PRODUCT = " / "  # arms of the designs of a product
ON, OFF = "on", "off"  # levels of a component
BASE = "as in the base"  # level of a factor that an arm leaves alone
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True, kw_only=True, slots=True)
class Arm:
    """One row of the table: the base configuration with some fields fixed.

    Attributes:
        name: as it stands in the table.
        changes: field -> value, over the base configuration.
        search: field -> domain, of its own, beside or instead of the study's.
        reference: whether it is what its design compares with.
        where: where the study file says so.
        levels: factor -> its level in this arm, of the factors of its design; a component is a
            factor with the levels `on` and `off`.
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
        on: what its being there changes over the base.
        off: what its absence changes over the base.
    """

    name: str
    on: Part
    off: Part


@dataclass(frozen=True, kw_only=True, slots=True)
class Factor:
    """Alternatives of which an arm has one."""

    name: str
    levels: tuple[Part, ...]


def explicit(parts: Sequence[Part]) -> list[Arm]:
    """The arms as they are written."""
    return [_arm(part.name, [part]) for part in parts]


def leave_one_out(components: Sequence[Component], reference: str = "full") -> list[Arm]:
    """All components on, then `without X` for every component X."""
    arms = [_subset(reference, components, {c.name for c in components}, reference=True)]
    for left_out in components:
        on = {component.name for component in components} - {left_out.name}
        arms.append(_subset(f"without {left_out.name}", components, on))
    return arms


def add_one_in(components: Sequence[Component], reference: str = "base") -> list[Arm]:
    """All components off, then `with X` for every component X."""
    return [
        _subset(reference, components, set(), reference=True),
        *(_subset(f"with {added.name}", components, {added.name}) for added in components),
    ]


def factorial(components: Sequence[Component], reference: str = "none") -> list[Arm]:
    """Every subset of the components, `reference` for the empty one."""
    _limit(2 ** len(components))
    ordered = canonical(components)
    subsets = itertools.chain.from_iterable(
        itertools.combinations(ordered, size) for size in range(len(ordered) + 1)
    )
    return [_combination(components, [c.name for c in subset], reference) for subset in subsets]


def fractional(
    components: Sequence[Component], resolution: int, reference: str = "none"
) -> list[Arm]:
    """A regular two-level fraction of the factorial that contains the empty subset.

    Args:
        components: at least as many as the resolution.
        resolution: length of the shortest word that is mixed with the mean: at 3 main effects are
            mixed with two-way interactions, at 4 not any more, at 5 these are not with each other.
        reference: name of the empty subset.

    Raises:
        ConfigError: too few components for the resolution.
    """
    from pyDOE3 import fracfact  # half a second, so only where it is needed

    ordered = canonical(components)
    if not 3 <= resolution <= len(ordered):
        raise ConfigError(
            f"fractional: `3 <= resolution <= components` must hold, but got resolution "
            f"{resolution} for {len(ordered)} components; a factorial needs no resolution"
        )
    generators = fraction(len(ordered), resolution)
    _limit(2 ** sum(len(word) == 1 for word in generators))
    signs = fracfact(" ".join("".join(_LETTERS[place] for place in word) for word in generators))
    # Turning columns round keeps the resolution, and puts the run with nothing on first.
    is_on = signs != signs[0]
    names = [component.name for component in ordered]
    subsets = [[name for name, on in zip(names, row, strict=True) if on] for row in is_on]
    return [_combination(components, subset, reference) for subset in subsets]


def path(
    components: Sequence[Component], order: Sequence[str], reference: str = "base"
) -> list[Arm]:
    """From nothing to everything, one component more at each step, in this order."""
    return [_combination(components, order[:steps], reference) for steps in range(len(order) + 1)]


def one_at_a_time(factors: Sequence[Factor], reference: str = "base") -> list[Arm]:
    """The base, then each alternative of each factor alone."""
    asis = {factor.name: BASE for factor in factors}
    alternatives = [
        _arm(_level_name(factor, level), [level], levels={**asis, factor.name: level.name})
        for factor in factors
        for level in factor.levels
    ]
    return [Arm(name=reference, changes={}, reference=True, levels=asis), *alternatives]


def grid(factors: Sequence[Factor], reference: str | None = None) -> list[Arm]:
    """Every combination of one level a factor; in names fields come before named factors.

    Args:
        factors: at least one.
        reference: the name of an arm; None = no arm is the reference.
    """
    # By what doesn't change when a factor is given one more level.
    places = {path: place for place, path in enumerate(fields_of(Config))}
    ordered = sorted(
        factors, key=lambda factor: (places.get(factor.name, len(places)), factor.name)
    )
    sizes = [len(factor.levels) for factor in ordered]
    _limit_product(sizes)
    arms = []
    for levels in itertools.product(*(factor.levels for factor in ordered)):
        name = LEVELS.join(
            _level_name(factor, level, alone=False)
            for factor, level in zip(ordered, levels, strict=True)
        )
        chosen = {factor.name: level.name for factor, level in zip(ordered, levels, strict=True)}
        arms.append(_arm(name, levels, reference=name == reference, levels=chosen))
    return arms


def pairs(
    modes: Sequence[str],
    measures: Sequence[str],
    chosen: Sequence[str],
    reference: str = "no pair",
) -> list[Arm]:
    """Every modality pair x its mode x its measure.

    Args:
        modes: of `loss.alignment.<pair>.mode`; a pair that is off has no measure.
        measures: of `loss.alignment.<pair>.measure`; none = the base's, which is in no name.
        chosen: of `PAIRS`; the others stay as in the base.
        reference: the arm in which every pair is off.
    """
    states = [
        (mode, measure)
        for mode in modes
        for measure in ([""] if mode == "off" else measures or [""])
    ]
    ordered = [pair for pair in PAIRS if pair in chosen]
    _limit_product([len(states)] * len(ordered))
    arms = []
    for picked in itertools.product(states, repeat=len(ordered)):
        changes: dict[str, Value] = {}
        for pair, (mode, measure) in zip(ordered, picked, strict=True):
            changes[f"loss.alignment.{pair}.mode"] = mode
            if measure:
                changes[f"loss.alignment.{pair}.measure"] = measure
        by_pair = dict(zip(ordered, picked, strict=True))
        name = _pairs_name(by_pair)
        levels = {pair_letters(pair): " ".join(state).strip() for pair, state in by_pair.items()}
        arms.append(Arm(name=name or reference, changes=changes, reference=not name, levels=levels))
    return arms


def product(designs: Sequence[Sequence[Arm]]) -> list[Arm]:
    """Every combination of one arm a design.

    Raises:
        ConfigError: two designs set one field to different values, or search it differently.
    """
    # By the first field alone: one more arm rarely changes it, and so renames none.
    ordered = sorted(designs, key=lambda arms: (_rank(arms)[:1], sorted(arm.name for arm in arms)))
    _limit_product([len(arms) for arms in ordered])
    return [
        _arm(
            PRODUCT.join(arm.name for arm in arms),
            arms,
            reference=all(arm.reference for arm in arms),
            levels={factor: level for arm in arms for factor, level in arm.levels.items()},
        )
        for arms in itertools.product(*ordered)
    ]


def canonical(components: Iterable[Component]) -> list[Component]:
    """Components in the order in which their fields are declared, then by name."""
    return sorted(
        components, key=lambda component: (_rank([component.on, component.off]), component.name)
    )


def short_name(path: str) -> str:
    """The end of a field's path, as long as it needs to be to name no other field."""
    steps = path.split(".")
    ends = (".".join(steps[-length:]) for length in range(1, len(steps)))
    others = [other for other in fields_of(Config) if other != path]
    return next(
        (end for end in ends if not any(other.endswith(f".{end}") for other in others)), path
    )


def level_text(path: str, value: Value) -> str:
    """The name of a level that is one value of one field: `fusion tfn`, `batch_size 64`."""
    written = str(value).lower() if isinstance(value, bool) else f"{value}"
    return f"{short_name(path).removesuffix('.kind')} {written}"


def _rank(parts: Iterable[Part | Arm]) -> list[int]:
    """Where the fields that parts change or search are declared."""
    places = {path: place for place, path in enumerate(fields_of(Config))}
    return sorted({places[path] for part in parts for path in (*part.changes, *part.search)})


def _level_name(factor: Factor, level: Part, *, alone: bool = True) -> str:
    """A level of a field names that field already; one with a name of its own needs its factor's.

    Beside the levels of other factors a name of its own is enough.
    """
    if factor.name in fields_of(Config) or not alone:
        return level.name
    return f"{factor.name}: {level.name}"


def _combination(components: Sequence[Component], on: Sequence[str], reference: str) -> Arm:
    names = [component.name for component in canonical(components) if component.name in on]
    name = BESIDE.join(names) or reference
    return _subset(name, components, set(on), reference=not names)


def _subset(
    name: str, components: Sequence[Component], on: set[str], *, reference: bool = False
) -> Arm:
    parts = [component.on if component.name in on else component.off for component in components]
    levels = {c.name: ON if c.name in on else OFF for c in components}
    return _arm(name, parts, reference=reference, levels=levels)


def _arm(
    name: str,
    parts: Sequence[Part | Arm],
    *,
    reference: bool = False,
    levels: Mapping[str, str] | None = None,
) -> Arm:
    """An arm of some parts.

    Raises:
        ConfigError: two parts set one field to different values, or search it differently.
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
                    f"'{name}': '{path}' is searched as {describe(search[path])} and as "
                    f"{describe(domain)}, by parts of one arm; let only one of them search it"
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


def _pairs_name(states: Mapping[str, tuple[str, str]]) -> str:
    """`shared TA + TV, private AV`, with a measure `shared TA (cov)`; empty if all are off."""
    groups = []
    for mode in ("shared", "private"):
        members = [
            pair_letters(pair) + (f" ({measure})" if measure else "")
            for pair, (own, measure) in states.items()
            if own == mode
        ]
        if members:
            groups.append(f"{mode} {BESIDE.join(members)}")
    return ", ".join(groups)


def pair_letters(pair: str) -> str:
    """`TA` of `text_audio`."""
    return "".join(part[0].upper() for part in pair.split("_"))


def _limit_product(sizes: Sequence[int]) -> None:
    total = 1
    for size in sizes:
        total *= size
        _limit(total)


def _limit(arms: int) -> None:
    if arms > MOST_ARMS:
        raise ConfigError(
            f"the design has more than {MOST_ARMS:,} arms; leave some factors or levels out, or "
            "use 'fractional' or 'one_at_a_time'"
        )
