"""Components and factors, which designs are made of, as a study file writes them."""

from collections.abc import Mapping
from dataclasses import replace

from msa_core.config.paths import check_value, fields_of, nearest
from msa_core.config.schema import Config
from spaces.designs.designs import Component, Factor, Part, level_text
from spaces.errors import at, located
from spaces.search_space.config_fields import changed_fields
from spaces.syntax.document import Node

Components = Mapping[str, Component]


def study_components(node: Node | None) -> dict[str, Component]:
    """The `components` of a study: groups of fields that switch together, under a human name.

    Raises:
        StudyError: no mapping, or a group that changes nothing.
    """
    if node is None or node.value is None:
        return {}
    return {component.name: component for component in _inline_components(node, "components", "on")}


def part_of(name: str, node: Node) -> Part:
    """A name and the fields that it stands for."""
    changes, search = changed_fields(node, f"arms: '{name}'")
    return Part(name=name, changes=changes, search=search, where=node.where)


def factors_of(inside: Node, design: str) -> list[Factor]:
    """The factors of a design: fields with values, or names with named alternatives."""
    if not isinstance(inside.value, dict) or not inside.value:
        raise at(
            inside.where,
            f"arms: {design} needs a mapping: a field to a list of values, or a name to named "
            "alternatives",
        )
    return [_factor(name, child, design) for name, child in inside.value.items()]


def _factor(name: str, node: Node, design: str) -> Factor:
    if isinstance(node.value, list):
        if name not in fields_of(Config):
            raise at(
                node.where,
                f"arms: {design}: '{name}' is not a field{nearest(name, fields_of(Config))}; "
                "alternatives of a name of its own are written {small: {...}, large: {...}}",
            )
        values = [
            located(child.where, f"arms: {design}", check_value, Config, name, child.plain())
            for child in node.value
        ]
        if not values or len(set(values)) < len(values):
            raise at(node.where, f"arms: {design}: '{name}' needs a list of values, each once")
        levels = [
            Part(name=level_text(name, value), changes={name: value}, where=node.where)
            for value in values
        ]
    elif isinstance(node.value, dict) and node.value:
        if name in fields_of(Config):
            raise at(
                node.where,
                f"arms: {design}: '{name}' is a field: give it a list of values, or give the "
                "factor a name of its own",
            )
        levels = [part_of(level, child) for level, child in node.value.items()]
    else:
        raise at(
            node.where,
            f"arms: {design}: '{name}' needs a list of values (if it is a field) or named "
            f"alternatives, but got {node.plain()!r}",
        )
    return Factor(name=name, levels=tuple(levels))


def components_of(inside: Node, design: str, known: Components, flat: str) -> list[Component]:
    """The components that a design lists by name, or brings along."""
    if isinstance(inside.value, list):
        names = [str(child.plain()) for child in inside.value]
        for child, name in zip(inside.value, names, strict=True):
            if name not in known:
                raise at(
                    child.where,
                    f"arms: {design}: '{name}' is not one of the study's components"
                    f"{nearest(name, known)}"
                    + (
                        f"; they are {', '.join(known)}"
                        if known
                        else "; it has none: give each name its fields"
                    ),
                )
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise at(inside.where, f"arms: {design} names the component '{twice}' twice")
        found = [
            _named_at(known[name], child.where)
            for child, name in zip(inside.value, names, strict=True)
        ]
    elif isinstance(inside.value, dict):
        found = _inline_components(inside, f"arms: {design}", flat)
    else:
        raise at(
            inside.where,
            f"arms: {design} needs a mapping of names to changed fields, or a list of the study's "
            "components",
        )
    if not found:
        raise at(inside.where, f"arms: {design} needs at least one component")
    return found


def _named_at(component: Component, where: str) -> Component:
    """A component of the study in a design: a mistake is shown where the design names it."""
    on, off = (replace(side, where=where) for side in (component.on, component.off))
    return Component(name=component.name, on=on, off=off)


def _inline_components(node: Node, part: str, flat: str) -> list[Component]:
    if not isinstance(node.value, dict):
        raise at(node.where, f"{part}: needs a mapping of names to changed fields")
    found = []
    for name, child in node.value.items():
        whole = isinstance(child.value, dict) and child.value and set(child.value) <= {"on", "off"}
        sides = child.value if whole else {flat: child}
        made = {}
        for side in ("on", "off"):
            changes, search = (
                changed_fields(sides[side], f"{part}: '{name}'") if side in sides else ({}, {})
            )
            made[side] = Part(name=name, changes=changes, search=search, where=child.where)
        if not any((*side.changes, *side.search) for side in made.values()):
            raise at(child.where, f"{part}: '{name}' changes nothing; name the fields it switches")
        found.append(Component(name=name, on=made["on"], off=made["off"]))
    return found
