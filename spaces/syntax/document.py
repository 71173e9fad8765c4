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

from spaces.errors import error_at

# Limits of a file. 216 arms, all written out, are 60,000 characters, and 200,000 take the parser a
# second; a few aliases of aliases make billions of values of one line.
MOST_CHARACTERS = 200_000
MOST_VALUES = 100_000
DEEPEST = 32
LARGEST = 10**300  # largest whole number: larger ones are no floats


@dataclass(frozen=True, slots=True)
class Node:
    """A value and its place.

    Attributes:
        where: Place of the value: `file:line`, or the `--set` that gave it.
        value: Dict of nodes, list of nodes, or scalar.
    """

    where: str
    value: Any

    def plain_value(self) -> Any:
        """Return the value without places."""
        if isinstance(self.value, dict):
            return {name: child.plain_value() for name, child in self.value.items()}
        if isinstance(self.value, list):
            return [child.plain_value() for child in self.value]
        return self.value

    def find_node(self, path: tuple[str | int, ...]) -> "Node":
        """Return the node at a path, or the nearest one above it."""
        # A mistake of a part that is missing is shown where it should have been.
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
        StudyError: Unreadable, not YAML, a key written twice, or not a mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise error_at(str(path), f"cannot be read: {error}") from None
    root = parse_yaml(text, path.name)
    if not isinstance(root.value, dict):
        raise error_at(
            f"{path.name}:1", "a study file is a mapping of fields such as 'study: my-study'"
        )
    return root


def parse_yaml(text: str, source: str, single_place: str | None = None) -> Node:
    """Parse YAML text.

    Args:
        text: YAML.
        source: Name of the file, for messages.
        single_place: Place of every value, if given (a `--set` has no lines).

    Raises:
        StudyError: Not YAML, or a key written twice.
    """
    where = single_place or f"{source}:1"
    if len(text) > MOST_CHARACTERS:
        raise error_at(
            where, f"is longer than {MOST_CHARACTERS:,} characters; this is no study file"
        )
    if _deepest_brackets(text) > DEEPEST:
        raise error_at(
            where, f"more than {DEEPEST} brackets inside one another; this is no study file"
        )
    try:
        with warnings.catch_warnings(action="ignore"):  # an anchor set twice is allowed
            yaml = YAML(typ="rt", pure=True)
            yaml.Constructor = _PlainKeys
            loaded = yaml.load(text)
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        problem = (error.problem or "not valid YAML").splitlines()[0]
        raise error_at(single_place or f"{source}:{line}", problem) from None
    except RecursionError:
        raise error_at(where, f"more than {DEEPEST} values inside one another") from None
    except (YAMLError, ValueError) as error:
        raise error_at(where, str(error).splitlines()[0]) from None
    except Exception as error:  # the parser's own slips, as over a mapping merged into itself
        raise error_at(where, f"not valid YAML ({type(error).__name__} in its parser)") from None
    return _Tree(source, single_place).build_node(loaded, 0, 0)


class _PlainKeys(RoundTripConstructor):
    """Refuses mappings and lists as keys: no study has one, and some would never be read to end."""

    def construct_document(self, node: Any) -> Any:
        """Construct the document as the base class does, once all keys have been checked."""
        # A stack and no recursion: the nodes may be nested deeper than Python's stack allows. An
        # anchored node can be part of itself, so each is visited once.
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


def _deepest_brackets(text: str) -> int:
    # The parser takes minutes for many open brackets. Those in texts are counted too, as telling
    # them apart would need the parser.
    open_now = most = 0
    for bracket in re.findall(r"[\[\]{}]", text):
        open_now += 1 if bracket in "[{" else -1
        most = max(most, open_now)
    return most


def is_domain(node: Node) -> bool:
    """Check whether a node has the form of a domain, `{uniform: [0, 1], step: 0.1}`."""
    # A list in it tells it from a group of fields: the value of a field never is one.
    inside = node.value
    return isinstance(inside, dict) and any(
        isinstance(child.value, list) for child in inside.values()
    )


def iterate_leaves(node: Node, is_leaf: Callable[[Node], bool]) -> Iterator[tuple[str, Node]]:
    """Yield the dotted paths below a mapping; `a: {b: 1}` and `a.b: 1` are the same.

    Args:
        node: Mapping, of paths, of groups, or of any mixture of them.
        is_leaf: Function that checks whether a node ends the path.

    Raises:
        StudyError: A path written twice.
    """
    seen: dict[str, str] = {}
    for path, child in _walk_leaves(node, is_leaf, ""):
        if path in seen:
            raise error_at(child.where, f"'{path}' is set a second time; first at {seen[path]}")
        seen[path] = child.where
        yield path, child


def _walk_leaves(
    node: Node, is_leaf: Callable[[Node], bool], prefix: str
) -> Iterator[tuple[str, Node]]:
    for name, child in node.value.items():
        path = f"{prefix}{name}"
        if is_leaf(child) or not isinstance(child.value, dict):
            yield path, child
        else:
            yield from _walk_leaves(child, is_leaf, f"{path}.")


class _Tree:
    """Turns what the parser made into nodes, and counts them."""

    def __init__(self, source: str, single_place: str | None) -> None:
        self._source = source
        self._single_place = single_place
        self._values = 0

    def build_node(self, loaded: Any, line: int, depth: int) -> Node:
        """Build the node of a value and of all inside it.

        Raises:
            StudyError: A key written twice, or more than a study ever has.
        """
        where = self._single_place or f"{self._source}:{line + 1}"
        self._values += 1
        if depth > DEEPEST:
            raise error_at(
                where, f"more than {DEEPEST} values inside one another; remove some levels"
            )
        if self._values > MOST_VALUES:
            raise error_at(where, f"more than {MOST_VALUES:,} values; is an alias part of itself?")
        if isinstance(loaded, CommentedMap):
            return Node(where, self._build_children(loaded, where, line, depth))
        if isinstance(loaded, CommentedSeq):
            lines = loaded.lc.data or {}  # a list behind a tag has none
            return Node(
                where,
                [
                    self.build_node(child, lines.get(position, (line,))[0], depth + 1)
                    for position, child in enumerate(loaded)
                ],
            )
        return Node(where, _plain_scalar(loaded, where))

    def _build_children(self, loaded: Any, where: str, line: int, depth: int) -> dict[str, Node]:
        children: dict[str, Node] = {}
        own_lines = loaded.lc.data or {}  # a key merged in by `<<` has none: it's where the `<<` is
        for key, child in loaded.items():
            name = str(_plain_scalar(key, where))
            if name in children:
                raise error_at(where, f"'{name}' is written twice, as a word and as another value")
            key_line = own_lines[key][0] if key in own_lines else line
            children[name] = self.build_node(child, key_line, depth + 1)
        return children


def _plain_scalar(value: Any, where: str) -> Any:
    # Ruamel's scalars remember their spelling; only their value is wanted.
    if isinstance(value, ScalarBoolean):
        return bool(value)
    if isinstance(value, int) and abs(value) > LARGEST:
        raise error_at(where, "a whole number of more than 300 digits; use a smaller one")
    for marked, plain in ((ScalarFloat, float), (ScalarInt, int), (ScalarString, str)):
        if isinstance(value, marked):
            return plain(value)
    return value if isinstance(value, str | int | float | bool | None) else str(value)
