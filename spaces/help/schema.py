"""The JSON Schema of a study file, for completion and checks in an editor.

Made from the same declarations that `load_study` checks with: the fields of the configuration, with
those of the plugins in use, `StudyFields`, designs and domains. It knows the shape of a study. What
depends on several fields at once (an arm that makes no sense, a name that no design has) is left to
`triptych plan`. Draft 7, which the YAML language server knows best.
"""

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msa_core.config.fields import PAIRS
from msa_core.config.kinds import kinds
from msa_core.config.paths import fields_of, flatten, get
from msa_core.config.planted import WORLDS
from msa_core.config.schema import LABEL_SCHEMES, Config, PlantedConfig
from spaces.designs import designs
from spaces.designs.parse import BESIDE, DESIGNS, PAIR_MODES, RESOLUTIONS
from spaces.help.values import (
    METRICS,
    Schema,
    described,
    described_as,
    described_study_field,
    study_fields,
    value_schema,
)
from spaces.search_space import domains
from spaces.search_space.config_fields import SEARCH
from spaces.study_file.claims import FORMS, RELATIONS
from spaces.study_file.data_source import NAME
from spaces.syntax.constraints import LONGEST

DRAFT = "http://json-schema.org/draft-07/schema#"
OURS = "Written by `triptych schema`"
DOMAIN_CLASSES = {
    "uniform": domains.Uniform,
    "log_uniform": domains.LogUniform,
    "int": domains.Int,
    "choice": domains.Choice,
}
"""How a study file calls each domain."""
SEARCHABLE = {"integer": ("int", "choice"), "number": ("uniform", "log_uniform", "choice")}
_OF_NAMES = ("leave_one_out", "add_one_in", "factorial", "fractional", "path")


class _Definitions:
    """Named parts of a schema; what is the same is there once."""

    def __init__(self) -> None:
        self.parts: dict[str, Schema] = {}
        self._known: dict[str, Schema] = {}

    def add(self, name: str, schema: Schema) -> Schema:
        """A reference to a part."""
        text = json.dumps(schema, sort_keys=True)
        if text not in self._known:
            self.parts[name] = schema
            self._known[text] = _reference(name)
        return self._known[text]


def study_schema() -> Schema:
    """The JSON Schema of a study file, with the kinds that this process has."""
    parts = _Definitions()
    paths = list(fields_of(Config))
    values = {path: parts.add(f"value.{path}", _value(path)) for path in paths}
    parts.add("condition", _condition(values))
    searched = {path: parts.add(f"domain.{path}", _searched(parts, path)) for path in paths}
    fixed = _tree(parts, "fields", values)
    search = _tree(parts, "search", searched)
    parts.add("fields", fixed)
    parts.add("search", search)
    changes = {SEARCH: {"description": "field -> domain, searched in this arm alone",
                        "allOf": [_reference("search")]}}  # fmt: skip
    parts.add("changes", {**fixed, "type": ["object", "null"],
                          "properties": {**fixed["properties"], **changes}})  # fmt: skip
    parts.add("component", _component())
    parts.add("factors", _factors(values))
    parts.add("design", _design())
    parts.add("source", _source())
    return {
        "$schema": DRAFT,
        "$comment": f"{OURS}; write it again after an update of Triptych.",
        "title": "A study of Triptych",
        "type": "object",
        "properties": _study(parts),
        "required": [name for name, field in study_fields().items() if field.required],
        "additionalProperties": False,
        "definitions": parts.parts,
    }


def first_line(documented: Callable[..., Any]) -> str:
    """The first line of a docstring."""
    return (documented.__doc__ or "").strip().splitlines()[0]


def stands_beside(domain: str) -> list[str]:
    """What may stand beside a domain in its mapping."""
    names = [field.name for field in dataclasses.fields(DOMAIN_CLASSES[domain])]
    return [name for name in names if name in ("step", "log", "when")]


def _study(parts: _Definitions) -> Schema:
    fields = study_fields()
    rule = _reference("condition")
    rules = {"anyOf": [rule, _list(rule)]}
    point = {"allOf": [_reference("fields")], "minProperties": 1}
    shapes: dict[str, Schema] = {
        "data": _data(),
        "plugins": _list({"type": "string", "pattern": r"\.py$"}),
        "base": {"allOf": [_reference("fields")]},
        "components": _named(_reference("component")),
        "search": {"allOf": [_reference("search")]},
        "start": {"anyOf": [point, _list(point)]},
        "constraints": rules,
        "exclude": rules,
        "arms": _list(_reference("design"), minItems=1),
        "margin": {
            "type": "object",
            "properties": {name: {"type": "number", "exclusiveMinimum": 0} for name in METRICS},
            "additionalProperties": False,
        },
        "claims": _list(
            {
                "type": "string",
                "description": FORMS,
                "pattern": rf"\sis\s+({'|'.join(RELATIONS)})(\s|$)",
            }
        ),
        "budget": {
            "type": "object",
            "properties": {
                name.removeprefix("budget."): _of_study(fields[name], fields[name].schema)
                for name in fields
                if name.startswith("budget.")
            },
            "additionalProperties": False,
        },
    }
    return {
        name: _of_study(field, shapes.get(name, field.schema))
        for name, field in fields.items()
        if "." not in name
    }


