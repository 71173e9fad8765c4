"""The fields of a user's training: of a dataclass, pydantic model, attrs class or signature."""

import dataclasses
import enum
import inspect
import sys
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from search.cores.child.field_types import MISSING, Allowed, check_default, read_annotation
from search.cores.child.field_words import Words, words_of_class, words_of_function
from search.cores.child.user_errors import CodeMistake

FORMS = (
    "write def train(config: Config, run) with a dataclass Config, or def train(width=64, *, run)"
)
RESERVED = ("search",)  # key of a row of a table that is no field
RUN = "run"  # name of the parameter that gets the run object
CONFIG = "Config"  # class that an annotation may leave out


@dataclass(frozen=True, slots=True)
class RawField:
    """A field as it was declared.

    Attributes:
        annotation: Annotation; None = there is none.
        default: Default; `MISSING` = it has none.
        extras: Bounds and words, as they would stand in `Annotated`.
    """

    annotation: Any
    default: Any
    extras: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Leaf:
    """A field of a configuration."""

    allowed: Allowed
    default: Any
    meaning: str


@dataclass(frozen=True, slots=True)
class Section:
    """A class of fields.

    Attributes:
        kind: The user's class; None = keyword arguments.
        inside: Name -> field, or section.
    """

    kind: type | None
    inside: Mapping[str, "Leaf | Section"]


@dataclass(frozen=True, slots=True)
class ConfigDescription:
    """The configuration of a training function.

    Attributes:
        root: Its fields.
        run: Parameter that gets the run object; empty = none.
    """

    root: Section
    run: str

    def to_plain(self) -> dict[str, Any]:
        """Return what another process needs to know: a tree of plain values."""
        return _plain_section(self.root)


def describe_config(train: Callable[..., Any]) -> ConfigDescription:
    """Describe the configuration of a training function.

    Raises:
        CodeMistake: Its fields can't be read.
    """
    words = words_of_function(train)
    line = words.get("", Words()).line
    parameters = inspect.signature(train).parameters
    for one in parameters.values():
        if one.kind in (one.VAR_POSITIONAL, one.VAR_KEYWORD):
            raise CodeMistake(f"train takes *{one.name}, which names no fields; {FORMS}", line)
    own = {name: one for name, one in parameters.items() if name != RUN}
    hints = _hints_of(train, line)
    if own and (kind := _config_class(train, next(iter(own.values())), hints)):
        others = list(own)[1:]
        if len(others) > 1 or (others and RUN in parameters):
            raise CodeMistake(f"train has the parameters {', '.join(parameters)}; {FORMS}", line)
        run = RUN if RUN in parameters else (others or [""])[0]
        return ConfigDescription(root=_section_of(kind, "", ()), run=run)
    if not own:
        raise CodeMistake(f"train has no fields that a study could change; {FORMS}", line)
    raw = {
        name: RawField(hints.get(name), MISSING if one.default is one.empty else one.default)
        for name, one in own.items()
    }
    if all(one.default is MISSING and one.annotation is None for one in raw.values()):
        raise CodeMistake(f"which fields does '{next(iter(own))}' of train have? {FORMS}", line)
    root = Section(None, _read_fields(raw, words, "", ()))
    return ConfigDescription(root=root, run=RUN if RUN in parameters else "")


