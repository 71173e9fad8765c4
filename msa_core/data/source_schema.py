"""The JSON Schema of a data source, for completion and checks in an editor."""

from collections.abc import Mapping
from typing import Any

from msa_core.config.fields import LABEL_SCHEMES
from msa_core.config.planted import WORLDS, PlantedConfig
from spaces.fields.help import describe_with_default, value_schema
from spaces.fields.paths import default_of, fields_of, value_at

Schema = dict[str, Any]


def source_schema() -> Schema:
    """Return the JSON Schema of what `data.source.parse_source` reads."""
    planted = {
        name: {
            "description": describe_with_default(
                info, kind, value_at(default_of(PlantedConfig), name)
            ),
            **value_schema(info, kind),
        }
        for name, (info, kind) in fields_of(PlantedConfig).items()
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
            **_closed_mapping({"world": world, **planted}),
            "type": ["object", "null"],
        },
    }
    alone = {"not": {"anyOf": [{"required": ["file"]}, {"required": ["text_model"]}]},
             "properties": {"labels": {"const": "mosi"}}}  # fmt: skip
    return {
        **_closed_mapping(inside),
        "type": ["string", "object"],
        "dependencies": {"planted": alone},
    }


def _closed_mapping(properties: Mapping[str, Schema]) -> Schema:
    return {"type": "object", "properties": dict(properties), "additionalProperties": False}
