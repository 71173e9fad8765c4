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
from typing import Any

from spaces.fields.declaration import ConfigError, Value
from spaces.fields.paths import check_path, check_value, did_you_mean, fields_of, value_at
from spaces.syntax.expressions import OPERATORS, evaluate, paths_of, write_expression

LONGEST = 2000  # characters of a text
MOST_WORDS = 400  # words, numbers and signs of a text
DEEPEST = 40  # parts inside parts
LARGEST = 1e18  # largest number

_TOKEN = re.compile(
    r"\s*(?:(?P<name>[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*)"
    r"|(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)"
    r"|(?P<string>'[^'\\]*'|\"[^\"\\]*\")"
    r"|(?P<symbol><=|>=|==|!=|\*\*|//|[<>()+\-*/,\[\]=])"
    r"|(?P<stranger>\S))"
)
_WORDS = frozenset({"and", "or", "not", "in", "True", "False"})
_OPPOSITE: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.GtE, ast.LtE: ast.Gt, ast.Gt: ast.LtE, ast.GtE: ast.Lt,
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
_NAMES: dict[type, str] = {float: "a number", str: "a word", bool: "true or false"}
_WANTED: dict[type, str] = {float: "a number", bool: "a condition"}


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition on a configuration.

    Attributes:
        text: The condition as a person writes it, in one form: equal conditions have equal texts.
        paths: Fields that it reads.
        tree: Expression that is evaluated.
    """

    text: str
    paths: tuple[str, ...]
    tree: ast.expr = field(repr=False, compare=False)

    def holds(self, config: Any) -> bool:
        """Check whether a configuration satisfies it; one that makes it divide by 0 does not."""
        return self.holds_for({path: value_at(config, path) for path in self.paths})

    def holds_for(self, values: Mapping[str, Value]) -> bool:
        """Check whether values of the fields that it reads satisfy it; others may be there too."""
        # Caught here and not further down: `not 1 / 0 > 2` must not hold either.
        try:
            return bool(evaluate(self.tree, values))
        except ArithmeticError:
            return False


def parse_condition(config_class: type, raw: object) -> Condition:
    """Parse a condition from its study file form.

    Args:
        config_class: Class of the configurations whose fields it reads.
        raw: Field -> value or list of values, all of which must hold; or a text.

    Raises:
        ConfigError: Neither, not in the language, no such field, or values that don't fit.
    """
    if isinstance(raw, Mapping):
        tree = _parse_mapping(config_class, raw)
    elif not isinstance(raw, str):
        raise ConfigError(
            "a condition is a mapping such as {model.fusion.kind: lmf} or a text such as "
            f"'model.text.width >= 16', but got {_shorten_value(raw)}"
        )
    try:
        if isinstance(raw, str):
            tree = _parse_text(config_class, raw)
        text = write_expression(tree)
        # It can be longer than the text that was read, and must be readable again.
        _split_words(text)
    except ConfigError as error:
        raise ConfigError(f"the condition {_shorten_value(raw)}: {error}") from None
    paths = tuple(dict.fromkeys(paths_of(tree)))
    if not paths:
        raise ConfigError(f"the condition {_shorten_value(raw)} reads no field")
    return Condition(text, paths, tree)


def _shorten_value(raw: object) -> str:
    text = repr(raw[:80] if isinstance(raw, str) else raw)
    return text if len(text) <= 84 else f"{text[:80]}..."


def _parse_mapping(config_class: type, raw: Mapping[object, object]) -> ast.expr:
    if not raw:
        raise ConfigError("a condition needs at least one field")
    parts = []
    for path, wanted in sorted(raw.items(), key=lambda item: str(item[0])):
        if not isinstance(path, str) or not path.isprintable():
            raise ConfigError(f"{_shorten_value(path)} is not a field")
        check_path(config_class, path)
        values = wanted if isinstance(wanted, list | tuple) else [wanted]
        if not values:
            raise ConfigError(f"'{path}' has no value that it may have")
        options = [_check_option(config_class, path, value) for value in values]
        parts.append(_build_membership(ast.Name(path), ast.In, options))
    return parts[0] if len(parts) == 1 else ast.BoolOp(ast.And(), parts)


def _check_option(config_class: type, path: str, value: object) -> ast.Constant:
    """Return a value that a field can have."""
    # The language has no escapes: a word may hold one kind of quote and no backslash.
    fits = not isinstance(value, str) or re.fullmatch(r"[^'\\]*|[^\"\\]*", value)
    if not fits or not str(value).isprintable():
        raise ConfigError(f"'{path}': {_shorten_value(value)} cannot stand in a condition")
    checked = check_value(config_class, path, value)
    return ast.Constant(checked if isinstance(checked, bool | str) else float(checked))


def _parse_text(config_class: type, raw: str) -> ast.expr:
    # Its own words, a blank between each: so nothing reaches the parser that isn't known here.
    words = _split_words(raw)
    try:
        node = ast.parse(" ".join(words), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        message = "cannot be read; it needs a form such as 'model.text.width >= 16'"
        raise ConfigError(message) from None
    _check_depth(node)
    return _parse_operand(config_class, node, bool)


def _split_words(raw: str) -> list[str]:
    if len(raw) > LONGEST:
        raise ConfigError(f"is {len(raw)} characters long; at most {LONGEST} are allowed")
    words: list[str] = []
    kind = None
    for found in _TOKEN.finditer(raw):
        follows_string, kind = kind == "string", found.lastgroup
        word = found[kind or 0]
        _check_word(word, kind, follows_string)
        words.append({"true": "True", "false": "False"}.get(word, word))
    if not words:
        raise ConfigError("is empty")
    if len(words) > MOST_WORDS:
        raise ConfigError(f"has {len(words)} parts; at most {MOST_WORDS} are allowed")
    depth = 0
    for word in words:
        depth += (word in "([") - (word in ")]")
        if depth > DEEPEST:
            raise ConfigError(f"has more than {DEEPEST} brackets inside one another")
    return words


def _check_word(word: str, kind: str | None, follows_string: bool) -> None:
    if kind == "stranger":
        raise ConfigError(f"{word!r} is not allowed in it")
    if word == "=":
        raise ConfigError("'=' is not allowed in it; to compare write '=='")
    if word in ("**", "//"):
        raise ConfigError(f"'{word}' is not allowed in it; use + - * /")
    if kind == "name" and any(iskeyword(part) for part in word.split(".")) and word not in _WORDS:
        raise ConfigError(f"'{word}' is not allowed in it; as a word write it in quotes")
    # Python would join two strings that stand side by side.
    if kind == "string" and (follows_string or not word.isprintable()):
        raise ConfigError(f"{word!r} is not allowed there")
    if kind == "number" and (len(word) > 40 or not float(word) <= LARGEST):
        raise ConfigError(f"the number {word[:20]} is too large or too long")


def _check_depth(node: ast.expr) -> None:
    """Refuse a deep tree, level by level: what follows goes into it recursively."""
    level: list[ast.AST] = [node]
    for _ in range(3 * DEEPEST):
        level = [inside for above in level for inside in ast.iter_child_nodes(above)]
        if not level:
            return
    raise ConfigError(f"has more than {DEEPEST} parts inside one another")


def _parse_operand(config_class: type, node: ast.expr, wanted: type) -> ast.expr:
    tree = _parse_node(config_class, node)
    if (kind := _kind_of(config_class, tree)) is not wanted:
        text = write_expression(tree)
        raise ConfigError(
            f"'{text}' is {_NAMES[kind]}, not {_WANTED[wanted]}{_suggest_field(config_class, tree)}"
        )
    return tree


def _parse_node(config_class: type, node: ast.expr) -> ast.expr:
    """Rebuild a node of Python's parser in the one form that its meaning has here."""
    match node:
        case ast.BoolOp(word, values):
            parts: list[ast.expr] = []
            for part in (_parse_operand(config_class, value, bool) for value in values):
                if isinstance(part, ast.BoolOp) and isinstance(part.op, type(word)):
                    parts += part.values
                else:
                    parts.append(part)
            return ast.BoolOp(word, parts)
        case ast.UnaryOp(ast.Not(), inner):
            return _negate(_parse_operand(config_class, inner, bool))
        case ast.UnaryOp(ast.UAdd(), inner):
            return _parse_operand(config_class, inner, float)
        case ast.UnaryOp(ast.USub() as sign, inner):
            tree = _parse_operand(config_class, inner, float)
            return tree.operand if isinstance(tree, ast.UnaryOp) else ast.UnaryOp(sign, tree)
        case ast.BinOp(left, sign, right) if type(sign) in OPERATORS:
            return ast.BinOp(
                _parse_operand(config_class, left, float),
                sign,
                _parse_operand(config_class, right, float),
            )
        case ast.Compare(first, [ast.In() | ast.NotIn() as sign], [listed]):
            return _parse_membership(config_class, first, type(sign), listed)
        case ast.Compare(first, signs, others):
            return _parse_comparison(config_class, [first, *others], signs)
        case ast.Constant(bool() | str()):
            return node
        case ast.Constant(int() | float() as value):
            return ast.Constant(float(value))
        case ast.Name() | ast.Attribute():
            # A field, or a word that a field may be compared with.
            name = ast.unparse(node)
            if name in fields_of(config_class):
                return ast.Name(name)
            if "." in name:
                check_path(config_class, name)
            return ast.Constant(name)
    raise ConfigError(f"'{ast.unparse(node)[:40]}' is not allowed there")


