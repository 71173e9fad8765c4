"""Fields of the configuration as a study file writes them: fixed values, and searched domains."""

from typing import Any

from spaces.errors import check_at, error_at
from spaces.fields.declaration import Value
from spaces.fields.paths import check_value
from spaces.search_space.domains import DOMAINS, Domain, domain_contains, parse_domain
from spaces.syntax.constraints import Condition, parse_condition
from spaces.syntax.document import Node, is_domain, iterate_leaves

MOST_CONDITIONS = 100  # each is evaluated for every arm or candidate
SEARCH = "search"  # inside the changes of an arm: fields that are searched in it alone


def fixed_fields(config_class: type, node: Node, part: str) -> dict[str, Value]:
    """Parse a mapping of fields: field -> checked value.

    Raises:
        StudyError: No mapping, no such field, or a value that it does not allow.
    """
    _check_mapping(node, part)
    return {
        name: check_at(child.where, part, check_value, config_class, name, child.plain_value())
        for name, child in iterate_leaves(node, lambda child: False)
    }


def searched_fields(config_class: type, node: Node, part: str) -> dict[str, Domain]:
    """Parse a mapping of searched fields: field -> domain.

    Raises:
        StudyError: No mapping, no such field, or a domain that does not fit it.
    """
    _check_mapping(node, part)
    found: dict[str, Domain] = {}
    for name, child in iterate_leaves(node, is_domain):
        if not is_domain(child):
            raise error_at(
                child.where,
                f"{part}: '{name}' needs one domain, e.g. {{uniform: [0, 1]}}; "
                f"allowed are {', '.join(DOMAINS)}",
            )
        found[name] = check_at(
            child.where, part, parse_domain, config_class, name, child.plain_value()
        )
    return found


def changed_fields(
    config_class: type, node: Node, part: str
) -> tuple[dict[str, Value], dict[str, Domain]]:
    """Parse what an arm changes: fields that it fixes, and below `search` fields that it searches.

    Raises:
        StudyError: As `fixed_fields` and `searched_fields`, or a field that is in both.
    """
    if node.value is None:
        return {}, {}
    _check_mapping(node, part)
    own = node.value.get(SEARCH)
    fixed = fixed_fields(
        config_class,
        Node(node.where, {name: child for name, child in node.value.items() if name != SEARCH}),
        part,
    )
    searched = searched_fields(config_class, own, f"{part}: {SEARCH}") if own is not None else {}
    for name in searched.keys() & fixed.keys():
        raise error_at(
            node.where, f"{part}: '{name}' is both fixed and searched here; remove one of the two"
        )
    return fixed, searched


def _check_mapping(node: Node, part: str) -> None:
    if not isinstance(node.value, dict):
        raise error_at(
            node.where, f"{part}: needs a mapping of fields, but got {node.plain_value()!r}"
        )


def parse_conditions(config_class: type, node: Node | None, part: str) -> tuple[Condition, ...]:
    """Parse one condition or a list of them, each once.

    Raises:
        StudyError: No condition, or more than `MOST_CONDITIONS`.
    """
    if node is None or node.value is None:
        return ()
    entries = node.value if isinstance(node.value, list) else [node]
    found = dict.fromkeys(
        check_at(entry.where, part, parse_condition, config_class, entry.plain_value())
        for entry in entries
    )
    if len(found) > MOST_CONDITIONS:
        raise error_at(
            node.where,
            f"{part}: {len(found):,} conditions, but at most {MOST_CONDITIONS} are allowed; join "
            "some by 'and' or 'or'",
        )
    return tuple(found)


def start_points(
    config_class: type, node: Node | None, search: dict[str, Domain]
) -> tuple[dict[str, Value], ...]:
    """Parse the candidates to try first.

    Args:
        config_class: Class of the configurations.
        node: The `start` part of a study.
        search: Field -> domain of every field that is searched in some arm.

    Raises:
        StudyError: No list of mappings, or a value that is in no searched domain.
    """
    if node is None or node.value is None:
        return ()
    entries: list[Any] = node.value if isinstance(node.value, list) else [node]
    points = []
    for entry in entries:
        point = fixed_fields(config_class, entry, "start")
        for name, value in point.items():
            if name not in search:
                raise error_at(
                    entry.where, f"start: '{name}' is not searched; put its value into 'base'"
                )
            if not domain_contains(search[name], value):
                raise error_at(
                    entry.where,
                    f"start: '{name}' is searched in a domain that has no {value!r}; "
                    "widen the domain or change the value",
                )
        if not point:
            raise error_at(entry.where, "start: a starting point names at least one searched field")
        points.append(point)
    return tuple(points)
