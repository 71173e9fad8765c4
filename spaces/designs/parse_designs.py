"""The `arms` of a study file: from its lines to arms, through the designs."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from spaces.abilities import Grouped
from spaces.core import Core
from spaces.designs.arm_names import level_text
from spaces.designs.components import Components, parse_components, parse_factors, parse_part
from spaces.designs.make_arms import (
    Arm,
    Component,
    Part,
    add_one_in,
    explicit,
    factorial,
    fractional,
    grid,
    leave_one_out,
    one_at_a_time,
    pairs,
    path,
    product,
    sort_canonically,
)
from spaces.errors import check_at, error_at
from spaces.fields.declaration import ConfigError
from spaces.fields.paths import did_you_mean, fields_of
from spaces.fields.paths import replace as replace_fields
from spaces.search_space.parse_fields import changed_fields, parse_conditions
from spaces.syntax.constraints import Condition
from spaces.syntax.document import Node

RESOLUTIONS = {"III": 3, "IV": 4, "V": 5, "VI": 6, "VII": 7}
DEFAULT_REFERENCES = {
    "leave_one_out": "full",
    "add_one_in": "base",
    "one_at_a_time": "base",
    "factorial": "none",
    "fractional": "none",
    "path": "base",
    "pairs": "no pair",
}
# What may stand beside a design in its entry.
DESIGN_OPTIONS = {
    "explicit": ("exclude",),
    "leave_one_out": ("reference", "exclude"),
    "add_one_in": ("reference", "exclude"),
    "one_at_a_time": ("reference", "exclude"),
    "factorial": ("reference", "exclude"),
    "fractional": ("resolution", "reference", "exclude"),
    "pairs": ("reference", "exclude"),
    "path": ("order", "reference", "exclude"),
    "grid": ("reference", "exclude"),
    "product": ("exclude",),
    "union": ("exclude",),
}
DESIGNS = tuple(DESIGN_OPTIONS)


class Exclusion:
    """Rules that leave arms out, and how many arms each left out."""

    def __init__(self, base: Any) -> None:
        """Start with no arm left out, for arms over this configuration."""
        self.base = base
        self.counts: dict[str, int] = {}

    def drop_excluded(self, arms: Sequence[Arm], rules: Sequence[Condition]) -> list[Arm]:
        """Return the arms that no rule leaves out."""
        # A rule that leaves nothing out is counted too: the author should see that it does nothing.
        for rule in rules:
            self.counts.setdefault(rule.text, 0)
        return [arm for arm in arms if not rules or self._is_kept(arm, rules)]

    def _is_kept(self, arm: Arm, rules: Sequence[Condition]) -> bool:
        config = check_at(arm.where, "arms", replace_fields, self.base, arm.changes)
        against = next((rule for rule in rules if rule.holds(config)), None)
        if against is not None:
            self.counts[against.text] += 1
        return against is None


def parse_arms(core: Core, node: Node, components: Components, exclusion: Exclusion) -> list[Arm]:
    """Parse a list of designs and return all their arms.

    Args:
        core: Core of the study.
        node: The `arms` of a study.
        components: Components that the study names.
        exclusion: Counts of arms that rules left out; added to.

    Raises:
        StudyError: The first mistake.
    """
    if not isinstance(node.value, list):
        raise error_at(
            node.where, f"arms: needs a list of designs, each one of {', '.join(DESIGNS)}"
        )
    return [arm for entry in node.value for arm in _entry_arms(core, entry, components, exclusion)]


def _entry_arms(core: Core, entry: Node, components: Components, exclusion: Exclusion) -> list[Arm]:
    design = _design_of(entry)
    inside = entry.value[design]
    if design in ("product", "union"):
        if not isinstance(inside.value, list) or not inside.value:
            raise error_at(
                inside.where, f"arms: {design} needs a list of designs, each beginning with '-'"
            )
        parts = [_entry_arms(core, part, components, exclusion) for part in inside.value]
        made = (
            check_at(entry.where, "arms", product, core.config_class, parts)
            if design == "product"
            else [arm for part in parts for arm in part]
        )
    else:
        made = check_at(entry.where, "arms", _MAKERS[design], core, entry, inside, components)
    made = [_fill_location(arm, inside.where) for arm in made]
    rules = parse_conditions(core.config_class, entry.value.get("exclude"), "arms: exclude")
    return exclusion.drop_excluded(made, rules)


def _fill_location(arm: Arm, where: str) -> Arm:
    # Arms of `explicit`, and of designs inside, know a nearer line already.
    if arm.where:
        return arm
    return replace(arm, where=where)


def _design_of(entry: Node) -> str:
    if not isinstance(entry.value, dict):
        raise error_at(entry.where, f"arms: each entry is one design of {', '.join(DESIGNS)}")
    designs: list[str] = [name for name in entry.value if name in DESIGNS]
    others = [name for name in entry.value if name not in DESIGNS]
    if not designs:
        name = next(iter(others), "")
        raise error_at(
            entry.where,
            f"arms: '{name}' is not a design; allowed are {', '.join(DESIGNS)}"
            f"{did_you_mean(name, DESIGNS)}",
        )
    if len(designs) > 1:
        raise error_at(
            entry.where,
            f"arms: '{designs[0]}' and '{designs[1]}' in one entry; begin each with '-'",
        )
    options = DESIGN_OPTIONS[designs[0]]
    for name in others:
        if name not in options:
            raise error_at(
                entry.value[name].where,
                f"arms: '{name}' can't stand beside {designs[0]}; allowed there are "
                f"{', '.join(options)}{did_you_mean(name, options)}",
            )
    return designs[0]


def _reference_name(entry: Node, design: str) -> str:
    node = entry.value.get("reference")
    if node is None:
        return DEFAULT_REFERENCES[design]
    if not isinstance(node.value, str) or not node.value.strip():
        raise error_at(
            node.where, f"arms: reference: needs the name of a row, but got {node.plain_value()!r}"
        )
    return node.value


def _parse_explicit(core: Core, entry: Node, inside: Node, components: Components) -> list[Arm]:
    if not isinstance(inside.value, dict):
        raise error_at(inside.where, "arms: explicit needs a mapping of names to changed fields")
    return explicit(
        [parse_part(core.config_class, name, child) for name, child in inside.value.items()]
    )


def _parse_leave_one_out(
    core: Core, entry: Node, inside: Node, components: Components
) -> list[Arm]:
    chosen = parse_components(core.config_class, inside, "leave_one_out", components, flat="off")
    return leave_one_out(chosen, _reference_name(entry, "leave_one_out"))


def _parse_add_one_in(core: Core, entry: Node, inside: Node, components: Components) -> list[Arm]:
    chosen = parse_components(core.config_class, inside, "add_one_in", components, flat="on")
    return add_one_in(chosen, _reference_name(entry, "add_one_in"))


def _parse_factorial(core: Core, entry: Node, inside: Node, components: Components) -> list[Arm]:
    chosen = parse_components(core.config_class, inside, "factorial", components, flat="on")
    return factorial(core.config_class, chosen, _reference_name(entry, "factorial"))


def _parse_fractional(core: Core, entry: Node, inside: Node, components: Components) -> list[Arm]:
    chosen = parse_components(core.config_class, inside, "fractional", components, flat="on")
    node = entry.value.get("resolution")
    if node is None:
        raise error_at(
            entry.where,
            "arms: fractional needs its resolution beside it, e.g. 'resolution: IV' (main effects "
            "are then not mixed with two-way interactions)",
        )
    resolution = RESOLUTIONS.get(str(node.value), node.value)
    if isinstance(resolution, bool) or not isinstance(resolution, int):
        raise error_at(
            node.where,
            f"arms: resolution: must be one of {', '.join(RESOLUTIONS)}, but got "
            f"{node.plain_value()!r}",
        )
    return fractional(core.config_class, chosen, resolution, _reference_name(entry, "fractional"))


def _parse_path(core: Core, entry: Node, inside: Node, components: Components) -> list[Arm]:
    chosen = (
        _differing_fields(core, inside)
        if isinstance(inside.value, dict) and set(inside.value) == {"from", "to"}
        else parse_components(core.config_class, inside, "path", components, flat="on")
    )
    names = [component.name for component in chosen]
    order = [component.name for component in sort_canonically(core.config_class, chosen)]
    if isinstance(inside.value, list):
        order = names  # a list has an order, a mapping has none
    node = entry.value.get("order")
    if node is not None:
        given = node.plain_value()
        order = [str(name) for name in given] if isinstance(given, list) else []
        if sorted(order) != sorted(names):
            raise error_at(
                node.where,
                f"arms: order: must name each of {', '.join(names)} once, but got {given!r}",
            )
    return path(core.config_class, chosen, order, _reference_name(entry, "path"))


def _differing_fields(core: Core, inside: Node) -> list[Component]:
    """Return the fields in which two configurations differ, each as a component."""
    start, searched = changed_fields(core.config_class, inside.value["from"], "arms: path: from")
    end, searched_too = changed_fields(core.config_class, inside.value["to"], "arms: path: to")
    if searched or searched_too:
        raise error_at(
            inside.where,
            "arms: path: 'from' and 'to' are two configurations; what is searched goes into the "
            "study's 'search'",
        )
    found = []
    # Each field once, in the order of the file; a set would have another order in every process.
    for name in dict.fromkeys((*start, *end)):
        if name not in end:
            raise error_at(
                inside.where,
                f"arms: path: '{name}' is in 'from' and not in 'to'; give both ends a value",
            )
        # A field that only `to` has starts as the base has it.
        if start.get(name) != end[name]:
            found.append(
                Component(
                    name=level_text(core.config_class, name, end[name]),
                    on=Part(name=name, changes={name: end[name]}, where=inside.where),
                    off=Part(name=name, changes={name: start[name]} if name in start else {}),
                )
            )
    if not found:
        raise error_at(inside.where, "arms: path: 'from' and 'to' are the same configuration")
    return found


def _parse_one_at_a_time(
    core: Core, entry: Node, inside: Node, components: Components
) -> list[Arm]:
    return one_at_a_time(
        core.config_class,
        parse_factors(core.config_class, inside, "one_at_a_time"),
        _reference_name(entry, "one_at_a_time"),
    )


def _parse_grid(core: Core, entry: Node, inside: Node, components: Components) -> list[Arm]:
    node = entry.value.get("reference")
    reference = str(node.plain_value()) if node is not None else None
    arms = grid(core.config_class, parse_factors(core.config_class, inside, "grid"), reference)
    if node is not None and not any(arm.reference for arm in arms):
        names = [arm.name for arm in arms]
        raise error_at(
            node.where,
            f"arms: reference: '{reference}' is no arm of the grid"
            f"{did_you_mean(str(reference), names)}; its arms are called like '{names[0]}'",
        )
    return arms


def pair_options(core: Core) -> dict[str, tuple[str, ...]]:
    """Return the parts of a `pairs` design -> the values that each may list.

    Raises:
        ConfigError: The core has no groups of fields.
    """
    if not isinstance(core, Grouped):
        raise ConfigError(
            f"the core '{core.name}' has no groups of fields for 'pairs'; use 'grid' or 'factorial'"
        )
    groups, known = core.groups, fields_of(core.config_class)
    section = next(iter(groups.sections.values()))
    return {
        "modes": known[f"{section}.{groups.switch}"][0].choices,
        "measures": known[f"{section}.{groups.detail}"][0].choices,
        "pairs": tuple(groups.sections),
    }


def _parse_pairs(core: Core, entry: Node, inside: Node, components: Components) -> list[Arm]:
    given = inside.value if inside.value is not None else {}
    if not isinstance(given, dict):
        raise error_at(inside.where, "arms: pairs needs a mapping, e.g. {modes: [off, shared]}")
    known = pair_options(core)
    assert isinstance(core, Grouped)  # `pair_options` refuses others
    off = core.groups.off
    chosen = {"modes": list(known["modes"]), "measures": [], "pairs": list(known["pairs"])}
    for name, node in given.items():
        if name not in known:
            raise error_at(
                node.where,
                f"arms: pairs: '{name}' is not one of {', '.join(known)}"
                f"{did_you_mean(name, known)}",
            )
        values = node.plain_value()
        if not isinstance(values, list) or not values or len(set(map(str, values))) < len(values):
            raise error_at(
                node.where,
                f"arms: pairs.{name}: needs a list of {', '.join(known[name])}, each at most once",
            )
        for value in values:
            if value not in known[name]:
                raise error_at(
                    node.where,
                    f"arms: pairs.{name}: {value!r} is not one of {', '.join(known[name])}"
                    f"{did_you_mean(str(value), known[name])}",
                )
        chosen[name] = values
    if chosen["modes"] == [off]:
        raise error_at(
            inside.where, f"arms: pairs: with 'modes: [{off}]' there is one arm; add a mode"
        )
    if off not in chosen["modes"] and "reference" in entry.value:
        raise error_at(
            entry.value["reference"].where,
            "arms: pairs: the reference is the arm of no pair, which needs "
            f"'{off}' among the modes",
        )
    return pairs(
        core.groups,
        chosen["modes"],
        chosen["measures"],
        chosen["pairs"],
        _reference_name(entry, "pairs"),
    )


_MAKERS: dict[str, Callable[[Core, Node, Node, Components], list[Arm]]] = {
    "explicit": _parse_explicit,
    "leave_one_out": _parse_leave_one_out,
    "add_one_in": _parse_add_one_in,
    "factorial": _parse_factorial,
    "fractional": _parse_fractional,
    "path": _parse_path,
    "one_at_a_time": _parse_one_at_a_time,
    "grid": _parse_grid,
    "pairs": _parse_pairs,
}
