"""The data source of a study: a feature file, the planted generator, or left to the user."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from msa_core.config.fields import LABEL_SCHEMES
from msa_core.config.planted import WORLDS, PlantedConfig
from spaces.core import DataSource, SettingError
from spaces.fields import paths
from spaces.fields.declaration import ConfigError
from spaces.fields.paths import did_you_mean, flatten

Raw = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class MsaSource(DataSource):
    """Where the data come from.

    Attributes:
        planted: Settings of the generator, or None. With neither these nor a file, the user names
            a file.
        text_model: Folder of a language model that makes the text features, or None.
    """

    planted: PlantedConfig | None = None
    text_model: Path | None = None

    @property
    def is_named(self) -> bool:
        """Whether there is something to open."""
        return self.file is not None or self.planted is not None

    @property
    def stays_here(self) -> str:
        """Why it can't be sent to another machine; empty if a file is all of it."""
        if self.text_model is None:
            return ""
        return (
            "data.text_model{which} is a folder of this machine, and `triptych submit` does not "
            "send language models; make the text features first"
        )

    def at_file(self, file: Path) -> Self:
        """Return the source with a file in place of what it names."""
        return replace(self, file=file, planted=None)


def parse_source(raw: Raw | str | None, folder: Path, task: str = "") -> MsaSource:
    """Read one data set of a study file.

    Args:
        raw: `planted`, a path, or a mapping; None as `planted`.
        folder: Folder at which relative paths start.
        task: Label scheme that the study names as its task; empty = none.

    Raises:
        SettingError: An unknown field, scheme or setting.
    """
    if raw is None or isinstance(raw, str):
        raw = {"planted": {}} if raw in (None, "planted") else {"file": raw}
    allowed = ("file", "labels", "planted", "text_model")
    for name in raw:
        if name not in allowed:
            hint = did_you_mean(name, allowed)
            raise SettingError((name,), f"data: '{name}' is not one of {', '.join(allowed)}{hint}")
    if task and raw.get("labels", task) != task:
        raise SettingError(
            ("labels",),
            f"data.labels: is {raw['labels']!r}, but the study's task is '{task}'; remove one",
        )
    if task:
        raw = {**raw, "labels": task}
    scheme = raw.get("labels", "mosi")
    if not isinstance(scheme, str) or scheme not in LABEL_SCHEMES:
        hint = did_you_mean(str(scheme), LABEL_SCHEMES)
        raise SettingError(
            ("labels",),
            f"data.labels: must be one of {', '.join(LABEL_SCHEMES)}, but got {scheme!r}{hint}",
        )
    if "planted" in raw:
        return MsaSource(scheme="mosi", planted=_parse_planted(raw))
    return MsaSource(
        scheme=scheme,
        file=_parse_file(raw, "file", folder),
        text_model=_parse_file(raw, "text_model", folder),
    )


def write_source(source: MsaSource) -> dict[str, Any]:
    """Return what `parse_source` reads as this source."""
    if source.planted is not None:
        default = flatten(PlantedConfig())
        settings = flatten(source.planted)
        return {"planted": {n: value for n, value in settings.items() if value != default[n]}}
    form: dict[str, Any] = {"labels": source.scheme}
    if source.file is not None:
        form["file"] = str(source.file.absolute())  # the new file may be in another folder
    if source.text_model is not None:
        form["text_model"] = str(source.text_model.absolute())
    return form


def _parse_file(raw: Raw, name: str, folder: Path) -> Path | None:
    value = raw.get(name)
    if value is not None and not isinstance(value, str):
        raise SettingError((name,), f"data.{name}: must be a path, but got {value!r}")
    return folder / value if value is not None else None


def _parse_planted(raw: Raw) -> PlantedConfig:
    if "file" in raw or "text_model" in raw or raw.get("labels", "mosi") != "mosi":
        raise SettingError(
            (),
            "data: 'planted' is generated with 'mosi' labels; it takes no file and no text_model",
        )
    settings = raw["planted"] or {}
    if not isinstance(settings, dict):
        raise SettingError(
            ("planted",),
            "data.planted: must be a mapping of settings such as {world: synergy}, "
            f"but got {settings!r}",
        )
    # The world first, wherever it stands in the mapping: the other settings change it.
    config = _parse_world(settings["world"]) if "world" in settings else PlantedConfig()
    for name, value in settings.items():
        if name != "world":
            try:
                config = paths.replace(config, {name: value})
            except ConfigError as error:
                raise SettingError(("planted", name), f"data.planted: {error}") from error
    # They are shares of the label's variance; 1e-6 leaves room for the rounding of their sum.
    shares = config.shared + config.text_private + config.synergy + config.noise
    if abs(shares - 1.0) > 1e-6:
        raise SettingError(
            (),
            f"data.planted: shared + text_private + synergy + noise must be 1, but got {shares:g}",
        )
    return config


def _parse_world(name: object) -> PlantedConfig:
    if name is None:
        name = "null"  # What YAML makes of the world of that name.
    if not isinstance(name, str) or name not in WORLDS:
        hint = did_you_mean(str(name), WORLDS)
        raise SettingError(
            ("planted", "world"),
            f"data.planted.world: must be one of {', '.join(WORLDS)}, but got {name!r}{hint}",
        )
    return WORLDS[name]
