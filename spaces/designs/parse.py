"""The `arms` of a study file: from its lines to arms, through the designs."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from msa_core.config.fields import PAIRS
from msa_core.config.kinds import kinds
from msa_core.config.paths import nearest
from msa_core.config.schema import Config
from spaces.designs.components import Components, components_of, factors_of, part_of
from spaces.designs.designs import (
    Arm,
    Component,
    Part,
    add_one_in,
    canonical,
    explicit,
    factorial,
    fractional,
    grid,
    leave_one_out,
    level_text,
    one_at_a_time,
    pairs,
    path,
    product,
)
from spaces.errors import at, located
from spaces.search_space.config_fields import changed_fields, conditions
from spaces.syntax.constraints import Condition
from spaces.syntax.document import Node

PAIR_MODES = ("off", "shared", "private")
RESOLUTIONS = {"III": 3, "IV": 4, "V": 5, "VI": 6, "VII": 7}
REFERENCES = {
    "leave_one_out": "full",
    "add_one_in": "base",
    "one_at_a_time": "base",
    "factorial": "none",
    "fractional": "none",
    "path": "base",
    "pairs": "no pair",
}
# What may stand beside a design in its entry.
BESIDE = {
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
DESIGNS = tuple(BESIDE)


class Excluded:
    """Rules that leave arms out, and how many each left out."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def keep(
        self, arms: Sequence[Arm], rules: Sequence[Condition], configure: Callable[[Arm], Config]
    ) -> list[Arm]:
        """The arms that no rule leaves out."""
        kept: list[Arm] = []
        configs = {id(arm): configure(arm) for arm in arms} if rules else {}
        for rule in rules:
            self.counts.setdefault(rule.text, 0)
        for arm in arms:
            against = next((rule for rule in rules if rule.holds(configs[id(arm)])), None)
            if against is None:
                kept.append(arm)
            else:
                self.counts[against.text] += 1
        return kept


def study_arms(
    node: Node, components: Components, configure: Callable[[Arm], Config], excluded: Excluded
) -> list[Arm]:
    """All arms of a list of designs.

    Args:
        node: the `arms` of a study, or of a `product` or `union`.
        components: those that the study names.
        configure: an arm's configuration, for the rules that leave arms out.
        excluded: counts what they left out.

    Raises:
        StudyError: the first mistake.
    """
    if not isinstance(node.value, list):
        raise at(node.where, f"arms: needs a list of designs, each one of {', '.join(DESIGNS)}")
    arms: list[Arm] = []
    for entry in node.value:
        arms += _entry_arms(entry, components, configure, excluded)
    return arms


def _entry_arms(
    entry: Node, components: Components, configure: Callable[[Arm], Config], excluded: Excluded
) -> list[Arm]:
    design = _design_of(entry)
    inside = entry.value[design]
    if design in ("product", "union"):
        if not isinstance(inside.value, list) or not inside.value:
            raise at(
                inside.where, f"arms: {design} needs a list of designs, each beginning with '-'"
            )
        parts = [_entry_arms(part, components, configure, excluded) for part in inside.value]
        made = (
            located(entry.where, "arms", product, parts)
            if design == "product"
            else [arm for part in parts for arm in part]
        )
    else:
        made = located(entry.where, "arms", _MAKERS[design], entry, inside, components)
    made = [_placed(arm, inside.where) for arm in made]
    rules = conditions(entry.value.get("exclude"), "arms: exclude")
    return excluded.keep(made, rules, configure)


def _placed(arm: Arm, where: str) -> Arm:
    if arm.where:
        return arm
    return replace(arm, where=where)


def _design_of(entry: Node) -> str:
    if not isinstance(entry.value, dict):
        raise at(entry.where, f"arms: each entry is one design of {', '.join(DESIGNS)}")
    designs: list[str] = [name for name in entry.value if name in DESIGNS]
    others = [name for name in entry.value if name not in DESIGNS]
    if not designs:
        name = next(iter(others), "")
        raise at(
            entry.where,
            f"arms: '{name}' is not a design; allowed are {', '.join(DESIGNS)}"
            f"{nearest(name, DESIGNS)}",
        )
    if len(designs) > 1:
        raise at(
            entry.where,
            f"arms: '{designs[0]}' and '{designs[1]}' in one entry; begin each with '-'",
        )
    for name in others:
        if name not in BESIDE[designs[0]]:
            raise at(
                entry.value[name].where,
                f"arms: '{name}' can't stand beside {designs[0]}; allowed there are "
                f"{', '.join(BESIDE[designs[0]])}{nearest(name, BESIDE[designs[0]])}",
            )
    return designs[0]


def _reference(entry: Node, design: str) -> str:
    node = entry.value.get("reference")
    if node is None:
        return REFERENCES[design]
    if not isinstance(node.value, str) or not node.value.strip():
        raise at(node.where, f"arms: reference: needs the name of a row, but got {node.plain()!r}")
    return node.value


def _explicit(entry: Node, inside: Node, components: Components) -> list[Arm]:
    if not isinstance(inside.value, dict):
        raise at(inside.where, "arms: explicit needs a mapping of names to changed fields")
    return explicit([part_of(name, child) for name, child in inside.value.items()])


def _leave_one_out(entry: Node, inside: Node, components: Components) -> list[Arm]:
    chosen = components_of(inside, "leave_one_out", components, flat="off")
    return leave_one_out(chosen, _reference(entry, "leave_one_out"))


def _add_one_in(entry: Node, inside: Node, components: Components) -> list[Arm]:
    chosen = components_of(inside, "add_one_in", components, flat="on")
    return add_one_in(chosen, _reference(entry, "add_one_in"))


