"""A study file as a tree whose every value knows where it was written."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.scalarbool import ScalarBoolean
from ruamel.yaml.scalarfloat import ScalarFloat
from ruamel.yaml.scalarint import ScalarInt
from ruamel.yaml.scalarstring import ScalarString

from spaces.errors import StudyError, at

Plain = dict[str, Any] | list[Any] | str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Node:
    """A value and its place.

    Attributes:
        where: `file:line`, or the `--set` that gave it.
        value: a dict of nodes, a list of nodes, or a scalar.
    """

    where: str
    value: Any

    def plain(self) -> Any:
        """The value without places."""
        if isinstance(self.value, dict):
            return {name: child.plain() for name, child in self.value.items()}
        if isinstance(self.value, list):
            return [child.plain() for child in self.value]
        return self.value

    def find(self, path: tuple[str | int, ...]) -> "Node":
        """The node at a path, or the nearest one above it."""
        node = self
        for step in path:
            inside = node.value
            in_mapping = isinstance(inside, dict) and step in inside
            in_list = isinstance(inside, list) and isinstance(step, int) and step < len(inside)
            if not (in_mapping or in_list):
                break
            node = inside[step]
        return node


def read_document(path: Path) -> Node:
    """Parse a study file (YAML 1.2: `off` is a word, `1e-3` a number).

    Raises:
        StudyError: unreadable, not YAML, a key written twice, or not a mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StudyError(f"{path}: cannot be read: {error}") from None
    root = parse(text, path.name)
    if not isinstance(root.value, dict):
        raise at(f"{path.name}:1", "a study file is a mapping of fields such as 'study: my-study'")
    return root


def parse(text: str, source: str, single_place: str | None = None) -> Node:
    """Parse YAML text.

    Args:
        text: YAML.
        source: the file's name, for messages.
        single_place: if given, the place of every value (a `--set` has no lines).

    Raises:
        StudyError: not YAML, or a key written twice.
    """
    try:
        loaded = YAML(typ="rt", pure=True).load(text)
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        problem = (error.problem or "not valid YAML").splitlines()[0]
        raise at(single_place or f"{source}:{line}", problem) from None
    except (YAMLError, ValueError) as error:
        raise at(single_place or f"{source}:1", str(error).splitlines()[0]) from None
    return _locate(loaded, source, 0, single_place)


def is_domain(node: Node) -> bool:
    """Whether a node has the form of a domain, `{uniform: [0, 1]}`: one name, one list."""
    inside = node.value
    return (
        isinstance(inside, dict)
        and len(inside) == 1
        and all(isinstance(child.value, list) for child in inside.values())
    )


def leaves(node: Node, is_leaf: Callable[[Node], bool]) -> Iterator[tuple[str, Node]]:
    """The dotted paths below a mapping; `a: {b: 1}`, `a.b: 1` and mixtures of them are the same.

    Args:
        node: a mapping.
        is_leaf: says of a node whether it ends the path.

    Raises:
        StudyError: a path written twice.
    """
    seen: dict[str, str] = {}
    for path, child in _walk(node, is_leaf, ""):
        if path in seen:
            raise at(child.where, f"'{path}' is set a second time; first at {seen[path]}")
        seen[path] = child.where
        yield path, child


def _walk(node: Node, is_leaf: Callable[[Node], bool], prefix: str) -> Iterator[tuple[str, Node]]:
    for name, child in node.value.items():
        path = f"{prefix}{name}"
        if is_leaf(child) or not isinstance(child.value, dict):
            yield path, child
        else:
            yield from _walk(child, is_leaf, f"{path}.")


def _locate(loaded: Any, source: str, line: int, single_place: str | None) -> Node:
    where = single_place or f"{source}:{line + 1}"
    if isinstance(loaded, CommentedMap):
        children = {}
        own_lines = loaded.lc.data or {}  # a key merged in by `<<` has none: it's where the `<<` is
        for name, child in loaded.items():
            key_line = own_lines[name][0] if name in own_lines else line
            children[str(name)] = _locate(child, source, key_line, single_place)
        return Node(where, children)
    if isinstance(loaded, CommentedSeq):
        return Node(
            where,
            [
                _locate(child, source, loaded.lc.item(place)[0], single_place)
                for place, child in enumerate(loaded)
            ],
        )
    return Node(where, _plain_scalar(loaded))


def _plain_scalar(value: Any) -> Any:
    """Ruamel's scalars remember their spelling; only their value is wanted."""
    if isinstance(value, ScalarBoolean):
        return bool(value)
    for marked, plain in ((ScalarFloat, float), (ScalarInt, int), (ScalarString, str)):
        if isinstance(value, marked):
            return plain(value)
    return value if isinstance(value, str | int | float | bool | None) else str(value)
