"""Reading and changing a configuration by dotted path.

Works on any tree of dataclasses whose fields are declared as in `spaces.fields.declaration`.
Standard library only.
"""

import dataclasses
import difflib
import functools
import math
import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from spaces.fields.declaration import ConfigError, FieldInfo, Options, Value, sections_of

Tree = TypeVar("Tree")


def fields_of(kind: type) -> Mapping[str, tuple[FieldInfo, type]]:
    """Return every leaf field below a config dataclass: dotted path -> (its facts, its type)."""
    return _fields_of_class(kind)


@functools.cache
def _fields_of_class(kind: Any) -> dict[str, tuple[FieldInfo, type]]:
    return {path: (_with_choices(kind, info), wanted) for path, (info, wanted) in _leaves_of(kind)}


def _leaves_of(kind: type) -> list[tuple[str, tuple[FieldInfo, type]]]:
    leaves: list[tuple[str, tuple[FieldInfo, type]]] = []
    for field in dataclasses.fields(kind):
        if dataclasses.is_dataclass(field.type) and isinstance(field.type, type):
            leaves += [(f"{field.name}.{path}", leaf) for path, leaf in _leaves_of(field.type)]
        elif "info" in field.metadata:
            assert isinstance(field.type, type)
            leaves.append((field.name, (field.metadata["info"], field.type)))
    return leaves


def _with_choices(root: type, info: FieldInfo) -> FieldInfo:
    """Fill in the choices of a field that chooses among the kinds of a section."""
    if not info.kinds_in:
        return info
    try:
        return dataclasses.replace(info, choices=tuple(options_in(root, info.kinds_in)))
    except KeyError:  # the class is a part of a configuration, which has the section elsewhere
        return info


def section_at(kind: type, path: str) -> type:
    """Return the dataclass of the section at a path.

    Raises:
        KeyError: There is none.
    """
    for name in path.split("."):
        kind = sections_of(kind)[name]
    return kind


def options_in(kind: type, path: str) -> Mapping[str, type[Options]]:
    """Return the kinds of the section at a path, each with the class of its options.

    Raises:
        KeyError: There is no such section.
    """
    return _options_in_class(kind, path)


@functools.cache
def _options_in_class(kind: Any, path: str) -> dict[str, type[Options]]:
    inside = sections_of(section_at(kind, path))
    return {name: own for name, own in inside.items() if issubclass(own, Options)}


def default_of(kind: type) -> Any:
    """Return the configuration of a class with every field at its default."""
    return _default_of_class(kind)


@functools.cache
def _default_of_class(kind: Any) -> Any:
    return kind()


def did_you_mean(name: str, allowed: Iterable[str]) -> str:
    """Return `; did you mean 'x'?` for the closest allowed name, or an empty string."""
    matches = difflib.get_close_matches(name, list(allowed), n=1, cutoff=0.6)
    return f"; did you mean '{matches[0]}'?" if matches else ""


def symbol_of(kind: type, path: str) -> str:
    r"""Return the LaTeX symbol of a field, e.g. `\lambda_{ta}`; empty if it has none."""
    info, _ = _leaf_at(kind, path)
    if "%s" not in info.symbol:
        return info.symbol
    section = path.split(".")[-2]
    return info.symbol % "".join(part[0] for part in section.split("_"))


def check_value(kind: type, path: str, value: object) -> Value:
    """Return the value in the field's own type.

    Raises:
        ConfigError: No such field, wrong type, or out of bounds.
    """
    info, wanted = _leaf_at(kind, path)
    checked = _in_type(path, value, wanted)
    if info.choices and checked not in info.choices:
        allowed = ", ".join(map(str, info.choices))
        hint = did_you_mean(checked, info.choices) if isinstance(checked, str) else ""
        shown = f"'{checked}'" if isinstance(checked, str) else str(checked)
        raise ConfigError(f"'{path}' must be one of {allowed}, but got {shown}{hint}")
    if isinstance(checked, int | float) and not isinstance(checked, bool):
        _check_bounds(path, checked, info)
    return checked


def replace(tree: Tree, changes: Mapping[str, object]) -> Tree:
    """Return a copy of a config tree with some fields changed, each value checked.

    Raises:
        ConfigError: See `check_value`.
    """
    checked = {path: check_value(type(tree), path, value) for path, value in changes.items()}
    changed: Tree = _with_values(tree, checked)
    return changed


def _with_values(tree: Any, values: Mapping[str, Value]) -> Any:
    """Return a copy of a tree with these values, which are allowed."""
    direct: dict[str, Any] = {}
    inside: dict[str, dict[str, Value]] = {}
    for path, value in values.items():
        name, _, rest = path.partition(".")
        if rest:
            inside.setdefault(name, {})[rest] = value
        else:
            direct[name] = value
    for name, own in inside.items():
        direct[name] = _with_values(getattr(tree, name), own)
    return dataclasses.replace(tree, **direct) if direct else tree


def value_at(tree: Any, path: str) -> Value:
    """Return the value of one field.

    Raises:
        ConfigError: No such field.
    """
    _leaf_at(type(tree), path)
    value: Any = tree
    for name in path.split("."):
        value = getattr(value, name)
    assert isinstance(value, Value)
    return value


def flatten(tree: Any) -> dict[str, Value]:
    """Return every field and its value, in the order of the declarations."""
    kind: Any = type(tree)
    return {path: read(tree) for path, read in _field_readers(kind)}


def check_path(kind: type, path: str) -> None:
    """Check that a path names a field.

    Raises:
        ConfigError: It does not.
    """
    _leaf_at(kind, path)


def _leaf_at(kind: type, path: str) -> tuple[FieldInfo, type]:
    known = fields_of(kind)
    if path in known:
        return known[path]
    inside = [name for name in known if name.startswith(path + ".")]
    if inside:
        raise ConfigError(f"'{path}' is a group of fields; name one of {', '.join(inside)}")
    raise ConfigError(f"'{path}' is not a field{did_you_mean(path, known)}")


def _in_type(path: str, value: object, wanted: type) -> Value:
    if wanted is bool and isinstance(value, bool):
        return value
    if wanted is str and isinstance(value, str):
        return value
    # A bool is an int to Python, but `epochs: true` is a mistake; 40.0 is a whole number.
    if isinstance(value, int | float) and not isinstance(value, bool):
        number = _finite_float(value)
        if wanted is float and number is not None:
            return number
        if wanted is int and number is not None and number.is_integer():
            return int(value)
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "a word"}
    raise ConfigError(f"'{path}' must be {names[wanted]}, but got {value!r}")


def _finite_float(value: int | float) -> float | None:
    try:
        number = float(value)
    except OverflowError:  # a whole number with more than 308 digits
        return None
    return number if math.isfinite(number) else None


def _check_bounds(path: str, value: float, info: FieldInfo) -> None:
    low, high, above, below = info.minimum, info.maximum, info.above, info.below
    if (
        (low is not None and value < low)
        or (high is not None and value > high)
        or (above is not None and value <= above)
        or (below is not None and value >= below)
    ):
        left = f"({above:g}" if above is not None else f"[{low:g}" if low is not None else "(-inf"
        right = f"{below:g})" if below is not None else f"{high:g}]" if high is not None else "inf)"
        raise ConfigError(f"'{path}' must lie in {left}, {right}, but got {value!r}")


@functools.cache
def _field_readers(kind: Any) -> tuple[tuple[str, Callable[[Any], Value]], ...]:
    """Return every field of a class, with a function that reads it from a tree."""
    return tuple((path, operator.attrgetter(path)) for path in fields_of(kind))
