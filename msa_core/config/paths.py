"""Reading and changing a configuration by dotted path.

Works on any tree of the dataclasses of `msa_core.config.schema`. Standard library only.
"""

import dataclasses
import difflib
import functools
import math
import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from msa_core.config.kinds import (
    FAMILIES,
    added_kinds,
    is_added,
    kind_of_path,
    kinds_of,
    options_class,
    with_values,
)
from msa_core.config.schema import Config, ConfigError, FieldInfo

Value = bool | int | float | str
Tree = TypeVar("Tree")


def fields_of(kind: type) -> dict[str, tuple[FieldInfo, type]]:
    """Return every leaf field below a config dataclass: dotted path -> (its facts, its type).

    Those of `Config` include the options of a study's own modules.
    """
    # The added kinds are part of the cache's key: another study's plugins are other fields.
    return _fields_with(kind, tuple(added_kinds()) if kind is Config else ())


@functools.cache
def _fields_with(kind: type, added: tuple[Any, ...]) -> dict[str, tuple[FieldInfo, type]]:
    leaves: dict[str, tuple[FieldInfo, type]] = {}
    for field in dataclasses.fields(kind):
        if dataclasses.is_dataclass(field.type) and isinstance(field.type, type):
            for path, leaf in fields_of(field.type).items():
                leaves[f"{field.name}.{path}"] = leaf
        elif "info" in field.metadata:
            assert isinstance(field.type, type)
            leaves[field.name] = (field.metadata["info"], field.type)
    # Plugins' options last: what Triptych declares keeps its order in tables and records.
    for family, name, options in added:
        for path, leaf in fields_of(options).items():
            leaves[f"{FAMILIES[family].section}.{name}.{path}"] = leaf
    return {path: (_with_choices(info), wanted) for path, (info, wanted) in leaves.items()}


def _with_choices(info: FieldInfo) -> FieldInfo:
    return dataclasses.replace(info, choices=kinds_of(info.family)) if info.family else info


def did_you_mean(name: str, allowed: Iterable[str]) -> str:
    """Return `; did you mean 'x'?` for the closest allowed name, or an empty string."""
    matches = difflib.get_close_matches(name, list(allowed), n=1, cutoff=0.6)
    return f"; did you mean '{matches[0]}'?" if matches else ""


def symbol_of(path: str) -> str:
    r"""Return the LaTeX symbol of a field, e.g. `\lambda_{ta}`; empty if it has none."""
    info, _ = _leaf_at(Config, path)
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
    if isinstance(checked, str) and info.choices and checked not in info.choices:
        allowed = ", ".join(info.choices)
        hint = did_you_mean(checked, info.choices)
        raise ConfigError(f"'{path}' must be one of {allowed}, but got '{checked}'{hint}")
    if isinstance(checked, int | float) and not isinstance(checked, bool):
        _check_bounds(path, checked, info)
    return checked


def replace(tree: Tree, changes: Mapping[str, object]) -> Tree:
    """Return a copy of a config tree with some fields changed, each value checked.

    Raises:
        ConfigError: See `check_value`.
    """
    checked = {path: check_value(type(tree), path, value) for path, value in changes.items()}
    own = {path: value for path, value in checked.items() if not _is_added(tree, path)}
    changed: Tree = with_values(tree, own)
    for path, value in checked.items():
        if path not in own:
            changed = _set_added(changed, path, value)
    return changed


def value_at(tree: Any, path: str) -> Value:
    """Return the value of one field.

    Raises:
        ConfigError: No such field.
    """
    _leaf_at(type(tree), path)
    if _is_added(tree, path):
        added: dict[str, Value] = dict(tree.plugins)
        return added.get(path, _added_default(path))
    return _read_path(tree, path)


def flatten(tree: Any) -> dict[str, Value]:
    """Return every field and its value, in the order of the declarations."""
    kind: type = type(tree)
    values = {path: read(tree) for path, read in _field_readers(kind)}
    if isinstance(tree, Config):
        values.update(
            (path, value_at(tree, path)) for path in fields_of(Config) if path not in values
        )
    return values


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
    low, high, above = info.minimum, info.maximum, info.above
    if (
        (low is not None and value < low)
        or (high is not None and value > high)
        or (above is not None and value <= above)
    ):
        left = f"({above:g}" if above is not None else f"[{low:g}" if low is not None else "(-inf"
        right = f"{high:g}]" if high is not None else "inf)"
        raise ConfigError(f"'{path}' must lie in {left}, {right}, but got {value!r}")


def _read_path(tree: Any, path: str) -> Value:
    value: Any = tree
    for name in path.split("."):
        value = getattr(value, name)
    assert isinstance(value, Value)
    return value


@functools.cache
def _field_readers(kind: type) -> tuple[tuple[str, Callable[[Any], Value]], ...]:
    """Return every field that the classes declare, with a function that reads it from a tree."""
    return tuple((path, operator.attrgetter(path)) for path in _fields_with(kind, ()))


def _is_added(tree: Any, path: str) -> bool:
    """Check whether a path is an option of a study's own module."""
    option = kind_of_path(path)
    return isinstance(tree, Config) and option is not None and is_added(*option[:2])


def _added_default(path: str) -> Value:
    option = kind_of_path(path)
    assert option is not None
    family, kind, name = option
    return _read_path(options_class(family, kind)(), name)


def _set_added(tree: Any, path: str, value: Value) -> Any:
    # An option at its default is left out, so that configurations that mean the same are equal.
    kept = {name: known for name, known in tree.plugins if name != path}
    if value != _added_default(path):
        kept[path] = value
    return dataclasses.replace(tree, plugins=tuple(sorted(kept.items())))
