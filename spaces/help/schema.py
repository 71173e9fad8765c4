"""The JSON Schema of a study file, for completion and checks in an editor.

Made from the same declarations that `load_study` checks with: the fields of the configuration, with
those of its plugins, `StudyFields`, designs and domains. It knows the shape of a study. What
depends on several fields at once (an arm that makes no sense, a name that no design has) is left to
`triptych plan`. Draft 7, which the YAML language server knows best.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from spaces.abilities import Grouped
from spaces.core import Core
from spaces.designs import make_arms as designs
from spaces.designs.parse_designs import DESIGN_OPTIONS, DESIGNS, RESOLUTIONS, pair_options
from spaces.fields.help import Schema, value_schema
from spaces.fields.paths import default_of, fields_of, value_at
from spaces.help.values import describe_field, describe_study_field, metric_names, study_fields
from spaces.search_space.domains import DOMAIN_CLASSES, DOMAIN_OPTIONS
from spaces.search_space.parse_fields import SEARCH
from spaces.study_file.claims import FORMS, RELATIONS
from spaces.study_file.data_source import NAME
from spaces.syntax.constraints import LONGEST

DRAFT = "http://json-schema.org/draft-07/schema#"
WRITTEN_BY = "Written by `triptych schema`"
SEARCHABLE = {"integer": ("int", "choice"), "number": ("uniform", "log_uniform", "choice")}
_COMPONENT_DESIGNS = ("leave_one_out", "add_one_in", "factorial", "fractional", "path")


class _Definitions:
    """Named parts of a schema; what is the same is there once."""

    def __init__(self) -> None:
        self.parts: dict[str, Schema] = {}
        self._known: dict[str, Schema] = {}

    def add_part(self, name: str, schema: Schema) -> Schema:
        """Add a part, unless the same one is there under another name, and return its reference."""
        text = json.dumps(schema, sort_keys=True)
        if text not in self._known:
            self.parts[name] = schema
            self._known[text] = _reference_to(name)
        return self._known[text]


def study_schema(core: Core) -> Schema:
    """Return the JSON Schema of a study file of a core."""
    # The fields of the configuration are allowed at every level of their paths, below `base`,
    # `search`, every design and every component: so shared definitions, each written once.
    parts = _Definitions()
    paths = list(fields_of(core.config_class))
    values = {path: parts.add_part(f"value.{path}", _described_value(path, core)) for path in paths}
    parts.add_part("condition", _condition_schema(values))
    searched = {
        path: parts.add_part(f"domain.{path}", _searched_schema(parts, path, core))
        for path in paths
    }
    fixed = _fields_tree(parts, "fields", values)
    search = _fields_tree(parts, "search", searched)
    parts.add_part("fields", fixed)
    parts.add_part("search", search)
    changes = {SEARCH: {"description": "field -> domain, searched in this arm alone",
                        "allOf": [_reference_to("search")]}}  # fmt: skip
    parts.add_part("changes", {**fixed, "type": ["object", "null"],
                          "properties": {**fixed["properties"], **changes}})  # fmt: skip
    parts.add_part("component", _component_schema())
    parts.add_part("factors", _factors_schema(values))
    parts.add_part("design", _design_schema(core))
    parts.add_part("source", core.source_schema())
    return {
        "$schema": DRAFT,
        "$comment": f"{WRITTEN_BY}; write it again after an update of Triptych.",
        "title": "A study of Triptych",
        "type": "object",
        "properties": _study_properties(core),
        "required": [name for name, field in study_fields(core).items() if field.required],
        "additionalProperties": False,
        "definitions": parts.parts,
    }


def first_line(documented: Callable[..., Any]) -> str:
    """Return the first line of a docstring."""
    return (documented.__doc__ or "").strip().splitlines()[0]


def _study_properties(core: Core) -> Schema:
    fields = study_fields(core)
    rule = _reference_to("condition")
    rules = {"anyOf": [rule, _list_of(rule)]}
    point = {"allOf": [_reference_to("fields")], "minProperties": 1}
    shapes: dict[str, Schema] = {
        "data": _data_schema(),
        "plugins": _list_of({"type": "string", "pattern": r"\.py$"}),
        "base": {"allOf": [_reference_to("fields")]},
        "components": _named_mapping(_reference_to("component")),
        "search": {"allOf": [_reference_to("search")]},
        "start": {"anyOf": [point, _list_of(point)]},
        "constraints": rules,
        "exclude": rules,
        "arms": _list_of(_reference_to("design"), minItems=1),
        "margin": {
            "type": "object",
            "properties": {
                name: {"type": "number", "exclusiveMinimum": 0} for name in metric_names(core)
            },
            "additionalProperties": False,
        },
        "claims": _list_of(
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
    return {"description": describe_study_field(field), **default, **shape}


def _described_value(path: str, core: Core) -> Schema:
    info, kind = fields_of(core.config_class)[path]
    return {
        "description": describe_field(path, core),
        **value_schema(info, kind),
        "default": value_at(default_of(core.config_class), path),
    }


def _fields_tree(parts: _Definitions, name: str, leaves: Mapping[str, Schema]) -> Schema:
    """Return a mapping of fields: at every level dotted paths, groups, and any mixture of them."""
    groups = dict.fromkeys(path[:dot] for path in leaves for dot in _dot_positions(path))
    below: dict[str, Schema] = {}
    # The deepest groups first: those above refer to them.
    for group in sorted(groups, key=lambda group: -group.count(".")):
        inside = _paths_below(leaves, group) | _paths_below(below, group)
        below[group] = parts.add_part(f"{name}.{group}", _closed_mapping(inside))
    return _closed_mapping({**leaves, **below})


def _paths_below(known: Mapping[str, Schema], group: str) -> dict[str, Schema]:
    prefix = f"{group}."
    return {path.removeprefix(prefix): known[path] for path in known if path.startswith(prefix)}


def _dot_positions(path: str) -> list[int]:
    return [position for position, character in enumerate(path) if character == "."]


def _searched_schema(parts: _Definitions, path: str, core: Core) -> Schema:
    """Return the domains that a field can have."""
    info, kind = fields_of(core.config_class)[path]
    # Without its unit, many fields have the same domains and share one definition.
    value = {key: part for key, part in value_schema(info, kind).items() if key != "unit"}
    shared = parts.add_part(f"domain.of.{path}", _domain_schema(value))
    return {"description": describe_field(path, core), "allOf": [shared]}


def _domain_schema(value: Schema) -> Schema:
    allowed = SEARCHABLE.get(value["type"], ("choice",))
    properties: dict[str, Schema] = {}
    for name in allowed:
        items = value
        if name == "log_uniform" and not value.get("minimum", 0) > 0:
            items = {"exclusiveMinimum": 0, **value}  # a bound of the field's own stays
        many = {"uniqueItems": True} if name == "choice" else {"maxItems": 2}
        properties[name] = {
            "description": first_line(DOMAIN_CLASSES[name]),
            **_list_of(items, minItems=2, **many),
        }
    for name, shape in (
        ("step", {"type": value["type"], "exclusiveMinimum": 0}),
        ("log", {"type": "boolean"}),
        ("when", _reference_to("condition")),
    ):
        if any(name in DOMAIN_OPTIONS[kind] for kind in allowed):
            properties[name] = shape
    return {
        **_closed_mapping(properties),
        "oneOf": [{"required": [name]} for name in allowed],
        "dependencies": {
            name: _one_of([kind for kind in allowed if name in DOMAIN_OPTIONS[kind]])
            for name in ("step", "log")
            if name in properties
        },
    }


def _condition_schema(values: Mapping[str, Schema]) -> Schema:
    """Return a text, or fields with the value or the values that they must have."""
    return {
        "description": "a condition: {field: value or list of values}, or a text such as "
        "'model.text.width >= 2 * model.projection.width'",
        **_closed_mapping(
            {path: {"anyOf": [own, _list_of(own, minItems=1)]} for path, own in values.items()}
        ),
        "type": ["string", "object"],
        "minProperties": 1,
        "minLength": 1,
        "maxLength": LONGEST,
    }


def _component_schema() -> Schema:
    """Return changed fields; or both sides, `on` and `off`."""
    changes = _reference_to("changes")
    # `if` and not `anyOf`: a mistake is then reported in the form that was meant.
    return {
        "if": _has_only("on", "off"),
        "then": _closed_mapping({"on": changes, "off": changes}),
        "else": {"allOf": [changes], "type": "object", "minProperties": 1},
    }


def _factors_schema(values: Mapping[str, Schema]) -> Schema:
    """Return a field to a list of values, or a name to named alternatives."""
    alternatives = _named_mapping(_reference_to("changes"), minProperties=1)
    levels = {path: _list_of(own, minItems=1, uniqueItems=True) for path, own in values.items()}
    return {**_named_mapping(alternatives, minProperties=1), "properties": levels}


def _design_schema(core: Core) -> Schema:
    """Return an entry of `arms`: one design, and what may stand beside it."""
    rule, names = _reference_to("condition"), {"type": "string"}
    arm = _reference_to("changes")
    components = _named_mapping(_reference_to("component"), minProperties=1)
    chosen = {"anyOf": [components, _list_of(names, minItems=1, uniqueItems=True)]}
    ends = ("from", "to")
    inside = _list_of(_reference_to("design"), minItems=1)
    shapes: dict[str, Schema] = {
        "explicit": _named_mapping(arm),
        **dict.fromkeys(_COMPONENT_DESIGNS, chosen),
        "path": {
            "if": {**_has_only(*ends), "required": list(ends)},
            "then": _closed_mapping(
                {key: {"anyOf": [_reference_to("fields"), {"type": "null"}]} for key in ends}
            ),
            "else": chosen,
        },
        "one_at_a_time": _reference_to("factors"),
        "grid": _reference_to("factors"),
        "pairs": _pairs_schema(core),
        "product": inside,
        "union": inside,
    }
    beside: dict[str, Schema] = {
        "exclude": {"anyOf": [rule, _list_of(rule), {"type": "null"}]},
        "reference": {"type": "string", "minLength": 1},
        "resolution": {"anyOf": [{"enum": list(RESOLUTIONS)}, {"type": "integer", "minimum": 3}]},
        "order": _list_of(names, uniqueItems=True),
    }
    described = {
        name: {"description": meaning_of_design(name), "allOf": [shapes[name]]} for name in DESIGNS
    }
    return {
        **_closed_mapping({**described, **beside}),
        "oneOf": [{"required": [name]} for name in DESIGNS],
        "dependencies": {
            **{name: _one_of([design for design in DESIGNS if name in DESIGN_OPTIONS[design]])
               for name in beside if any(name not in DESIGN_OPTIONS[design] for design in DESIGNS)},
            "fractional": ["resolution"],
        },
    }  # fmt: skip


def meaning_of_design(name: str) -> str:
    """Describe what a design makes, in one line."""
    if name == "union":
        return "The arms of all designs inside."
    return first_line(getattr(designs, name))


def _pairs_schema(core: Core) -> Schema:
    if not isinstance(core, Grouped):
        return {"not": {}}
    inside = {
        name: _list_of({"enum": list(allowed)}, minItems=1, uniqueItems=True)
        for name, allowed in pair_options(core).items()
    }
    return {**_closed_mapping(inside), "type": ["object", "null"]}


def _data_schema() -> Schema:
    """Return one data set, or several under names."""
    sets = {
        "type": "object",
        "patternProperties": {f"^{NAME}$": _reference_to("source")},
        "additionalProperties": False,
        "minProperties": 1,
    }
    several = {**_closed_mapping({"sets": sets}), "required": ["sets"]}
    return {
        "if": {"type": "object", "required": ["sets"]},
        "then": several,
        "else": _reference_to("source"),
    }


def _closed_mapping(properties: Mapping[str, Schema]) -> Schema:
    return {"type": "object", "properties": dict(properties), "additionalProperties": False}


def _has_only(*names: str) -> Schema:
    """Return the test whether a mapping has these keys and no others."""
    return {"type": "object", "minProperties": 1, "propertyNames": {"enum": list(names)}}


def _named_mapping(inside: Schema, **more: int) -> Schema:
    """Return a mapping of names of the author's own."""
    return {"type": "object", "additionalProperties": inside, **more}


def _list_of(items: Schema, **more: int | bool) -> Schema:
    return {"type": "array", "items": items, **more}


def _one_of(names: Sequence[str]) -> Schema | list[str]:
    """Return a dependency: one of these has to be there too."""
    return {"anyOf": [{"required": [name]} for name in names]} if len(names) > 1 else list(names)


def _reference_to(name: str) -> Schema:
    return {"$ref": f"#/definitions/{name}"}
