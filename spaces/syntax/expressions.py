"""Expressions of conditions: a few nodes of Python's syntax tree, evaluated and written here.

A field is an `ast.Name` with its whole dotted path; words, numbers (always floats), true and false
are an `ast.Constant`. Python never executes the tree.
"""

import ast
import math
import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from spaces.fields.declaration import Value

# How strongly an operator binds, from the weakest on.
_OR, _AND, _NOT, _COMPARE, _SUM, _PRODUCT, _SIGN, _ATOM = range(8)
# Operator -> how strongly it binds, its sign, and what it does with the values of its operands.
OPERATORS: dict[type[ast.AST], tuple[int, str, Callable[..., Any]]] = {
    ast.Or: (_OR, "or", any),
    ast.And: (_AND, "and", all),
    ast.Not: (_NOT, "not ", operator.not_),
    ast.Lt: (_COMPARE, "<", operator.lt),
    ast.LtE: (_COMPARE, "<=", operator.le),
    ast.Gt: (_COMPARE, ">", operator.gt),
    ast.GtE: (_COMPARE, ">=", operator.ge),
    ast.Eq: (_COMPARE, "==", operator.eq),
    ast.NotEq: (_COMPARE, "!=", operator.ne),
    ast.In: (_COMPARE, "in", lambda value, options: value in options),
    ast.NotIn: (_COMPARE, "not in", lambda value, options: value not in options),
    ast.Add: (_SUM, "+", operator.add),
    ast.Sub: (_SUM, "-", operator.sub),
    ast.Mult: (_PRODUCT, "*", operator.mul),
    ast.Div: (_PRODUCT, "/", operator.truediv),
    ast.USub: (_SIGN, "-", operator.neg),
}
# Words that would be read back as something else; they are written in quotes.
_KEYWORDS = frozenset({"and", "or", "not", "in", "is", "if", "true", "false", "True", "False"})


def evaluate(tree: ast.expr, values: Mapping[str, Value]) -> Any:
    """Return the value of an expression where the fields have these values.

    As in Python, what decides nothing any more is not evaluated: `false and 1 / 0 > 2`.

    Raises:
        ArithmeticError: A division by zero, or a number too large to be one.
    """
    match tree:
        case ast.Constant(value):
            return value
        case ast.Name(path):
            read = values[path]
            return read if isinstance(read, bool | str) else float(read)
        case ast.List(options):
            return [evaluate(option, values) for option in options]
        case ast.UnaryOp(sign, inner):
            return OPERATORS[type(sign)][2](evaluate(inner, values))
        case ast.BoolOp(sign, parts):
            return OPERATORS[type(sign)][2](evaluate(part, values) for part in parts)
        case ast.BinOp(left, sign, right):
            result = OPERATORS[type(sign)][2](evaluate(left, values), evaluate(right, values))
            # Python raises for 1 / 0, but quietly makes an infinity of 1e300 * 1e300.
            if not math.isfinite(result):
                raise OverflowError(f"{result} is no number")
            return result
        case ast.Compare(first, signs, others):
            before = evaluate(first, values)
            for comparison, other in zip(signs, others, strict=True):
                after = evaluate(other, values)
                if not OPERATORS[type(comparison)][2](before, after):
                    return False
                before = after
            return True
    raise AssertionError(f"{type(tree).__name__} is no part of a condition")


def paths_of(tree: ast.AST) -> Iterator[str]:
    """Yield the fields that an expression reads, in the order of its text."""
    if isinstance(tree, ast.Name):
        yield tree.id
    for inside in ast.iter_child_nodes(tree):
        yield from paths_of(inside)


def write_expression(tree: ast.expr, around: int = _OR) -> str:
    """Return an expression as text, with no more brackets than it needs.

    Args:
        tree: The expression.
        around: How strongly the operator around it binds; what binds less stands in brackets.
    """
    # Not by `ast.unparse`: it writes `a and (not b)`, `2.0` and words in quotes, and this text is
    # part of the keys of finished cells.
    match tree:
        case ast.Name(path):
            return path
        case ast.List(options):
            return f"[{', '.join(write_expression(option) for option in options)}]"
        case ast.UnaryOp(sign, inner):
            own, symbol, _ = OPERATORS[type(sign)]
            text = symbol + write_expression(inner, own)
        case ast.BoolOp(sign, parts):
            own, symbol, _ = OPERATORS[type(sign)]
            text = f" {symbol} ".join(write_expression(part, own + 1) for part in parts)
        case ast.BinOp(left, sign, right):
            own, symbol, _ = OPERATORS[type(sign)]
            text = f"{write_expression(left, own)} {symbol} {write_expression(right, own + 1)}"
        case ast.Compare(first, signs, others):
            own, text = _COMPARE, write_expression(first, _SUM)
            for comparison, other in zip(signs, others, strict=True):
                text += f" {OPERATORS[type(comparison)][1]} {write_expression(other, _SUM)}"
        case ast.Constant(bool() as value):
            return str(value).lower()
        case ast.Constant(str() as value):
            if value.isascii() and value.isidentifier() and value not in _KEYWORDS:
                return value
            return f'"{value}"' if "'" in value else f"'{value}'"
        case ast.Constant(float() as value):
            return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
        case _:
            raise AssertionError(f"{type(tree).__name__} is no part of a condition")
    return f"({text})" if own < around else text
