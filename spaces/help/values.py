"""Values that a field may have: as JSON Schema for editors, and in words for a person."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from msa_core.config.paths import Value, fields_of, value_at
from msa_core.config.schema import LABEL_SCHEMES, Config, FieldInfo
from spaces.study_file.data_source import NAME
from spaces.study_file.file_shape import PARAMETERS, StudyFields
from spaces.syntax.document import value_text

Schema = dict[str, Any]
METRICS = list(dict.fromkeys(name for scheme in LABEL_SCHEMES.values() for name in scheme.metrics))
# Shapes that pydantic does not know: names that are checked elsewhere, and the budget, whose fields
# are listed on their own.
_OWN_SHAPES: Mapping[str, Schema] = {
    "study": {"type": "string", "pattern": f"^{NAME}$"},
    "metric": {"type": "string", "enum": METRICS},
    "second_metric": {"anyOf": [{"enum": [*METRICS, PARAMETERS]}, {"type": "null"}]},
    "budget": {"type": "object"},
}
_NOT_SHAPE = (
    "title",
    "description",
    "default",
)  # keys of a field's schema that are not about its values
_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string"}
_NOUNS = {
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "string": "a text",
    "array": "a list",
    "object": "a mapping",
    "null": "nothing",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyField:
    """A field of a study that is no field of the configuration.

    Attributes:
        meaning: Meaning, in one line for a person.
        schema: JSON Schema of its values.
        default: Value where it is left out; None = nothing.
        required: Whether every study needs it.
    """

    meaning: str
    schema: Schema
    default: object
    required: bool


def study_fields() -> dict[str, StudyField]:
    """Return every study field, and those of its budget: `budget.candidates` and so on."""
    whole = StudyFields.model_json_schema()
    budget = whole["$defs"]["Budget"]
    return {**dict(_fields_in(whole, "")), **dict(_fields_in(budget, "budget."))}


def value_schema(info: FieldInfo, kind: type) -> Schema:
    """Return the JSON Schema of the values of a field of the configuration."""
    schema: Schema = {"type": _TYPES[kind]}
    if info.choices:
        schema["enum"] = list(info.choices)
    for key, bound in (
        ("exclusiveMinimum", info.above),
        ("minimum", info.minimum),
        ("maximum", info.maximum),
    ):
        if bound is not None:
            schema[key] = bound
    if info.unit:
        schema["unit"] = info.unit
    return schema


def in_words(schema: Mapping[str, Any]) -> str:
    """Describe what a schema allows: `a whole number from 1 up to 32 (heads)`."""
    unit = f" ({schema['unit']})" if schema.get("unit") else ""
    if "anyOf" in schema:
        # A field that may be null is one that may be left out, as its default shows.
        forms = [in_words(form) for form in schema["anyOf"] if form.get("type") != "null"]
        *others, last = dict.fromkeys(forms)
        return (f"{', '.join(others)} or {last}" if others else last) + unit
    if "enum" in schema:
        return "one of " + ", ".join(value_text(value) for value in schema["enum"])
    if "const" in schema:
        return value_text(schema["const"])
    inside = schema.get("additionalProperties")
    if isinstance(inside, dict):
        return f"a mapping to {in_words(inside)} each"
    bounds = [
        f" {word} {_bound_text(schema[key])}"
        for key, word in (
            ("exclusiveMinimum", "above"),
            ("minimum", "from"),
            ("maximum", "up to"),
        )
        if key in schema
    ]
    return _NOUNS[schema["type"]] + "".join(bounds) + unit


def describe_field(path: str) -> str:
    """Describe a field of the configuration: meaning; below it bounds, unit, default, range."""
    info, kind = fields_of(Config)[path]
    return describe_with_default(info, kind, value_at(Config(), path))


def describe_with_default(info: FieldInfo, kind: type, default: Value) -> str:
    """Describe a field of any tree, in the form of `describe_field`."""
    parts = (
        in_words(value_schema(info, kind)),
        f"default {value_text(default)}",
        usual_range(info),
        needed_beside(info),
    )
    return f"{info.meaning}\n\n{'; '.join(part for part in parts if part)}"


def describe_study_field(field: StudyField) -> str:
    """Describe a field of the study: its meaning; below it what it may be."""
    return f"{field.meaning}\n\n{allowed_values(field)}"


def allowed_values(field: StudyField) -> str:
    """Describe what a study field may be, and its default."""
    if field.required:
        return f"{in_words(field.schema)}; every study needs it"
    default = default_text(field)
    return in_words(field.schema) + (f"; default {default}" if default else "")


def default_text(field: StudyField) -> str:
    """Write the default of a study field for a table; empty if it is nothing."""
    if field.required:
        return "needed"
    return "" if field.default in (None, "", [], {}) else value_text(field.default)


def usual_range(info: FieldInfo) -> str:
    """Describe the range that papers search a field in; empty if none is known."""
    if info.searched is None:
        return ""
    low, high, scale = info.searched
    return f"papers search it from {low:g} to {high:g}, on a {scale} scale"


def needed_beside(info: FieldInfo) -> str:
    """Describe the field beside it that a field needs; empty if its module alone decides."""
    if info.only_with is None:
        return ""
    name, value = info.only_with
    return f"means something only with '{name}: {value_text(value)}' beside it"


def _fields_in(schema: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, StudyField]]:
    for name, declared in schema["properties"].items():
        shape = {
            key: _drop_titles(value) for key, value in declared.items() if key not in _NOT_SHAPE
        }
        field = StudyField(
            meaning=declared["description"],
            schema=shape if prefix else _OWN_SHAPES.get(name, shape),
            default=declared.get("default"),
            required=name in schema.get("required", ()),
        )
        yield f"{prefix}{name}", field


def _drop_titles(schema: Any) -> Any:
    # Pydantic's titles are names of classes and fields, which mean nothing to a user.
    if isinstance(schema, dict):
        return {key: _drop_titles(value) for key, value in schema.items() if key != "title"}
    return [_drop_titles(value) for value in schema] if isinstance(schema, list) else schema


def _bound_text(bound: float) -> str:
    return str(bound) if isinstance(bound, int) else f"{bound:g}"
