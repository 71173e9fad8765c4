"""What an annotation of the user's allows: a type, bounds, choices, and words about it."""

import enum
import math
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from search.cores.child.user_errors import CodeMistake

KINDS: Mapping[type, str] = {bool: "bool", int: "int", float: "float", str: "str"}
MISSING = object()  # default of a field that has none
BOUNDS = {"gt": "above", "ge": "minimum", "lt": "below", "le": "maximum"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Allowed:
    """The values that a field allows.

    Attributes:
        kind: Type of a value: `bool`, `int`, `float` or `str`.
        choices: Allowed values; empty = any of the type.
        bounds: `above`, `minimum`, `below`, `maximum` -> number.
        meaning: Words in the annotation.
        members: Value -> member of the user's enumeration.
    """

    kind: str
    choices: tuple[Any, ...] = ()
    bounds: Mapping[str, float] = field(default_factory=dict)
    meaning: str = ""
    members: Mapping[Any, Any] = field(default_factory=dict)


def read_annotation(annotation: Any, default: Any, extras: Iterable[Any] = ()) -> Allowed:
    """Return what an annotation allows.

    Args:
        annotation: Annotation; None = there is none, and the default's type counts.
        default: Default of the field.
        extras: Bounds and words that stand elsewhere, as they would in `Annotated`.

    Raises:
        CodeMistake: A type that no study file can hold; the message begins with what it is.
    """
    notes = list(extras)
    while typing.get_origin(annotation) is typing.Annotated:
        annotation, *more = typing.get_args(annotation)
        notes += more
    allowed = _read_type(type(default) if annotation is None else annotation)
    meanings = [note for note in notes if isinstance(note, str)]
    bounds = dict(allowed.bounds)
    for note in _flat_notes(notes):
        meanings += [note.description] if isinstance(getattr(note, "description", 0), str) else []
        for name, ours in BOUNDS.items():
            value = getattr(note, name, None)
            if isinstance(value, int | float):
                bounds[ours] = value
    return replace(allowed, bounds=bounds, meaning=" ".join(" ".join(meanings).split()))


def check_default(value: Any, allowed: Allowed) -> Any:
    """Return a default in the type of its field.

    Raises:
        CodeMistake: The field does not allow it.
    """
    if isinstance(value, enum.Enum):
        value = next((plain for plain, one in allowed.members.items() if one is value), value)
    if allowed.kind == "float" and type(value) is int:
        value = float(value)
    if type(value).__name__ != allowed.kind:
        raise CodeMistake(f"has the default {value!r}, which is no {allowed.kind}")
    if isinstance(value, float) and not math.isfinite(value):
        raise CodeMistake(f"has the default {value!r}; a default must be finite")
    if allowed.choices and value not in allowed.choices:
        raise CodeMistake(f"has the default {value!r}, which is none of {list(allowed.choices)}")
    for name, bound in allowed.bounds.items():
        if not _is_within(value, name, bound):
            raise CodeMistake(f"has the default {value!r}, but its {name} is {bound!r}")
    return value


def _is_within(value: float, name: str, bound: float) -> bool:
    checks = {
        "above": value > bound,
        "minimum": value >= bound,
        "below": value < bound,
        "maximum": value <= bound,
    }
    return checks[name]


def _flat_notes(notes: Iterable[Any]) -> Iterable[Any]:
    """Yield notes, and those inside pydantic's `Field(...)`."""
    for note in notes:
        yield note
        inside = getattr(note, "metadata", ())
        yield from inside if isinstance(inside, list | tuple) else ()


def _read_type(annotation: Any) -> Allowed:
    if annotation in KINDS:
        return Allowed(kind=KINDS[annotation])
    if typing.get_origin(annotation) is typing.Literal:
        return _of_choices({value: value for value in typing.get_args(annotation)})
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        plain = all(type(one.value) in KINDS for one in annotation)
        return _of_choices({(one.value if plain else one.name): one for one in annotation})
    if annotation is type(None) or type(None) in typing.get_args(annotation):
        raise CodeMistake(
            "can be None, which no table shows; give it a value of its type that means the same, "
            "such as 0 or 'none'"
        )
    name = getattr(annotation, "__name__", str(annotation))
    if isinstance(annotation, types.GenericAlias):
        name = str(annotation)
    raise CodeMistake(
        f"is of type {name}; a field is a bool, int, float, str, Literal or Enum, or a dataclass "
        "of such"
    )


def _of_choices(members: Mapping[Any, Any]) -> Allowed:
    kinds = {type(value) for value in members}
    if kinds == {int, float}:
        members = {float(value): one for value, one in members.items()}
        kinds = {float}
    if len(kinds) != 1 or not kinds <= set(KINDS):
        raise CodeMistake(f"has choices of several types: {list(members)}; give it one")
    own = members if any(value is not one for value, one in members.items()) else {}
    return Allowed(kind=KINDS[kinds.pop()], choices=tuple(members), members=own)