def build_config(
    description: ConfigDescription, values: Mapping[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments of the training function that these values make.

    Raises:
        Exception: The user's class does not allow them.
    """
    made = _build_inside(description.root, values, "")
    kind = description.root.kind
    return ((kind(**made),), {}) if kind else ((), made)


def values_of(description: ConfigDescription, arguments: Sequence[Any]) -> dict[str, Any]:
    """Return the values of a configuration object, by path; empty without one."""
    return dict(_iterate_values(description.root, arguments[0], "")) if arguments else {}


def _build_inside(section: Section, values: Mapping[str, Any], path: str) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, one in section.inside.items():
        if isinstance(one, Section):
            assert one.kind is not None
            made[name] = one.kind(**_build_inside(one, values, f"{path}{name}."))
        else:
            value = values[f"{path}{name}"]
            made[name] = one.allowed.members.get(value, value)
    return made


def _iterate_values(section: Section, config: Any, path: str) -> Iterator[tuple[str, Any]]:
    for name, one in section.inside.items():
        value = getattr(config, name)
        if isinstance(one, Section):
            yield from _iterate_values(one, value, f"{path}{name}.")
        else:
            yield f"{path}{name}", value


def _plain_section(section: Section) -> dict[str, Any]:
    return {name: _plain_part(one) for name, one in section.inside.items()}


def _plain_part(one: "Leaf | Section") -> dict[str, Any]:
    if isinstance(one, Section):
        return {"section": _plain_section(one)}
    return {
        "kind": one.allowed.kind,
        "default": one.default,
        "meaning": one.meaning,
        "choices": list(one.allowed.choices),
        "bounds": dict(one.allowed.bounds),
    }


def _hints_of(thing: Any, line: int) -> dict[str, Any]:
    try:
        return typing.get_type_hints(thing, include_extras=True)
    except NameError as error:
        raise CodeMistake(f"an annotation can't be read: {error}", line) from None


def _config_class(
    train: Callable[..., Any], first: inspect.Parameter, hints: Mapping[str, Any]
) -> type | None:
    """Return the class of fields that the first parameter takes, if it does."""
    kind = hints.get(first.name)
    if kind is None and first.default is first.empty:
        kind = getattr(sys.modules.get(train.__module__), CONFIG, None)
    return kind if is_config_class(kind) else None


def is_config_class(kind: Any) -> bool:
    """Check whether something is a dataclass, a pydantic model or an attrs class."""
    return isinstance(kind, type) and (
        dataclasses.is_dataclass(kind)
        or hasattr(kind, "__attrs_attrs__")
        or hasattr(kind, "model_fields")
    )


def _section_of(kind: type, path: str, above: tuple[type, ...]) -> Section:
    words = words_of_class(kind)
    if kind in above:
        raise CodeMistake(f"'{kind.__name__}' has itself as a field")
    line = min((one.line for one in words.values()), default=0)
    return Section(kind, _read_fields(_raw_fields(kind, line), words, path, (*above, kind)))


def _read_fields(
    raw: Mapping[str, RawField], words: Mapping[str, Words], path: str, above: tuple[type, ...]
) -> dict[str, "Leaf | Section"]:
    found: dict[str, Leaf | Section] = {}
    for name, one in raw.items():
        own = words.get(name, Words())
        if not path and name in RESERVED:
            raise CodeMistake(f"a field can't be called '{name}'; rename it", own.line)
        inside = _nested_class(one)
        if inside is not None:
            found[name] = _section_of(inside, f"{path}{name}.", above)
            continue
        try:
            found[name] = _read_leaf(name, one, own)
        except CodeMistake as mistake:
            raise CodeMistake(f"field '{path}{name}' {mistake}", own.line) from None
    return found


def _read_leaf(name: str, raw: RawField, words: Words) -> Leaf:
    if raw.default is MISSING:
        kind = getattr(raw.annotation, "__name__", "")
        example = {"int": "64", "float": "1e-3", "bool": "True", "str": "'none'"}.get(kind, "...")
        raise CodeMistake(
            "has no default, and the reference row of the table needs one; write "
            f"{name}: {kind or 'int'} = {example}"
        )
    allowed = read_annotation(raw.annotation, raw.default, raw.extras)
    return Leaf(
        allowed=allowed,
        default=check_default(raw.default, allowed),
        meaning=allowed.meaning or words.meaning,
    )


def _nested_class(raw: RawField) -> type | None:
    kind = raw.annotation
    while typing.get_origin(kind) is typing.Annotated:
        kind = typing.get_args(kind)[0]
    if kind is None and raw.default is not MISSING and not isinstance(raw.default, enum.Enum):
        kind = type(raw.default)
    return kind if is_config_class(kind) else None


# How each kind of class declares its fields.


def _raw_fields(kind: type, line: int) -> dict[str, RawField]:
    if hasattr(kind, "model_fields"):
        return dict(_pydantic_fields(kind))
    hints = _hints_of(kind, line)
    if hasattr(kind, "__attrs_attrs__"):
        return dict(_attrs_fields(kind, hints))
    return dict(_dataclass_fields(kind, hints))


def _dataclass_fields(kind: Any, hints: Mapping[str, Any]) -> Iterator[tuple[str, RawField]]:
    for one in dataclasses.fields(kind):
        if not one.init:
            continue
        default = one.default
        if default is dataclasses.MISSING:
            made = one.default_factory is not dataclasses.MISSING
            default = one.default_factory() if made else MISSING  # type: ignore[operator]
        help_text = one.metadata.get("help")
        yield one.name, RawField(hints[one.name], default, (help_text,) if help_text else ())


def _pydantic_fields(kind: Any) -> Iterator[tuple[str, RawField]]:
    for name, one in kind.model_fields.items():
        default = MISSING if one.is_required() else one.get_default(call_default_factory=True)
        extras = (*one.metadata, *([one.description] if one.description else ()))
        yield name, RawField(one.annotation, default, extras)


def _attrs_fields(kind: Any, hints: Mapping[str, Any]) -> Iterator[tuple[str, RawField]]:
    for one in kind.__attrs_attrs__:
        if not one.init:
            continue
        default = one.default
        if type(default).__name__ == "Factory":
            default = default.factory()
        elif repr(default) == "NOTHING":
            default = MISSING
        yield one.name.lstrip("_"), RawField(hints.get(one.name), default, _limits_of(one))


def _limits_of(attribute: Any) -> tuple[Any, ...]:
    """Return the bounds in the validators of an attrs attribute."""
    validator = attribute.validator
    parts = getattr(validator, "_validators", (validator,))
    signs = {">": "gt", ">=": "ge", "<": "lt", "<=": "le"}
    return tuple(
        type("Bound", (), {signs[one.compare_op]: one.bound})
        for one in parts
        if getattr(one, "compare_op", "") in signs
    )