def _factorial(entry: Node, inside: Node, components: Components) -> list[Arm]:
    chosen = components_of(inside, "factorial", components, flat="on")
    return factorial(chosen, _reference(entry, "factorial"))


def _fractional(entry: Node, inside: Node, components: Components) -> list[Arm]:
    chosen = components_of(inside, "fractional", components, flat="on")
    node = entry.value.get("resolution")
    if node is None:
        raise at(
            entry.where,
            "arms: fractional needs its resolution beside it, e.g. 'resolution: IV' (main effects "
            "are then not mixed with two-way interactions)",
        )
    resolution = RESOLUTIONS.get(str(node.value), node.value)
    if isinstance(resolution, bool) or not isinstance(resolution, int):
        raise at(
            node.where,
            f"arms: resolution: must be one of {', '.join(RESOLUTIONS)}, but got {node.plain()!r}",
        )
    return fractional(chosen, resolution, _reference(entry, "fractional"))


def _path(entry: Node, inside: Node, components: Components) -> list[Arm]:
    chosen = (
        _between(inside)
        if isinstance(inside.value, dict) and set(inside.value) == {"from", "to"}
        else components_of(inside, "path", components, flat="on")
    )
    names = [component.name for component in chosen]
    order = [component.name for component in canonical(chosen)]
    if isinstance(inside.value, list):
        order = names  # a list has an order, a mapping has none
    node = entry.value.get("order")
    if node is not None:
        given = node.plain()
        order = [str(name) for name in given] if isinstance(given, list) else []
        if sorted(order) != sorted(names):
            raise at(
                node.where,
                f"arms: order: must name each of {', '.join(names)} once, but got {given!r}",
            )
    return path(chosen, order, _reference(entry, "path"))


def _between(inside: Node) -> list[Component]:
    """The fields in which two configurations differ, each a component."""
    start, searched = changed_fields(inside.value["from"], "arms: path: from")
    end, searched_too = changed_fields(inside.value["to"], "arms: path: to")
    if searched or searched_too:
        raise at(
            inside.where,
            "arms: path: 'from' and 'to' are two configurations; what is searched goes into the "
            "study's 'search'",
        )
    defaults = {name: None for name in (*start, *end)}
    found = []
    for name in defaults:
        if name not in end:
            raise at(
                inside.where,
                f"arms: path: '{name}' is in 'from' and not in 'to'; give both ends a value",
            )
        if start.get(name) != end[name]:
            found.append(
                Component(
                    name=level_text(name, end[name]),
                    on=Part(name=name, changes={name: end[name]}, where=inside.where),
                    off=Part(name=name, changes={name: start[name]} if name in start else {}),
                )
            )
    if not found:
        raise at(inside.where, "arms: path: 'from' and 'to' are the same configuration")
    return found


def _one_at_a_time(entry: Node, inside: Node, components: Components) -> list[Arm]:
    return one_at_a_time(factors_of(inside, "one_at_a_time"), _reference(entry, "one_at_a_time"))


def _grid(entry: Node, inside: Node, components: Components) -> list[Arm]:
    node = entry.value.get("reference")
    reference = str(node.plain()) if node is not None else None
    arms = grid(factors_of(inside, "grid"), reference)
    if node is not None and not any(arm.reference for arm in arms):
        names = [arm.name for arm in arms]
        raise at(
            node.where,
            f"arms: reference: '{reference}' is no arm of the grid"
            f"{nearest(str(reference), names)}; its arms are called like '{names[0]}'",
        )
    return arms


def _pairs(entry: Node, inside: Node, components: Components) -> list[Arm]:
    given = inside.value if inside.value is not None else {}
    if not isinstance(given, dict):
        raise at(inside.where, "arms: pairs needs a mapping, e.g. {modes: [off, shared]}")
    known = {
        "modes": PAIR_MODES,
        "measures": kinds("alignment"),
        "pairs": tuple(PAIRS),
    }
    chosen: dict[str, list[str]] = {"modes": list(PAIR_MODES), "measures": [], "pairs": list(PAIRS)}
    for name, node in given.items():
        if name not in known:
            raise at(
                node.where,
                f"arms: pairs: '{name}' is not one of {', '.join(known)}{nearest(name, known)}",
            )
        values = node.plain()
        if not isinstance(values, list) or not values or len(set(map(str, values))) < len(values):
            raise at(
                node.where,
                f"arms: pairs.{name}: needs a list of {', '.join(known[name])}, each at most once",
            )
        for value in values:
            if value not in known[name]:
                raise at(
                    node.where,
                    f"arms: pairs.{name}: {value!r} is not one of {', '.join(known[name])}"
                    f"{nearest(str(value), known[name])}",
                )
        chosen[name] = values
    if chosen["modes"] == ["off"]:
        raise at(inside.where, "arms: pairs: with 'modes: [off]' there is one arm; add a mode")
    if "off" not in chosen["modes"] and "reference" in entry.value:
        raise at(
            entry.value["reference"].where,
            "arms: pairs: the reference is the arm of no pair, which needs 'off' among the modes",
        )
    return pairs(chosen["modes"], chosen["measures"], chosen["pairs"], _reference(entry, "pairs"))


_MAKERS: dict[str, Callable[[Node, Node, Components], list[Arm]]] = {
    "explicit": _explicit,
    "leave_one_out": _leave_one_out,
    "add_one_in": _add_one_in,
    "factorial": _factorial,
    "fractional": _fractional,
    "path": _path,
    "one_at_a_time": _one_at_a_time,
    "grid": _grid,
    "pairs": _pairs,
}
