"""Reading and changing a configuration by dotted path, and which of its fields mean anything.

Works on any tree of the dataclasses of `msa_core.config`. Standard library only.
"""

import dataclasses
import difflib
import functools
import math
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from msa_core.config import LABEL_SCHEMES, MODALITIES, PAIRS, Config, ConfigError, FieldInfo

MOST_FUSED = 2**20  # entries of a tensor-product fusion: a head of 64 units then has 256 MiB
Value = bool | int | float | str
Tree = TypeVar("Tree")


@functools.cache
def fields_of(kind: type) -> dict[str, tuple[FieldInfo, type]]:
    """Every leaf field below a config dataclass: dotted path -> (what is known of it, its type)."""
    leaves: dict[str, tuple[FieldInfo, type]] = {}
    for field in dataclasses.fields(kind):
        if dataclasses.is_dataclass(field.type) and isinstance(field.type, type):
            for path, leaf in fields_of(field.type).items():
                leaves[f"{field.name}.{path}"] = leaf
        else:
            assert isinstance(field.type, type)
            leaves[field.name] = (field.metadata["info"], field.type)
    return leaves


def nearest(name: str, allowed: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the closest allowed name, or an empty string."""
    matches = difflib.get_close_matches(name, list(allowed), n=1, cutoff=0.6)
    return f"; did you mean '{matches[0]}'?" if matches else ""


def symbol_of(path: str) -> str:
    r"""LaTeX symbol of a field of `Config`, e.g. `\lambda_{ta}`; empty if it has none."""
    info, _ = _leaf(Config, path)
    if "%s" not in info.symbol:
        return info.symbol
    section = path.split(".")[-2]
    return info.symbol % "".join(part[0] for part in section.split("_"))


def check_value(kind: type, path: str, value: object) -> Value:
    """The value in the field's own type.

    Raises:
        ConfigError: no such field, wrong type, or out of bounds.
    """
    info, wanted = _leaf(kind, path)
    checked = _in_type(path, value, wanted)
    if isinstance(checked, str) and info.choices and checked not in info.choices:
        allowed = ", ".join(info.choices)
        hint = nearest(checked, info.choices)
        raise ConfigError(f"'{path}' must be one of {allowed}, but got '{checked}'{hint}")
    if isinstance(checked, int | float) and not isinstance(checked, bool):
        _check_bounds(path, checked, info)
    return checked


def replace(tree: Tree, changes: Mapping[str, object]) -> Tree:
    """A copy of a config tree with some fields changed, each value checked.

    Raises:
        ConfigError: see `check_value`.
    """
    for path, value in changes.items():
        tree = _set(tree, path.split("."), check_value(type(tree), path, value))
    return tree


def get(tree: Any, path: str) -> Value:
    """The value of one field.

    Raises:
        ConfigError: no such field.
    """
    _leaf(type(tree), path)
    value: Value = functools.reduce(getattr, path.split("."), tree)
    return value


def flatten(tree: Any) -> dict[str, Value]:
    """Every field and its value, in the order of the declarations."""
    kind: type = type(tree)
    return {path: get(tree, path) for path in fields_of(kind)}


def resolve(config: Config) -> dict[str, Value]:
    """The fields that mean something, with their values.

    Two configurations that resolve alike train alike. A field of something switched off
    (an absent modality, a pair whose mode is off) is absent here, and so in every record.
    """
    return {path: value for path, value in flatten(config).items() if is_active(config, path)}


def is_active(config: Config, path: str) -> bool:
    """Whether changing this field could change a training of this configuration."""
    _leaf(Config, path)
    match path.split("."):
        case ["model", modality, name] if modality in MODALITIES:
            return name == "use" or _used(config, modality)
        case ["loss", "alignment", pair, name]:
            return _pair_field_is_active(config, pair, name)
        case ["loss", "unimodal", modality, _] if modality in MODALITIES:
            return config.loss.unimodal.kind != "none" and _used(config, modality)
        case ["loss", "unimodal", "width"]:
            return config.loss.unimodal.kind != "none"
        case ["loss", "unimodal", "target"]:
            return config.loss.unimodal.kind == "fixed"
    return True


def restrict(config: Config, modalities: Iterable[str]) -> Config:
    """The configuration on data that has only these modalities: the others are switched off."""
    present = set(modalities)
    absent = {f"model.{name}.use": False for name in MODALITIES if name not in present}
    return replace(config, absent)


def check_config(config: Config, scheme: str) -> None:
    """What no single field can say: rules between fields.

    Raises:
        ConfigError: no modality left, a fused vector too wide to train, or a monitor that is no
            metric of the label scheme.
    """
    if not any(_used(config, modality) for modality in MODALITIES):
        raise ConfigError("every modality is switched off; keep at least one 'model.*.use: true'")
    _check_fused_width(config)
    metrics = LABEL_SCHEMES[scheme].metrics
    if config.train.monitor not in metrics:
        raise ConfigError(
            f"'train.monitor' must be a metric of the '{scheme}' labels ({', '.join(metrics)}), "
            f"but got '{config.train.monitor}'{nearest(config.train.monitor, metrics)}"
        )


def fused_entries(config: Config) -> int:
    """Width of the fused vector."""
    width = config.model.projection.width
    modalities = sum(_used(config, modality) for modality in MODALITIES)
    match config.model.fusion.kind:
        case "tfn":
            return int((width + 1) ** modalities)
        case "sum":
            return width
    return width * modalities


def _check_fused_width(config: Config) -> None:
    width = config.model.projection.width
    modalities = sum(_used(config, modality) for modality in MODALITIES)
    fused = fused_entries(config)
    if config.model.fusion.kind == "tfn" and fused > MOST_FUSED:
        fitting = int(MOST_FUSED ** (1 / modalities)) - 1
        raise ConfigError(
            f"'model.fusion.kind: tfn' multiplies {modalities} modalities to {fused:,} entries, "
            f"more than {MOST_FUSED:,}; lower 'model.projection.width' from {width} to {fitting}"
        )


def _used(config: Config, modality: str) -> bool:
    return bool(getattr(config.model, modality).use)


def _pair_field_is_active(config: Config, pair: str, name: str) -> bool:
    if not all(_used(config, modality) for modality in PAIRS[pair]):
        return False
    mode = getattr(config.loss.alignment, pair).mode
    return name == "mode" or (mode != "off" and (name != "margin" or mode == "private"))


def _leaf(kind: type, path: str) -> tuple[FieldInfo, type]:
    known = fields_of(kind)
    if path in known:
        return known[path]
    inside = [name for name in known if name.startswith(path + ".")]
    if inside:
        raise ConfigError(f"'{path}' is a group of fields; name one of {', '.join(inside)}")
    raise ConfigError(f"'{path}' is not a field{nearest(path, known)}")


def _in_type(path: str, value: object, wanted: type) -> Value:
    if wanted is bool and isinstance(value, bool):
        return value
    if wanted is str and isinstance(value, str):
        return value
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


def _set(tree: Any, names: list[str], value: Value) -> Any:
    head, *rest = names
    changed = _set(getattr(tree, head), rest, value) if rest else value
    return dataclasses.replace(tree, **{head: changed})
