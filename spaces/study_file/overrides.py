"""`--set field=value`: changes to a study that need no edit of its file."""

from collections.abc import Sequence

from spaces.core import Core
from spaces.errors import StudyError, error_at
from spaces.fields.paths import did_you_mean, fields_of
from spaces.syntax.document import Node, is_domain, iterate_leaves, parse_yaml

FIELD_PARTS = ("base", "search")
# Of two that exclude each other, the one that is set replaces the other.
RIVALS = {
    ("budget", "device_seconds"): ("budget", "candidates"),
    ("budget", "candidates"): ("budget", "device_seconds"),
}


def apply_overrides(
    core: Core, root: Node, overrides: Sequence[str], study_fields: Sequence[str]
) -> Node:
    """Return the document with every `field=value` put in its place.

    The field is a study field (`budget.candidates`, `metric`) or a field of the configuration
    (`train.epochs`, the same as `base.train.epochs`). The value is written as in the file.

    Raises:
        StudyError: No `=`, no such field, or a value that is not YAML.
    """
    for override in overrides:
        name, separator, text = override.partition("=")
        where = f"--set {override}"
        if not separator or not name.strip():
            raise StudyError(f"{where}: needs the form field=value, e.g. --set train.epochs=10")
        path = _override_path(core, where, name.strip(), study_fields)
        root = _put_value(root, path, parse_yaml(text, "--set", single_place=where), where)
        if path in RIVALS:
            root = _drop_field(root, RIVALS[path])
    return root


def _drop_field(root: Node, path: tuple[str, str]) -> Node:
    """Return the document without one field of a part, unless a `--set` gave it."""
    part = root.value.get(path[0])
    inside = part.value if part is not None and isinstance(part.value, dict) else {}
    if path[1] not in inside or inside[path[1]].where.startswith("--set"):
        return root
    kept = {name: child for name, child in inside.items() if name != path[1]}
    return Node(root.where, {**root.value, path[0]: Node(part.where, kept)})


def _override_path(
    core: Core, where: str, name: str, study_fields: Sequence[str]
) -> tuple[str, ...]:
    first, *rest = name.split(".")
    # The path of a field of the configuration stays one key: in the file it may be written dotted
    # or nested, and `iterate_leaves` joins it.
    if first in FIELD_PARTS and rest:
        return (first, ".".join(rest))
    if first in study_fields:
        return (first, *rest)
    if name in fields_of(core.config_class):
        return ("base", name)
    allowed = [*study_fields, *fields_of(core.config_class)]
    raise error_at(
        where,
        f"'{name}' is neither a field of a study nor of its base{did_you_mean(name, allowed)}",
    )


def _put_value(node: Node, path: tuple[str, ...], value: Node, where: str) -> Node:
    head, *rest = path
    children = dict(node.value) if isinstance(node.value, dict) else {}
    if not rest:
        children[head] = value
    elif head in FIELD_PARTS:
        old = children.get(head, Node(where, {}))
        # Flattened, so that the new value takes the place of the old one however that was written.
        kept = dict(iterate_leaves(old, is_domain)) if isinstance(old.value, dict) else {}
        children[head] = Node(old.where, {**kept, rest[0]: value})
    else:
        children[head] = _put_value(children.get(head, Node(where, {})), tuple(rest), value, where)
    return Node(node.where, children)
