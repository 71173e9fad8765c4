"""What a field may be: as JSON Schema for editors, and in words for a person."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from msa_core.config.paths import Value, fields_of, get
from msa_core.config.schema import LABEL_SCHEMES, Config, FieldInfo
from spaces.study_file.data_source import NAME
from spaces.study_file.study_fields import PARAMETERS, StudyFields

Schema = dict[str, Any]
METRICS = list(dict.fromkeys(name for scheme in LABEL_SCHEMES.values() for name in scheme.metrics))
# What pydantic does not know.
_KNOWN: Mapping[str, Schema] = {
    "study": {"type": "string", "pattern": f"^{NAME}$"},
    "metric": {"type": "string", "enum": METRICS},
    "second_metric": {"anyOf": [{"enum": [*METRICS, PARAMETERS]}, {"type": "null"}]},
    "budget": {"type": "object"},
}
_BESIDE = ("title", "description", "default")  # of a field, besides what it may be
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
        meaning: one line for a person.
        schema: what it may be.
        default: where it is left out; None = nothing.
        required: whether every study needs it.
    """

    meaning: str
    schema: Schema
    default: object
    required: bool


def study_fields() -> dict[str, StudyField]:
    """Every study field, and those of its budget: `budget.candidates` and so on."""
    whole = StudyFields.model_json_schema()
    budget = whole["$defs"]["Budget"]
    return {**dict(_fields_in(whole, "")), **dict(_fields_in(budget, "budget."))}


def value_schema(info: FieldInfo, kind: type) -> Schema:
    """What a field of the configuration may be."""
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
    """What a schema allows: `a whole number from 1 up to 32 (heads)`."""
    unit = f" ({schema['unit']})" if schema.get("unit") else ""
    if "anyOf" in schema:
        forms = [in_words(form) for form in schema["anyOf"] if form.get("type") != "null"]
        *others, last = dict.fromkeys(forms)
        return (f"{', '.join(others)} or {last}" if others else last) + unit
    if "enum" in schema:
        return "one of " + ", ".join(written(value) for value in schema["enum"])
    if "const" in schema:
        return written(schema["const"])
    inside = schema.get("additionalProperties")
    if isinstance(inside, dict):
        return f"a mapping to {in_words(inside)} each"
    bounds = [
        f" {word} {_number(schema[key])}"
        for key, word in (
            ("exclusiveMinimum", "above"),
            ("minimum", "from"),
            ("maximum", "up to"),
        )
        if key in schema
    ]
    return _NOUNS[schema["type"]] + "".join(bounds) + unit


def written(value: object) -> str:
    """A value as a study file has it."""
    if isinstance(value, bool):
        return str(value).lower()
    return "nothing" if value is None else str(value)


def described(path: str) -> str:
    """A field of the configuration: its meaning; below it bounds, unit, default, usual range."""
    info, kind = fields_of(Config)[path]
    return described_as(info, kind, get(Config(), path))


def described_as(info: FieldInfo, kind: type, default: Value) -> str:
    """As `described`, of a field of any tree."""
    parts = (
        in_words(value_schema(info, kind)),
        f"default {written(default)}",
        usual_range(info),
        needed_beside(info),
    )
    return f"{info.meaning}\n\n{'; '.join(part for part in parts if part)}"


def described_study_field(field: StudyField) -> str:
    """As `described`, of a field of the study."""
    parts = (in_words(field.schema), default_of(field))
    return f"{field.meaning}\n\n{'; '.join(part for part in parts if part)}"


def default_of(field: StudyField) -> str:
    """The default of a study field, in words; empty if it is nothing."""
    if field.required:
        return "every study needs it"
    said = field.default not in (None, "", [], {})
    return f"default {written(field.default)}" if said else ""


def usual_range(info: FieldInfo) -> str:
    """The range that papers search a field in; empty if none is known."""
    if info.searched is None:
        return ""
    low, high, scale = info.searched
    return f"papers search it from {low:g} to {high:g}, on a {scale} scale"


def needed_beside(info: FieldInfo) -> str:
    """The field beside it that a field needs; empty if its module alone decides."""
    if info.only_with is None:
        return ""
    name, value = info.only_with
    return f"means something only with '{name}: {written(value)}' beside it"


def _fields_in(schema: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, StudyField]]:
    for name, said in schema["properties"].items():
        shape = {key: _untitled(value) for key, value in said.items() if key not in _BESIDE}
        field = StudyField(
            meaning=said["description"],
            schema=shape if prefix else _KNOWN.get(name, shape),
            default=said.get("default"),
            required=name in schema.get("required", ()),
        )
        yield f"{prefix}{name}", field


def _untitled(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {key: _untitled(value) for key, value in schema.items() if key != "title"}
    return [_untitled(value) for value in schema] if isinstance(schema, list) else schema


def _number(bound: float) -> str:
    return str(bound) if isinstance(bound, int) else f"{bound:g}"
