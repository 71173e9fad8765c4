"""The `data` part of a study: a feature file, the planted generator, or left to the user."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msa_core.config.paths import did_you_mean, replace
from msa_core.config.planted import WORLDS
from msa_core.config.schema import LABEL_SCHEMES, PlantedConfig
from spaces.errors import check_at, error_at
from spaces.syntax.document import Node

NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"  # of a folder


@dataclass(frozen=True, kw_only=True, slots=True)
class DataSource:
    """Where the data comes from.

    Attributes:
        scheme: Name of the label scheme, `mosi` or `sims`.
        file: Feature file, or None.
        planted: Settings of the generator, or None. With neither, the user names a file.
        text_model: Folder of a language model that makes the text features, or None.
    """

    scheme: str
    file: Path | None = None
    planted: PlantedConfig | None = None
    text_model: Path | None = None


def data_sources(root: Node, raw: str | dict[str, Any], folder: Path) -> dict[str, DataSource]:
    """Check the `data` part of a study file.

    Args:
        root: The document, for the places of mistakes.
        raw: Its `data` part: `planted`, a path, a mapping, or `sets` of them.
        folder: Folder at which relative paths start.

    Returns:
        Name of a data set -> where it comes from; the name is empty where there is one alone.

    Raises:
        StudyError: An unknown field, scheme or setting.
    """
    node = root.value.get("data", root)
    if not isinstance(raw, dict) or "sets" not in raw:
        return {"": _data_source(node, raw, folder)}
    sets = node.find_node(("sets",))
    if len(raw) > 1 or not isinstance(sets.value, dict) or not sets.value:
        raise error_at(
            sets.where,
            "data.sets: needs a mapping of names to data sets, with nothing beside it, e.g. "
            "{sets: {mosi: {file: mosi.pkl}, mosei: {file: mosei.pkl}}}",
        )
    found = {}
    for name, child in sets.value.items():
        if not re.fullmatch(NAME, name):
            raise error_at(
                child.where,
                f"data.sets: {name!r} is part of a folder's name; use letters, digits, '.', '_' "
                "and '-'",
            )
        inside = child.plain_value()
        if not isinstance(inside, str | dict):
            raise error_at(
                child.where, f"data.sets.{name}: must be a path or a mapping, got {inside!r}"
            )
        found[name] = _data_source(child, inside, folder)
    return found


def _data_source(node: Node, raw: str | dict[str, Any], folder: Path) -> DataSource:
    if isinstance(raw, str):
        raw = {"planted": {}} if raw == "planted" else {"file": raw}
    allowed = ("file", "labels", "planted", "text_model")
    for name in raw:
        if name not in allowed:
            raise error_at(
                node.find_node((name,)).where,
                f"data: '{name}' is not one of {', '.join(allowed)}{did_you_mean(name, allowed)}",
            )
    scheme = raw.get("labels", "mosi")
    if not isinstance(scheme, str) or scheme not in LABEL_SCHEMES:
        hint = did_you_mean(str(scheme), LABEL_SCHEMES)
        raise error_at(
            node.find_node(("labels",)).where,
            f"data.labels: must be one of {', '.join(LABEL_SCHEMES)}, but got {scheme!r}{hint}",
        )
    if "planted" in raw:
        return DataSource(scheme="mosi", planted=_parse_planted(node, raw))
    return DataSource(
        scheme=scheme,
        file=_parse_file(node, raw, "file", folder),
        text_model=_parse_file(node, raw, "text_model", folder),
    )


def _parse_file(node: Node, raw: dict[str, Any], name: str, folder: Path) -> Path | None:
    value = raw.get(name)
    if value is not None and not isinstance(value, str):
        raise error_at(
            node.find_node((name,)).where, f"data.{name}: must be a path, but got {value!r}"
        )
    return folder / value if value is not None else None


def _parse_planted(node: Node, raw: dict[str, Any]) -> PlantedConfig:
    if "file" in raw or "text_model" in raw or raw.get("labels", "mosi") != "mosi":
        raise error_at(
            node.where,
            "data: 'planted' is generated with 'mosi' labels; it takes no file and no text_model",
        )
    settings = raw["planted"] or {}
    if not isinstance(settings, dict):
        raise error_at(
            node.find_node(("planted",)).where,
            "data.planted: must be a mapping of settings such as {world: synergy}, "
            f"but got {settings!r}",
        )
    # The world first, wherever it stands in the mapping: the other settings change it.
    config = PlantedConfig()
    if "world" in settings:
        config = _parse_world(node.find_node(("planted", "world")).where, settings["world"])
    for name, value in settings.items():
        if name != "world":
            where = node.find_node(("planted", name)).where
            config = check_at(where, "data.planted", replace, config, {name: value})
    # They are shares of the label's variance; 1e-6 leaves room for the rounding of their sum.
    shares = config.shared + config.text_private + config.synergy + config.noise
    if abs(shares - 1.0) > 1e-6:
        raise error_at(
            node.where,
            f"data.planted: shared + text_private + synergy + noise must be 1, but got {shares:g}",
        )
    return config


def _parse_world(where: str, name: object) -> PlantedConfig:
    if name is None:
        name = "null"  # What YAML makes of the world of that name.
    if not isinstance(name, str) or name not in WORLDS:
        hint = did_you_mean(str(name), WORLDS)
        raise error_at(
            where, f"data.planted.world: must be one of {', '.join(WORLDS)}, but got {name!r}{hint}"
        )
    return WORLDS[name]
