"""A study file as a tree whose every value knows where it was written."""

import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.constructor import ConstructorError, RoundTripConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode
from ruamel.yaml.scalarbool import ScalarBoolean
from ruamel.yaml.scalarfloat import ScalarFloat
from ruamel.yaml.scalarint import ScalarInt
from ruamel.yaml.scalarstring import ScalarString

from spaces.errors import at

Plain = dict[str, Any] | list[Any] | str | int | float | bool | None
# Of a file. 216 arms, all written out, are 60,000 characters, and 200,000 take the parser a second;
# a few aliases of aliases make billions of values of one line.
MOST_CHARACTERS = 200_000
MOST_VALUES = 100_000
DEEPEST = 32
LARGEST = 10**300  # of whole numbers: larger ones are no floats


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
        raise at(str(path), f"cannot be read: {error}") from None
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
    where = single_place or f"{source}:1"
    if len(text) > MOST_CHARACTERS:
        raise at(where, f"is longer than {MOST_CHARACTERS:,} characters; this is no study file")
    if _brackets(text) > DEEPEST:
        raise at(where, f"more than {DEEPEST} brackets inside one another; this is no study file")
    try:
        with warnings.catch_warnings(action="ignore"):  # an anchor set twice is allowed
            yaml = YAML(typ="rt", pure=True)
            yaml.Constructor = _PlainKeys
            loaded = yaml.load(text)
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        problem = (error.problem or "not valid YAML").splitlines()[0]
        raise at(single_place or f"{source}:{line}", problem) from None
    except RecursionError:
        raise at(where, f"more than {DEEPEST} values inside one another") from None
    except (YAMLError, ValueError) as error:
        raise at(where, str(error).splitlines()[0]) from None
    except Exception as error:  # the parser's own slips, as over a mapping merged into itself
        raise at(where, f"not valid YAML ({type(error).__name__} in its parser)") from None
    return _Tree(source, single_place).node(loaded, 0, 0)


class _PlainKeys(RoundTripConstructor):
    """Refuses mappings and lists as keys: no study has one, and some would never be read to end."""

    def construct_document(self, node: Any) -> Any:
        """As its base, once all keys have been looked at."""
        waiting, seen = [node], set()
        while waiting:
            at_hand = waiting.pop()
            if id(at_hand) in seen or isinstance(at_hand, ScalarNode):
                continue
            seen.add(id(at_hand))
            for inside in at_hand.value:
                if isinstance(at_hand, MappingNode) and not isinstance(inside[0], ScalarNode):
                    problem = "a key must be a word, not a mapping or a list"
                    raise ConstructorError(None, None, problem, inside[0].start_mark)
                waiting.append(inside[1] if isinstance(at_hand, MappingNode) else inside)
        return super().construct_document(node)


def _brackets(text: str) -> int:
    """How many brackets are open at once, those in texts too: the parser takes minutes for many."""
    open_now = most = 0
    for bracket in re.findall(r"[\[\]{}]", text):
        open_now += 1 if bracket in "[{" else -1
        most = max(most, open_now)
    return most


def is_domain(node: Node) -> bool:
    """Whether a node has the form of a domain, `{uniform: [0, 1], step: 0.1}`.

    A list in it says so: a field's value never is one.
    """
    inside = node.value
    return isinstance(inside, dict) and any(
        isinstance(child.value, list) for child in inside.values()
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


class _Tree:
    """Turns what the parser made into nodes, and counts them."""

    def __init__(self, source: str, single_place: str | None) -> None:
        self._source = source
        self._single_place = single_place
        self._values = 0

    def node(self, loaded: Any, line: int, depth: int) -> Node:
        """A value and all inside it.

        Raises:
            StudyError: a key written twice, or more than a study ever has.
        """
        where = self._single_place or f"{self._source}:{line + 1}"
        self._values += 1
        if depth > DEEPEST:
            raise at(where, f"more than {DEEPEST} values inside one another; remove some levels")
        if self._values > MOST_VALUES:
            raise at(where, f"more than {MOST_VALUES:,} values; is an alias part of itself?")
        if isinstance(loaded, CommentedMap):
            return Node(where, self._children(loaded, where, line, depth))
        if isinstance(loaded, CommentedSeq):
            lines = loaded.lc.data or {}  # a list behind a tag has none
            return Node(
                where,
                [
                    self.node(child, lines.get(place, (line,))[0], depth + 1)
                    for place, child in enumerate(loaded)
                ],
            )
        return Node(where, _plain_scalar(loaded, where))

    def _children(self, loaded: Any, where: str, line: int, depth: int) -> dict[str, Node]:
        children: dict[str, Node] = {}
        own_lines = loaded.lc.data or {}  # a key merged in by `<<` has none: it's where the `<<` is
        for key, child in loaded.items():
            name = str(_plain_scalar(key, where))
            if name in children:
                raise at(where, f"'{name}' is written twice, as a word and as another value")
            key_line = own_lines[key][0] if key in own_lines else line
            children[name] = self.node(child, key_line, depth + 1)
        return children


def _plain_scalar(value: Any, where: str) -> Any:
    """Ruamel's scalars remember their spelling; only their value is wanted."""
    if isinstance(value, ScalarBoolean):
        return bool(value)
    if isinstance(value, int) and abs(value) > LARGEST:
        raise at(where, "a whole number of more than 300 digits; use a smaller one")
    for marked, plain in ((ScalarFloat, float), (ScalarInt, int), (ScalarString, str)):
        if isinstance(value, marked):
            return plain(value)
    return value if isinstance(value, str | int | float | bool | None) else str(value)
