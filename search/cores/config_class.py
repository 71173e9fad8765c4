"""The configuration class of a core of functions, made from the description of its fields."""

import dataclasses
import functools
import json
from collections.abc import Mapping
from typing import Any

from spaces.fields import declaration as declare
from spaces.fields.declaration import Value
from spaces.fields.paths import flatten, replace

KINDS: Mapping[str, type] = {"bool": bool, "int": int, "float": float, "str": str}


class MadeConfig:
    """The base of such classes, which are pickled as their description and their values."""

    __slots__ = ()
    description: str

    def __reduce__(self) -> tuple[Any, ...]:
        """Name what `_restore_config` makes the same from."""
        return _restore_config, (self.description, flatten(self))


def make_config_class(fields: Mapping[str, Any]) -> type:
    """Make the class; equal descriptions give the same one.

    Args:
        fields: Plain tree of fields (`child.config_fields.ConfigDescription.to_plain`).
    """
    return _class_of(json.dumps(fields))


@functools.cache
def _class_of(description: str) -> type:
    made = _make_section(json.loads(description), "Config", (MadeConfig,))
    made.description = description  # type: ignore[attr-defined]
    return made


def _make_section(fields: Mapping[str, Any], name: str, bases: tuple[type, ...] = ()) -> type:
    members: list[Any] = []
    for own, described in fields.items():
        if "section" in described:
            kind = _make_section(described["section"], own)
            members.append((own, kind, declare.section(kind)))
        else:
            members.append((own, KINDS[described["kind"]], _declare_field(own, described)))
    return dataclasses.make_dataclass(
        name, members, bases=bases, frozen=True, kw_only=True,
        namespace={"__module__": __name__},
    )  # fmt: skip


def _declare_field(name: str, described: Mapping[str, Any]) -> Any:
    label = name.replace("_", " ")
    return declare.field(
        described["default"],
        described["meaning"] or label,
        label,
        choices=tuple(described["choices"]),
        **described["bounds"],
    )


def _restore_config(description: str, values: Mapping[str, Value]) -> Any:
    return replace(_class_of(description)(), values)
