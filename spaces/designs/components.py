"""Components and factors, which designs are made of, as a study file writes them."""

from collections.abc import Mapping
from dataclasses import replace

from spaces.designs.arm_names import level_text
from spaces.designs.make_arms import Component, Factor, Part
from spaces.errors import check_at, error_at
from spaces.fields.paths import check_value, did_you_mean, fields_of
from spaces.search_space.parse_fields import changed_fields
from spaces.syntax.document import Node

Components = Mapping[str, Component]


def parse_study_components(config_class: type, node: Node | None) -> dict[str, Component]:
    """Parse the `components` of a study: groups of fields that switch together, under a name.

    Raises:
        StudyError: No mapping, or a group that changes nothing.
    """
    if node is None or node.value is None:
        return {}
    return {
        component.name: component
        for component in _inline_components(config_class, node, "components", "on")
    }


def parse_part(config_class: type, name: str, node: Node) -> Part:
    """Parse the fields that a name stands for."""
    changes, search = changed_fields(config_class, node, f"arms: '{name}'")
    return Part(name=name, changes=changes, search=search, where=node.where)


def parse_factors(config_class: type, inside: Node, design: str) -> list[Factor]:
    """Parse the factors of a design: fields with values, or names with named alternatives."""
    if not isinstance(inside.value, dict) or not inside.value:
        raise error_at(
            inside.where,
            f"arms: {design} needs a mapping: a field to a list of values, or a name to named "
            "alternatives",
        )
    return [
        _parse_factor(config_class, name, child, design) for name, child in inside.value.items()
    ]


def _parse_factor(config_class: type, name: str, node: Node, design: str) -> Factor:
    if isinstance(node.value, list):
        if name not in fields_of(config_class):
            raise error_at(
                node.where,
                f"arms: {design}: '{name}' is not a field"
                f"{did_you_mean(name, fields_of(config_class))}; "
                "alternatives of a name of its own are written {small: {...}, large: {...}}",
            )
        # A value that is listed twice would make two arms of one name.
        values = [
            check_at(
                child.where, f"arms: {design}", check_value, config_class, name, child.plain_value()
            )
            for child in node.value
        ]
        if not values or len(set(values)) < len(values):
            raise error_at(
                node.where, f"arms: {design}: '{name}' needs a list of values, each once"
            )
        levels = [
            Part(
                name=level_text(config_class, name, value), changes={name: value}, where=node.where
            )
            for value in values
        ]
    elif isinstance(node.value, dict) and node.value:
        if name in fields_of(config_class):
            raise error_at(
                node.where,
                f"arms: {design}: '{name}' is a field: give it a list of values, or give the "
                "factor a name of its own",
            )
        levels = [parse_part(config_class, level, child) for level, child in node.value.items()]
    else:
        raise error_at(
            node.where,
            f"arms: {design}: '{name}' needs a list of values (if it is a field) or named "
            f"alternatives, but got {node.plain_value()!r}",
        )
    return Factor(name=name, levels=tuple(levels))


def parse_components(
    config_class: type, inside: Node, design: str, known: Components, flat: str
) -> list[Component]:
    """Parse the components that a design lists by name, or brings along.

    Args:
        config_class: Class of the configurations.
        inside: Value of the design in its entry: a list of names, or a mapping.
        design: Name of the design, for messages.
        known: Components of the study.
        flat: Side, `on` or `off`, of which a component without sides gives the changes.

    Raises:
        StudyError: An unknown or repeated name, or no component at all.
    """
    if isinstance(inside.value, list):
        names = [str(child.plain_value()) for child in inside.value]
        for child, name in zip(inside.value, names, strict=True):
            if name not in known:
                raise error_at(
                    child.where,
                    f"arms: {design}: '{name}' is not one of the study's components"
                    f"{did_you_mean(name, known)}"
                    + (
                        f"; they are {', '.join(known)}"
                        if known
                        else "; it has none: give each name its fields"
                    ),
                )
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise error_at(inside.where, f"arms: {design} names the component '{twice}' twice")
        found = [
            _placed_component(known[name], child.where)
            for child, name in zip(inside.value, names, strict=True)
        ]
    elif isinstance(inside.value, dict):
        found = _inline_components(config_class, inside, f"arms: {design}", flat)
    else:
        raise error_at(
            inside.where,
            f"arms: {design} needs a mapping of names to changed fields, or a list of the study's "
            "components",
        )
    if not found:
        raise error_at(inside.where, f"arms: {design} needs at least one component")
    return found


def _placed_component(component: Component, where: str) -> Component:
    """Return a component of the study as a design names it."""
    # A mistake that shows in this design only, such as two components that set one field, is
    # reported on the line of the design.
    on, off = (replace(side, where=where) for side in (component.on, component.off))
    return Component(name=component.name, on=on, off=off)


def _inline_components(config_class: type, node: Node, part: str, flat: str) -> list[Component]:
    if not isinstance(node.value, dict):
        raise error_at(node.where, f"{part}: needs a mapping of names to changed fields")
    found = []
    for name, child in node.value.items():
        # No field is called `on` or `off`, so these keys alone show that both sides are given.
        whole = isinstance(child.value, dict) and child.value and set(child.value) <= {"on", "off"}
        sides = child.value if whole else {flat: child}
        made = {}
        for side in ("on", "off"):
            changes, search = (
                changed_fields(config_class, sides[side], f"{part}: '{name}'")
                if side in sides
                else ({}, {})
            )
            made[side] = Part(name=name, changes=changes, search=search, where=child.where)
        if not any((*side.changes, *side.search) for side in made.values()):
            raise error_at(
                child.where, f"{part}: '{name}' changes nothing; name the fields it switches"
            )
        found.append(Component(name=name, on=made["on"], off=made["off"]))
    return found
