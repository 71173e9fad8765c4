"""Conditions on a configuration, as a study file writes them.

A mapping of fields to values, or a text such as `model.text.width >= 2 * model.projection.width`:
comparisons, `+ - * /`, numbers, words, `in [a, b]`, `and`, `or`, `not`, brackets. A text is never
executed: it is cut into words, parsed, and rebuilt from the few parts that are allowed.
"""

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from keyword import iskeyword

from msa_core.config.paths import Value, check_path, check_value, fields_of, get, nearest
from msa_core.config.schema import Config, ConfigError
from spaces.syntax.expressions import (
    ARITHMETIC,
    COMPARISONS,
    Arithmetic,
    Comparison,
    Constant,
    Every,
    Expression,
    Member,
    Negative,
    Not,
    Read,
    Some,
    Undefined,
    evaluate,
    paths_of,
    written,
)

LONGEST = 2000  # characters of a text
MOST_WORDS = 400
DEEPEST = 40  # parts inside parts
LARGEST = 1e18

_TOKEN = re.compile(
    r"\s*(?:(?P<name>[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*)"
    r"|(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)"
    r"|(?P<string>'[^'\\]*'|\"[^\"\\]*\")"
    r"|(?P<symbol><=|>=|==|!=|\*\*|//|[<>()+\-*/,\[\]=]))"
)
_WORDS = frozenset({"and", "or", "not", "in", "True", "False"})
_SYMBOLS: dict[type[ast.AST], str] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/",
    ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=",
}  # fmt: skip
_OPPOSITE = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "==": "!=", "!=": "=="}
_NAMES = {float: "a number", str: "a word", bool: "true or false"}


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition on a configuration.

    Attributes:
        text: as a person writes it, in one form; equal conditions have equal texts.
        paths: the fields that it reads.
        tree: what is evaluated.
    """

    text: str
    paths: tuple[str, ...]
    tree: Expression = field(repr=False, compare=False)

    def holds(self, config: Config) -> bool:
        """Whether a configuration satisfies it; where it divides by zero, it does not."""
        return self.holds_for({path: get(config, path) for path in self.paths})

    def holds_for(self, values: Mapping[str, Value]) -> bool:
        """Whether values of the fields that it reads satisfy it; others may be there too."""
        try:
            return bool(evaluate(self.tree, values))
        except Undefined:
            return False


def parse_condition(raw: object) -> Condition:
    """A condition from its study file form.

    Args:
        raw: field -> value or list of values, all of which must hold; or a text.

    Raises:
        ConfigError: neither, not in the language, no such field, or values that don't fit.
    """
    if isinstance(raw, Mapping):
        tree = _of_mapping(raw)
    elif isinstance(raw, str):
        try:
            tree = _of_text(raw)
        except ConfigError as error:
            raise ConfigError(f"the condition {_short(raw)}: {error}") from None
    else:
        raise ConfigError(
            "a condition is a mapping such as {model.fusion.kind: lmf} or a text such as "
            f"'model.text.width >= 16', but got {_short(raw)}"
        )
    paths = tuple(dict.fromkeys(paths_of(tree)))
    if not paths:
        raise ConfigError(f"the condition {_short(raw)} reads no field")
    text = written(tree)
    try:
        _words(text)
    except ConfigError as error:
        raise ConfigError(f"the condition {_short(raw)}: {error}") from None
    return Condition(text, paths, tree)


def _short(raw: object) -> str:
    text = repr(raw[:80] if isinstance(raw, str) else raw)
    return text if len(text) <= 84 else f"{text[:80]}..."


def _of_mapping(raw: Mapping[object, object]) -> Expression:
    if not raw:
        raise ConfigError("a condition needs at least one field")
    parts = []
    for path, wanted in sorted(raw.items(), key=lambda item: str(item[0])):
        if not isinstance(path, str) or not path.isprintable():
            raise ConfigError(f"{_short(path)} is not a field")
        check_path(Config, path)
        values = wanted if isinstance(wanted, list | tuple) else [wanted]
        if not values:
            raise ConfigError(f"'{path}' has no value that it may have")
        parts.append(_member(Read(path), [_checked(path, value) for value in values], False))
    return parts[0] if len(parts) == 1 else Every(tuple(parts))


def _checked(path: str, value: object) -> Constant:
    """A value that a field can have."""
    fits = not isinstance(value, str) or re.fullmatch(r"[^'\\]*|[^\"\\]*", value)
    if not fits or not str(value).isprintable():
        raise ConfigError(f"'{path}': {_short(value)} cannot stand in a condition")
    checked = check_value(Config, path, value)
    return Constant(checked if isinstance(checked, bool | str) else float(checked))


def _of_text(raw: str) -> Expression:
    # Its own words, a blank between each: so nothing reaches the parser that isn't known here.
    words = _words(raw)
    try:
        tree = ast.parse(" ".join(words), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ConfigError("cannot be read; it needs a form such as 'model.text.width >= 16'") from (
            None
        )
    _check_depth(tree)
    return _truth(tree)


def _words(raw: str) -> list[str]:
    if len(raw) > LONGEST:
        raise ConfigError(f"is {len(raw)} characters long; at most {LONGEST} are allowed")
    words: list[str] = []
    place, kind = 0, None
    text = raw.rstrip()
    while place < len(text):
        found = _TOKEN.match(text, place)
        if found is None:
            rest = text[place:].lstrip()
            raise ConfigError(f"{rest[:1]!r} is not allowed in it")
        follows_string, kind = kind == "string", found.lastgroup
        word = found[kind or 0]
        _check_word(word, kind, follows_string)
        words.append({"true": "True", "false": "False"}.get(word, word))
        place = found.end()
    if not words:
        raise ConfigError("is empty")
    if len(words) > MOST_WORDS:
        raise ConfigError(f"has {len(words)} parts; at most {MOST_WORDS} are allowed")
    deep = 0
    for word in words:
        deep += (word in "([") - (word in ")]")
        if deep > DEEPEST:
            raise ConfigError(f"has more than {DEEPEST} brackets inside one another")
    return words


def _check_word(word: str, kind: str | None, follows_string: bool) -> None:
    if word == "=":
        raise ConfigError("'=' is not allowed in it; to compare write '=='")
    if word in ("**", "//"):
        raise ConfigError(f"'{word}' is not allowed in it; use + - * /")
    if kind == "name" and any(iskeyword(part) for part in word.split(".")) and word not in _WORDS:
        raise ConfigError(f"'{word}' is not allowed in it; as a word write it in quotes")
    if kind == "string" and (follows_string or not word.isprintable()):
        raise ConfigError(f"{word!r} is not allowed there")
    if kind == "number" and (len(word) > 40 or not float(word) <= LARGEST):
        raise ConfigError(f"the number {word[:20]} is too large or too long")


def _check_depth(tree: ast.expr) -> None:
    level: list[ast.AST] = [tree]
    for _ in range(3 * DEEPEST):
        level = [inside for node in level for inside in ast.iter_child_nodes(node)]
        if not level:
            return
    raise ConfigError(f"has more than {DEEPEST} parts inside one another")


def _truth(node: ast.expr) -> Expression:
    """An expression that holds or doesn't."""
    tree = _expression(node)
    if _kind(tree) is not bool:
        raise ConfigError(
            f"'{written(tree)}' is {_NAMES[_kind(tree)]}, not a condition{_hint(tree)}"
        )
    return tree