def _negate(tree: ast.expr) -> ast.expr:
    match tree:
        case ast.UnaryOp(ast.Not(), inner):
            return inner
        case ast.Constant(value):
            return ast.Constant(not value)
        # Not of a chain: the opposite of `1 < x < 2` is no chain.
        case ast.Compare(left, [sign], [right]):
            return ast.Compare(left, [_OPPOSITE[type(sign)]()], [right])
    return ast.UnaryOp(ast.Not(), tree)


def _parse_membership(
    config_class: type, first: ast.expr, sign: type[ast.cmpop], listed: ast.expr
) -> ast.expr:
    inner = _parse_node(config_class, first)
    if not isinstance(listed, ast.List | ast.Tuple) or not listed.elts:
        raise ConfigError("'in' needs a list of values, such as [a, b]")
    options = []
    for node in listed.elts:
        option = _parse_node(config_class, node)
        match option:
            case ast.UnaryOp(ast.USub(), ast.Constant(float() as value)):
                option = ast.Constant(-value)
        if not isinstance(option, ast.Constant):
            raise ConfigError(
                f"'{write_expression(option)}' is not a value that can stand in a list"
            )
        options.append(_fit_constant(config_class, inner, option))
    return _build_membership(inner, sign, options)


def _build_membership(
    inner: ast.expr, sign: type[ast.cmpop], options: list[ast.Constant]
) -> ast.expr:
    """Build `in` a list in one form: sorted, each once; `==` where there is one."""
    values: set[Any] = {option.value for option in options}
    single: list[ast.expr] = [ast.Constant(value) for value in sorted(values)]
    if len(single) > 1:
        return ast.Compare(inner, [sign()], [ast.List(single)])
    return _build_comparison(inner, ast.Eq() if sign is ast.In else ast.NotEq(), single[0])


