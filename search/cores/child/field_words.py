"""What a user's source says of a field: its line, and the words beside, above or below it."""

import ast
import inspect
import io
import textwrap
import tokenize
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Words:
    """What stands in the source.

    Attributes:
        line: Line of the file; 0 if unknown.
        meaning: Docstring below the field, or comment beside or above it, in one line.
    """

    line: int = 0
    meaning: str = ""


def words_of_class(kind: type) -> dict[str, Words]:
    """Return field -> words of a class and those that it is derived from."""
    found: dict[str, Words] = {}
    for one in reversed(kind.__mro__):
        tree, comments, first = _read_source(one)
        if isinstance(tree, ast.ClassDef):
            found |= _words_of_body(tree.body, comments, first)
    return found


def words_of_function(function: Callable[..., Any]) -> dict[str, Words]:
    """Return parameter -> words of a function, whose own line is under the empty name."""
    tree, comments, first = _read_source(function)
    if not isinstance(tree, ast.FunctionDef):
        return {}
    found = {"": Words(first + tree.lineno - 1)}
    arguments = [*tree.args.posonlyargs, *tree.args.args, *tree.args.kwonlyargs]
    shared = [one.lineno for one in arguments]
    for one in arguments:
        # A comment behind two parameters belongs to neither.
        alone = shared.count(one.lineno) == 1 and one.lineno != tree.lineno
        meaning = comments.get(one.lineno, "") if alone else ""
        found[one.arg] = Words(first + one.lineno - 1, meaning)
    return found


def _words_of_body(
    body: Sequence[ast.stmt], comments: dict[int, str], first: int
) -> dict[str, Words]:
    found = {}
    lines_of_code = {line for one in body for line in range(one.lineno, _end_of(one) + 1)}
    for place, one in enumerate(body):
        if not isinstance(one, ast.AnnAssign) or not isinstance(one.target, ast.Name):
            continue
        below = body[place + 1] if place + 1 < len(body) else None
        meaning = _docstring_of(below) or comments.get(_end_of(one), "")
        if not meaning:
            above = list(_comments_above(one.lineno, comments, lines_of_code))
            meaning = " ".join(reversed(above))
        found[one.target.id] = Words(first + one.lineno - 1, " ".join(meaning.split()))
    return found


def _comments_above(line: int, comments: dict[int, str], code: set[int]) -> Iterator[str]:
    while (line := line - 1) in comments and line not in code:
        yield comments[line]


def _docstring_of(statement: ast.stmt | None) -> str:
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
        value = statement.value.value
        return value if isinstance(value, str) else ""
    return ""


def _end_of(statement: ast.stmt) -> int:
    return statement.end_lineno or statement.lineno


def _read_source(thing: Any) -> tuple[ast.stmt | None, dict[int, str], int]:
    """Return syntax tree, line -> comment, and first line of a class or a function."""
    try:
        lines, first = inspect.getsourcelines(thing)
    except (OSError, TypeError):  # made without a file, or built in
        return None, {}, 0
    text = textwrap.dedent("".join(lines))
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
        tree = ast.parse(text).body[0]
    except (SyntaxError, tokenize.TokenError, IndexError):
        return None, {}, first
    comments = {
        token.start[0]: token.string.lstrip("#: ").strip()
        for token in tokens
        if token.type == tokenize.COMMENT
    }
    return tree, comments, max(1, first)