def _expression(node: ast.expr) -> Expression:
    match node:
        case ast.BoolOp(operator, values):
            kind = Every if isinstance(operator, ast.And) else Some
            parts: list[Expression] = []
            for part in map(_truth, values):
                parts += part.parts if isinstance(part, kind) else [part]
            return kind(tuple(parts))
        case ast.UnaryOp(ast.Not(), inner):
            return _negated(_truth(inner))
        case ast.UnaryOp(ast.USub(), inner):
            tree = _number(inner)
            return tree.inner if isinstance(tree, Negative) else Negative(tree)
        case ast.UnaryOp(ast.UAdd(), inner):
            return _number(inner)
        case ast.BinOp(left, operator, right) if _SYMBOLS.get(type(operator)) in ARITHMETIC:
            return Arithmetic(_SYMBOLS[type(operator)], _number(left), _number(right))
        case ast.Compare(first, [ast.In() | ast.NotIn() as operator], [listed]):
            return _membership(first, isinstance(operator, ast.NotIn), listed)
        case ast.Compare(first, operators, others):
            return _comparison([first, *others], [_SYMBOLS.get(type(op)) for op in operators])
        case ast.Constant(bool() | str() as value):
            return Constant(value)
        case ast.Constant(int() | float() as value):
            return Constant(float(value))
        case ast.Name() | ast.Attribute():
            return _named(ast.unparse(node))
    raise ConfigError(f"'{ast.unparse(node)[:40]}' is not allowed there")


def _named(name: str) -> Expression:
    """A field, or a word that a field may be compared with."""
    if name in fields_of(Config):
        return Read(name)
    if "." in name:
        check_path(Config, name)
    return Constant(name)


