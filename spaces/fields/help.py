"""Fields in words: what a field may be, as JSON Schema for editors and in plain words."""

from collections.abc import Mapping
from typing import Any

from spaces.fields.declaration import FieldInfo, Value

Schema = dict[str, Any]
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


def value_text(value: object) -> str:
    """Write a value as a study file has it."""
    if isinstance(value, bool):
        return str(value).lower()
    return "nothing" if value is None else str(value)


def value_schema(info: FieldInfo, kind: type) -> Schema:
    """Return the JSON Schema of the values of a field of the configuration."""
    schema: Schema = {"type": _TYPES[kind]}
    if info.choices:
        schema["enum"] = list(info.choices)
    for key, bound in (
        ("exclusiveMinimum", info.above),
        ("minimum", info.minimum),
        ("maximum", info.maximum),
        ("exclusiveMaximum", info.below),
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
            ("exclusiveMaximum", "below"),
        )
        if key in schema
    ]
    return _NOUNS[schema["type"]] + "".join(bounds) + unit


def describe_with_default(info: FieldInfo, kind: type, default: Value) -> str:
    """Describe a field of any tree, in the form of `describe_field`."""
    parts = (
        in_words(value_schema(info, kind)),
        f"default {value_text(default)}",
        usual_range(info),
        needed_beside(info),
    )
    return f"{info.meaning}\n\n{'; '.join(part for part in parts if part)}"


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


def _bound_text(bound: float) -> str:
    return str(bound) if isinstance(bound, int) else f"{bound:g}"
