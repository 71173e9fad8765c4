"""What a condition is made of: a small tree of frozen values that can be read and written.

Nothing here executes text. Numbers are compared and added up as floats.
"""

import math
import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from msa_core.config.paths import Value

ARITHMETIC = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}
COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
_KEYWORDS = frozenset({"and", "or", "not", "in", "is", "if", "true", "false", "True", "False"})
_OR, _AND, _NOT, _COMPARE, _SUM, _PRODUCT, _SIGN, _ATOM = range(8)


class Undefined(ArithmeticError):
    """A division by zero, or a number too large to be one."""


@dataclass(frozen=True, slots=True)
class Constant:
    """A number, a word, or true or false."""

    value: float | str | bool


@dataclass(frozen=True, slots=True)
class Read:
    """The value of a field."""

    path: str


@dataclass(frozen=True, slots=True)
class Negative:
    """`-x`."""

    inner: "Expression"


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """`left + right` and the like."""

    symbol: str
    left: "Expression"
    right: "Expression"


@dataclass(frozen=True, slots=True)
class Comparison:
    """`first < second <= third`: symbols between neighbouring operands."""

    operands: tuple["Expression", ...]
    symbols: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Member:
    """`inner in [a, b]`, or `not in`."""

    inner: "Expression"
    options: tuple[Constant, ...]
    negated: bool


@dataclass(frozen=True, slots=True)
class Not:
    """`not inner`."""

    inner: "Expression"


@dataclass(frozen=True, slots=True)
class Every:
    """`a and b and c`."""

    parts: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class Some:
    """`a or b or c`."""

    parts: tuple["Expression", ...]


Expression = Constant | Read | Negative | Arithmetic | Comparison | Member | Not | Every | Some


def evaluate(tree: Expression, values: Mapping[str, Value]) -> Value:
    """The value of an expression where the fields have these values.

    As in Python, what decides nothing any more is not looked at: `false and 1 / 0 > 2`.

    Raises:
        Undefined: a division by zero, or a number too large to be one.
    """
    match tree:
        case Constant(value):
            return value
        case Read(path):
            read = values[path]
            return read if isinstance(read, bool | str) else float(read)
        case Negative(inner):
            return -float(evaluate(inner, values))
        case Arithmetic(symbol, left, right):
            return _calculated(symbol, evaluate(left, values), evaluate(right, values))
        case Comparison(operands, symbols):
            before = evaluate(operands[0], values)
            for symbol, operand in zip(symbols, operands[1:], strict=True):
                after = evaluate(operand, values)
                if not COMPARISONS[symbol](before, after):
                    return False
                before = after
            return True
        case Member(inner, options, negated):
            is_in = evaluate(inner, values) in [option.value for option in options]
            return is_in != negated
        case Not(inner):
            return not evaluate(inner, values)
        case Every(parts):
            return all(bool(evaluate(part, values)) for part in parts)
        case Some(parts):
            return any(bool(evaluate(part, values)) for part in parts)


def paths_of(tree: Expression) -> Iterator[str]:
    """The fields that an expression reads, in the order of its text."""
    match tree:
        case Read(path):
            yield path
        case Negative(inner) | Not(inner) | Member(inner, _, _):
            yield from paths_of(inner)
        case Arithmetic(_, left, right):
            yield from paths_of(left)
            yield from paths_of(right)
        case Comparison(parts, _) | Every(parts) | Some(parts):
            for part in parts:
                yield from paths_of(part)


def written(tree: Expression) -> str:
    """An expression as text, with no more brackets than it needs."""
    return _written(tree, _OR)


def _calculated(symbol: str, left: Value, right: Value) -> float:
    try:
        result = float(ARITHMETIC[symbol](left, right))
    except (ZeroDivisionError, OverflowError):
        raise Undefined(symbol) from None
    if not math.isfinite(result):
        raise Undefined(symbol)
    return result


def _written(tree: Expression, level: int) -> str:
    """Text of a part, in brackets if it binds less than what stands around it."""
    own, text = _text(tree)
    return f"({text})" if own < level else text


def _text(tree: Expression) -> tuple[int, str]:
    """How strongly a part binds, and its text."""
    match tree:
        case Constant(value):
            return _ATOM, _constant(value)
        case Read(path):
            return _ATOM, path
        case Negative(inner):
            return _SIGN, f"-{_written(inner, _SIGN)}"
        case Arithmetic(symbol, left, right):
            level = _SUM if symbol in "+-" else _PRODUCT
            return level, f"{_written(left, level)} {symbol} {_written(right, level + 1)}"
        case Comparison(operands, symbols):
            first, *others = (_written(operand, _SUM) for operand in operands)
            pairs = zip(symbols, others, strict=True)
            return _COMPARE, " ".join([first, *(f"{symbol} {other}" for symbol, other in pairs)])
        case Member(inner, options, negated):
            listed = ", ".join(_constant(option.value) for option in options)
            word = "not in" if negated else "in"
            return _COMPARE, f"{_written(inner, _SUM)} {word} [{listed}]"
        case Not(inner):
            return _NOT, f"not {_written(inner, _NOT)}"
        case Every(parts):
            return _AND, " and ".join(_written(part, _NOT) for part in parts)
        case Some(parts):
            return _OR, " or ".join(_written(part, _AND) for part in parts)


def _constant(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        if value.isascii() and value.isidentifier() and value not in _KEYWORDS:
            return value
        return f'"{value}"' if "'" in value else f"'{value}'"
    whole = float(value).is_integer() and abs(value) < 1e15
    return str(int(value)) if whole else repr(float(value))
