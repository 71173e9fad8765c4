"""Values that a field may have: as JSON Schema for editors, and in words for a person."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from spaces.core import Core
from spaces.fields.help import Schema, describe_with_default, in_words, value_text
from spaces.fields.paths import default_of, fields_of, value_at
from spaces.study_file.data_source import NAME
from spaces.study_file.file_shape import PARAMETERS, StudyFields

_NOT_SHAPE = (
    "title",
    "description",
    "default",
)  # keys of a field's schema that are not about its values


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


def metric_names(core: Core) -> list[str]:
    """Return the names of the metrics of all tasks of a core."""
    return list(dict.fromkeys(name for task in core.tasks.values() for name in task))


def study_fields(core: Core) -> dict[str, StudyField]:
    """Return every study field, and those of its budget: `budget.candidates` and so on."""
    whole = StudyFields.model_json_schema()
    budget = whole["$defs"]["Budget"]
    return {**dict(_fields_in(whole, "", core)), **dict(_fields_in(budget, "budget.", core))}


def _own_shapes(core: Core) -> Mapping[str, Schema]:
    """Return shapes that pydantic does not know: names that are checked elsewhere, the budget."""
    metrics = metric_names(core)
    return {
        "study": {"type": "string", "pattern": f"^{NAME}$"},
        "metric": {"type": "string", "enum": metrics},
        "second_metric": {"anyOf": [{"enum": [*metrics, PARAMETERS]}, {"type": "null"}]},
        # Its fields are listed on their own.
        "budget": {"type": "object"},
    }


def describe_field(path: str, core: Core) -> str:
    """Describe a field of the configuration: meaning; below it bounds, unit, default, range."""
    info, kind = fields_of(core.config_class)[path]
    return describe_with_default(info, kind, value_at(default_of(core.config_class), path))


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


def _fields_in(
    schema: Mapping[str, Any], prefix: str, core: Core
) -> Iterator[tuple[str, StudyField]]:
    own_shapes = {} if prefix else _own_shapes(core)
    for name, declared in schema["properties"].items():
        shape = {
            key: _drop_titles(value) for key, value in declared.items() if key not in _NOT_SHAPE
        }
        field = StudyField(
            meaning=declared["description"],
            schema=own_shapes.get(name, shape),
            default=declared.get("default"),
            required=name in schema.get("required", ()),
        )
        yield f"{prefix}{name}", field


def _drop_titles(schema: Any) -> Any:
    # Pydantic's titles are names of classes and fields, which mean nothing to a user.
    if isinstance(schema, dict):
        return {key: _drop_titles(value) for key, value in schema.items() if key != "title"}
    return [_drop_titles(value) for value in schema] if isinstance(schema, list) else schema