def _negated(tree: Expression) -> Expression:
    match tree:
        case Not(inner):
            return inner
        case Member(inner, options, negated):
            return _member(inner, list(options), not negated)
        case Constant(bool() as value):
            return Constant(not value)
        case Comparison(operands, (symbol,)):
            return Comparison(operands, (_OPPOSITE[symbol],))
    return Not(tree)


def _number(node: ast.expr) -> Expression:
    tree = _expression(node)
    if _kind(tree) is not float:
        raise ConfigError(f"'{written(tree)}' is {_NAMES[_kind(tree)]}, not a number{_hint(tree)}")
    return tree


def _membership(first: ast.expr, negated: bool, listed: ast.expr) -> Expression:
    inner = _expression(first)
    if not isinstance(listed, ast.List | ast.Tuple) or not listed.elts:
        raise ConfigError("'in' needs a list of values, such as [a, b]")
    options = []
    for node in listed.elts:
        option = _expression(node)
        if isinstance(option, Negative) and isinstance(option.inner, Constant):
            option = Constant(-float(option.inner.value))
        if not isinstance(option, Constant):
            raise ConfigError(f"'{written(option)}' is not a value that can stand in a list")
        options.append(_fitting(inner, option))
    return _member(inner, options, negated)


def _member(inner: Expression, options: list[Constant], negated: bool) -> Expression:
    """`in` a list, in one form: sorted, each once; `==` where there is one."""
    single = sorted(set(options), key=lambda option: (str(type(option.value)), option.value))
    if len(single) > 1:
        return Member(inner, tuple(single), negated)
    return _compared(inner, "!=" if negated else "==", single[0])


def _comparison(nodes: list[ast.expr], symbols: list[str | None]) -> Expression:
    if any(symbol not in COMPARISONS for symbol in symbols):
        raise ConfigError("'in' cannot be part of a chain; use 'and'")
    operands = [_expression(node) for node in nodes]
    known = [symbol for symbol in symbols if symbol is not None]
    for place, symbol in enumerate(known):
        left, right = operands[place], operands[place + 1]
        if symbol in ("==", "!="):
            if isinstance(right, Constant):
                operands[place + 1] = _fitting(left, right)
            elif isinstance(left, Constant):
                operands[place] = _fitting(right, left)
        _check_kinds(operands[place], symbol, operands[place + 1])
    if len(known) == 1:
        return _compared(operands[0], known[0], operands[1])
    return Comparison(tuple(operands), tuple(known))


def _compared(left: Expression, symbol: str, right: Expression) -> Expression:
    """A comparison of two; `x == true` is `x`."""
    if isinstance(left, Constant) and symbol in ("==", "!=") and not isinstance(right, Constant):
        left, right = right, left
    if isinstance(right, Constant) and isinstance(right.value, bool):
        return left if right.value == (symbol == "==") else _negated(left)
    return Comparison((left, right), (symbol,))


def _fitting(tree: Expression, value: Constant) -> Constant:
    """A value that a field is said to be equal to, as the field has it."""
    if not isinstance(tree, Read):
        _check_kinds(tree, "==", value)
        return value
    raw: Value = value.value
    if isinstance(raw, float) and raw.is_integer():
        raw = int(raw)
    return _checked(tree.path, raw)


def _check_kinds(left: Expression, symbol: str, right: Expression) -> None:
    for tree in (left, right):
        if _is_word(tree) and not any(isinstance(other, Read) for other in (left, right)):
            raise ConfigError(f"'{written(tree)}' is not a field{_hint(tree)}")
    if _kind(left) is not _kind(right):
        raise ConfigError(
            f"'{written(left)}' is {_NAMES[_kind(left)]} and '{written(right)}' "
            f"{_NAMES[_kind(right)]}; they cannot be compared"
        )
    if _kind(left) is not float and symbol not in ("==", "!="):
        raise ConfigError(
            f"'{symbol}' compares numbers; '{written(left)}' is {_NAMES[_kind(left)]}"
        )


def _is_word(tree: Expression) -> bool:
    return isinstance(tree, Constant) and isinstance(tree.value, str)


def _hint(tree: Expression) -> str:
    """Which field a word that fits nowhere may have been meant to be."""
    return nearest(written(tree), fields_of(Config)) if _is_word(tree) else ""


def _kind(tree: Expression) -> type:
    """`float`, `str` or `bool`."""
    match tree:
        case Read(path):
            wanted = fields_of(Config)[path][1]
            return wanted if wanted in (bool, str) else float
        case Constant(value):
            return type(value)
        case Negative() | Arithmetic():
            return float
    return bool