def _of_study(field: Any, shape: Schema) -> Schema:
    default = {} if field.default is None or field.required else {"default": field.default}
    return {"description": described_study_field(field), **default, **shape}


def _value(path: str) -> Schema:
    info, kind = fields_of(Config)[path]
    return {
        "description": described(path),
        **value_schema(info, kind),
        "default": get(Config(), path),
    }


def _tree(parts: _Definitions, name: str, leaves: Mapping[str, Schema]) -> Schema:
    """A mapping of fields: at every level dotted paths, groups, and any mixture of them."""
    groups = dict.fromkeys(path[:place] for path in leaves for place in _dots(path))
    below: dict[str, Schema] = {}
    for group in sorted(groups, key=lambda group: -group.count(".")):
        inside = _below(leaves, group) | _below(below, group)
        below[group] = parts.add(f"{name}.{group}", _mapping(inside))
    return _mapping({**leaves, **below})


def _below(known: Mapping[str, Schema], group: str) -> dict[str, Schema]:
    prefix = f"{group}."
    return {path.removeprefix(prefix): known[path] for path in known if path.startswith(prefix)}


def _dots(path: str) -> list[int]:
    return [place for place, character in enumerate(path) if character == "."]


def _searched(parts: _Definitions, path: str) -> Schema:
    """The domains that a field can have."""
    info, kind = fields_of(Config)[path]
    value = {name: said for name, said in value_schema(info, kind).items() if name != "unit"}
    shared = parts.add(f"domain.of.{path}", _domain(value))
    return {"description": described(path), "allOf": [shared]}


def _domain(value: Schema) -> Schema:
    allowed = SEARCHABLE.get(value["type"], ("choice",))
    properties: dict[str, Schema] = {}
    for name in allowed:
        items = value
        if name == "log_uniform" and not value.get("minimum", 0) > 0:
            items = {"exclusiveMinimum": 0, **value}  # a bound of the field's own stays
        many = {"uniqueItems": True} if name == "choice" else {"maxItems": 2}
        properties[name] = {
            "description": first_line(DOMAIN_CLASSES[name]),
            **_list(items, minItems=2, **many),
        }
    for name, shape in (
        ("step", {"type": value["type"], "exclusiveMinimum": 0}),
        ("log", {"type": "boolean"}),
        ("when", _reference("condition")),
    ):
        if any(name in stands_beside(kind) for kind in allowed):
            properties[name] = shape
    return {
        **_mapping(properties),
        "oneOf": [{"required": [name]} for name in allowed],
        "dependencies": {
            name: _one_of([kind for kind in allowed if name in stands_beside(kind)])
            for name in ("step", "log")
            if name in properties
        },
    }


def _condition(values: Mapping[str, Schema]) -> Schema:
    """A text, or fields with the value or the values that they must have."""
    return {
        "description": "a condition: {field: value or list of values}, or a text such as "
        "'model.text.width >= 2 * model.projection.width'",
        **_mapping(
            {path: {"anyOf": [own, _list(own, minItems=1)]} for path, own in values.items()}
        ),
        "type": ["string", "object"],
        "minProperties": 1,
        "minLength": 1,
        "maxLength": LONGEST,
    }


def _component() -> Schema:
    """Changed fields; or both sides, `on` and `off`."""
    changes = _reference("changes")
    return {
        "if": _has_only("on", "off"),
        "then": _mapping({"on": changes, "off": changes}),
        "else": {"allOf": [changes], "type": "object", "minProperties": 1},
    }


def _factors(values: Mapping[str, Schema]) -> Schema:
    """A field to a list of values, or a name to named alternatives."""
    alternatives = _named(_reference("changes"), minProperties=1)
    levels = {path: _list(own, minItems=1, uniqueItems=True) for path, own in values.items()}
    return {**_named(alternatives, minProperties=1), "properties": levels}