def _parse_comparison(
    config_class: type, nodes: list[ast.expr], signs: list[ast.cmpop]
) -> ast.expr:
    if any(isinstance(sign, ast.In | ast.NotIn) for sign in signs):
        raise ConfigError("'in' cannot be part of a chain; use 'and'")
    operands = [_parse_node(config_class, node) for node in nodes]
    for position, sign in enumerate(signs):
        left, right = operands[position], operands[position + 1]
        if isinstance(sign, ast.Eq | ast.NotEq):
            if isinstance(right, ast.Constant):
                right = operands[position + 1] = _fit_constant(config_class, left, right)
            elif isinstance(left, ast.Constant):
                left = operands[position] = _fit_constant(config_class, right, left)
        _check_kinds(config_class, left, sign, right)
    if len(signs) == 1:
        return _build_comparison(operands[0], signs[0], operands[1])
    return ast.Compare(operands[0], signs, operands[1:])


def _build_comparison(left: ast.expr, sign: ast.cmpop, right: ast.expr) -> ast.expr:
    """Build a comparison of two, the constant last; `x == true` is `x`."""
    equality = isinstance(sign, ast.Eq | ast.NotEq)
    if isinstance(left, ast.Constant) and equality and not isinstance(right, ast.Constant):
        left, right = right, left
    if isinstance(right, ast.Constant) and isinstance(right.value, bool):
        return left if right.value == isinstance(sign, ast.Eq) else _negate(left)
    return ast.Compare(left, [sign], [right])


def _fit_constant(config_class: type, tree: ast.expr, value: ast.Constant) -> ast.Constant:
    """Return a constant that is compared with a field, in the type that the field has."""
    if not isinstance(tree, ast.Name):
        _check_kinds(config_class, tree, ast.Eq(), value)
        return value
    raw = value.value
    return _check_option(
        config_class, tree.id, int(raw) if type(raw) is float and raw.is_integer() else raw
    )


def _check_kinds(config_class: type, left: ast.expr, sign: ast.cmpop, right: ast.expr) -> None:
    kind, other_kind = _kind_of(config_class, left), _kind_of(config_class, right)
    for tree, beside in ((left, right), (right, left)):
        if _is_word(tree) and not isinstance(beside, ast.Name):
            raise ConfigError(
                f"'{write_expression(tree)}' is not a field{_suggest_field(config_class, tree)}"
            )
    if kind is not other_kind:
        raise ConfigError(
            f"'{write_expression(left)}' is {_NAMES[kind]} and '{write_expression(right)}' "
            f"{_NAMES[other_kind]}; they cannot be compared"
        )
    if kind is not float and not isinstance(sign, ast.Eq | ast.NotEq):
        _, symbol, _ = OPERATORS[type(sign)]
        raise ConfigError(
            f"'{symbol}' compares numbers; '{write_expression(left)}' is {_NAMES[kind]}"
        )


def _is_word(tree: ast.expr) -> bool:
    return isinstance(tree, ast.Constant) and isinstance(tree.value, str)


def _suggest_field(config_class: type, tree: ast.expr) -> str:
    """Return which field a word that fits nowhere may have been meant to be."""
    return did_you_mean(write_expression(tree), fields_of(config_class)) if _is_word(tree) else ""


def _kind_of(config_class: type, tree: ast.expr) -> type:
    """Return `float`, `str` or `bool`."""
    match tree:
        case ast.Name(path):
            wanted = fields_of(config_class)[path][1]
            return wanted if wanted in (bool, str) else float
        case ast.Constant(value):
            return type(value)
        case ast.UnaryOp(ast.USub()) | ast.BinOp():
            return float
    return bool