def _design() -> Schema:
    """An entry of `arms`: one design, and what may stand beside it."""
    rule, names = _reference("condition"), {"type": "string"}
    arm = _reference("changes")
    components = _named(_reference("component"), minProperties=1)
    chosen = {"anyOf": [components, _list(names, minItems=1, uniqueItems=True)]}
    ends = ("from", "to")
    inside = _list(_reference("design"), minItems=1)
    shapes: dict[str, Schema] = {
        "explicit": _named(arm),
        **dict.fromkeys(_OF_NAMES, chosen),
        "path": {
            "if": {**_has_only(*ends), "required": list(ends)},
            "then": _mapping(
                {key: {"anyOf": [_reference("fields"), {"type": "null"}]} for key in ends}
            ),
            "else": chosen,
        },
        "one_at_a_time": _reference("factors"),
        "grid": _reference("factors"),
        "pairs": _pairs(),
        "product": inside,
        "union": inside,
    }
    beside: dict[str, Schema] = {
        "exclude": {"anyOf": [rule, _list(rule), {"type": "null"}]},
        "reference": {"type": "string", "minLength": 1},
        "resolution": {"anyOf": [{"enum": list(RESOLUTIONS)}, {"type": "integer", "minimum": 3}]},
        "order": _list(names, uniqueItems=True),
    }
    said = {
        name: {"description": meaning_of_design(name), "allOf": [shapes[name]]} for name in DESIGNS
    }
    return {
        **_mapping({**said, **beside}),
        "oneOf": [{"required": [name]} for name in DESIGNS],
        "dependencies": {
            **{name: _one_of([design for design in DESIGNS if name in BESIDE[design]])
               for name in beside if any(name not in BESIDE[design] for design in DESIGNS)},
            "fractional": ["resolution"],
        },
    }  # fmt: skip


def meaning_of_design(name: str) -> str:
    """What a design makes, in a line."""
    if name == "union":
        return "The arms of all designs inside."
    return first_line(getattr(designs, name))


def _pairs() -> Schema:
    known = {"modes": PAIR_MODES, "measures": kinds("alignment"), "pairs": tuple(PAIRS)}
    inside = {
        name: _list({"enum": list(allowed)}, minItems=1, uniqueItems=True)
        for name, allowed in known.items()
    }
    return {**_mapping(inside), "type": ["object", "null"]}


def _source() -> Schema:
    """One data set."""
    planted = {
        name: {"description": described_as(info, kind, default), **value_schema(info, kind)}
        for (name, (info, kind)), default in zip(
            fields_of(PlantedConfig).items(), flatten(PlantedConfig()).values(), strict=True
        )
    }
    world = {"description": "a recipe that the settings beside it change",
             "enum": [*WORLDS, None]}  # fmt: skip
    inside: dict[str, Schema] = {
        "file": {"description": "a feature file", "type": ["string", "null"]},
        "labels": {"description": "-3 to 3, or -1 to 1", "enum": list(LABEL_SCHEMES)},
        "text_model": {
            "description": "folder of a language model that makes the text features",
            "type": ["string", "null"],
        },
        "planted": {
            "description": "generated data with a known answer (docs/planted.md)",
            **_mapping({"world": world, **planted}),
            "type": ["object", "null"],
        },
    }
    alone = {"not": {"anyOf": [{"required": ["file"]}, {"required": ["text_model"]}]},
             "properties": {"labels": {"const": "mosi"}}}  # fmt: skip
    return {**_mapping(inside), "type": ["string", "object"], "dependencies": {"planted": alone}}


def _data() -> Schema:
    """One data set, or several under names."""
    sets = {
        "type": "object",
        "patternProperties": {f"^{NAME}$": _reference("source")},
        "additionalProperties": False,
        "minProperties": 1,
    }
    several = {**_mapping({"sets": sets}), "required": ["sets"]}
    return {
        "if": {"type": "object", "required": ["sets"]},
        "then": several,
        "else": _reference("source"),
    }


def _mapping(properties: Mapping[str, Schema]) -> Schema:
    return {"type": "object", "properties": dict(properties), "additionalProperties": False}


def _has_only(*names: str) -> Schema:
    """The test whether a mapping has these keys and no others."""
    return {"type": "object", "minProperties": 1, "propertyNames": {"enum": list(names)}}


def _named(inside: Schema, **more: int) -> Schema:
    """A mapping of names of the author's own."""
    return {"type": "object", "additionalProperties": inside, **more}


def _list(items: Schema, **more: int | bool) -> Schema:
    return {"type": "array", "items": items, **more}


def _one_of(names: Sequence[str]) -> Schema | list[str]:
    """A dependency: one of these has to be there too."""
    return {"anyOf": [{"required": [name]} for name in names]} if len(names) > 1 else list(names)


def _reference(name: str) -> Schema:
    return {"$ref": f"#/definitions/{name}"}
