"""Families of modules: which kinds each has, and the options of a kind.

The kinds of a family are the fields of its section that hold `Options`; there is no second list. A
study's own modules (`msa_core.plugins`) add kinds to a family of this process.
Standard library only.
"""

import dataclasses
import functools
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from msa_core.config.alignment import AlignmentConfig, MeasureOptions
from msa_core.config.contrast import ContrastConfig, ContrastOptions
from msa_core.config.encoders import EncoderOptions, EncodersConfig
from msa_core.config.fields import ConfigError, Options, WeightedTerm, used_modalities, used_pairs
from msa_core.config.fusion import FusionConfig, FusionOptions
from msa_core.config.procedure import ProcedureConfig, ProcedureOptions


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """Modules that take one another's place.

    Attributes:
        section: the path below which each kind has its options.
        switch: how a kind is chosen in a study, with `{}` for its name.
        holder: the dataclass of that section.
        base: what the options of a kind derive from.
        chosen: the kinds that a `Config` uses.
    """

    section: str
    switch: str
    holder: type
    base: type[Options]
    chosen: Callable[[Any], list[str]]


def _encoders(config: Any) -> list[str]:
    return _unique(getattr(config.model, name).encoder for name in used_modalities(config))


def _measures(config: Any) -> list[str]:
    own = [getattr(config.loss.alignment, pair) for pair in used_pairs(config)]
    return _unique(pair.measure for pair in own if pair.mode != "off")


def _contrasts(config: Any) -> list[str]:
    return [kind for kind in kinds("contrast") if options_of(config, "contrast", kind).use]


FAMILIES = {
    "encoder": Family(
        section="model.encoder",
        switch="model.<modality>.encoder: {}",
        holder=EncodersConfig,
        base=EncoderOptions,
        chosen=_encoders,
    ),
    "fusion": Family(
        section="model.fusion",
        switch="model.fusion.kind: {}",
        holder=FusionConfig,
        base=FusionOptions,
        chosen=lambda config: [config.model.fusion.kind],
    ),
    "alignment": Family(
        section="loss.alignment",
        switch="loss.alignment.<pair>.measure: {}",
        holder=AlignmentConfig,
        base=MeasureOptions,
        chosen=_measures,
    ),
    "contrast": Family(
        section="loss.contrast",
        switch="loss.contrast.{}.use: true",
        holder=ContrastConfig,
        base=ContrastOptions,
        chosen=_contrasts,
    ),
    "procedure": Family(
        section="procedure",
        switch="procedure.kind: {}",
        holder=ProcedureConfig,
        base=ProcedureOptions,
        chosen=lambda config: [config.procedure.kind],
    ),
}
# Family -> kind -> the options' class, of modules that are not Triptych's own.
_ADDED: dict[str, dict[str, type[Options]]] = {family: {} for family in FAMILIES}


def kinds(family: str) -> tuple[str, ...]:
    """The names of a family's kinds."""
    return tuple(_entries(family))


def entry_of(family: str, kind: str) -> type[Options]:
    """The class of a kind's options."""
    return _entries(family)[kind]


def chosen(config: Any, family: str) -> list[str]:
    """The kinds of a family that a configuration uses, in the order of their declarations."""
    used = FAMILIES[family].chosen(config)
    return [kind for kind in kinds(family) if kind in used]


def options_of(config: Any, family: str, kind: str) -> Any:
    """A kind's options in a configuration."""
    if kind not in _ADDED[family]:
        holder = config
        for name in FAMILIES[family].section.split("."):
            holder = getattr(holder, name)
        return getattr(holder, kind)
    prefix = f"{FAMILIES[family].section}.{kind}."
    values = {
        path.removeprefix(prefix): value
        for path, value in config.plugins
        if path.startswith(prefix)
    }
    return with_values(_ADDED[family][kind](), values)


def with_values(tree: Any, values: Mapping[str, Any]) -> Any:
    """A copy of a tree of dataclasses with other values at some dotted paths, unchecked."""
    changed: dict[str, Any] = {}
    below: dict[str, dict[str, Any]] = {}
    for path, value in values.items():
        name, _, rest = path.partition(".")
        if rest:
            below.setdefault(name, {})[rest] = value
        else:
            changed[name] = value
    for name, inside in below.items():
        changed[name] = with_values(getattr(tree, name), inside)
    return dataclasses.replace(tree, **changed) if changed else tree


@functools.cache
def kind_of_path(path: str) -> tuple[str, str, str] | None:
    """Family, kind and the rest of the path of an option; None for another field."""
    for family, known in FAMILIES.items():
        if path.startswith(known.section + "."):
            kind, _, rest = path.removeprefix(known.section + ".").partition(".")
            if rest and kind in _entries(family):
                return family, kind, rest
    return None


def add_kind(family: str, kind: str, options: type[Options]) -> None:
    """Add a kind to a family of this process.

    Raises:
        ConfigError: no such family, no name for a kind, the name is taken, or an option is not
            declared as a field.
    """
    if family not in FAMILIES:
        raise ConfigError(f"'{family}' is no family of modules; allowed are {', '.join(FAMILIES)}")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", kind):
        raise ConfigError(
            f"'{kind}' is no name for a kind of {family}; use small letters, digits and '_', "
            "a letter first"
        )
    taken = {field.name for field in dataclasses.fields(FAMILIES[family].holder)}
    if kind in taken or kind in _ADDED[family]:
        whose = "Triptych's own" if kind in taken else "another plugin's"
        raise ConfigError(f"{family}: the name '{kind}' is {whose}; choose another")
    _check_options(family, kind, options)
    _ADDED[family][kind] = options
    kind_of_path.cache_clear()


def remove_kind(family: str, kind: str) -> None:
    """Take back an `add_kind`."""
    del _ADDED[family][kind]
    kind_of_path.cache_clear()


def is_added(family: str, kind: str) -> bool:
    """Whether a kind is not Triptych's own."""
    return kind in _ADDED[family]


def added_kinds() -> Iterator[tuple[str, str, type[Options]]]:
    """Family, kind and options of everything that was added."""
    for family, added in _ADDED.items():
        for kind, options in added.items():
            yield family, kind, options


def _check_options(family: str, kind: str, options: type[Options]) -> None:
    """Whether every option can be written in a study file."""
    base = FAMILIES[family].base
    if not (isinstance(options, type) and issubclass(options, base)):
        raise ConfigError(f"the options of '{kind}' must derive from {base.__name__}")
    if "__dataclass_fields__" not in vars(options):
        raise ConfigError(
            f"the options of '{kind}' are no dataclass; put "
            "`@dataclass(frozen=True, kw_only=True)` above them"
        )
    _check_fields(kind, "", options)
    if family in ("encoder", "fusion"):
        for option in dataclasses.fields(options):
            if option.name != "dropout" and option.metadata and option.metadata["info"].varies:
                raise ConfigError(
                    f"option '{option.name}' of '{kind}' can't be `varies=True`: members of a pack "
                    f"hand a module of the family {family} no numbers of their own, except a "
                    "'dropout' for its `Dropout`"
                )


def _check_fields(kind: str, prefix: str, options: type) -> None:
    for option in dataclasses.fields(options):
        name = f"{prefix}{option.name}"
        if isinstance(option.type, str):
            raise ConfigError(
                f"the type of option '{name}' of '{kind}' is a text; "
                "remove `from __future__ import annotations`"
            )
        if isinstance(option.type, type) and issubclass(option.type, WeightedTerm):
            _check_fields(kind, f"{name}.", option.type)
        elif "info" not in option.metadata:
            raise ConfigError(
                f"option '{name}' of '{kind}' must be declared with "
                "`field(default, meaning, label)` of msa_core.plugins"
            )
        elif option.type not in (bool, int, float, str):
            raise ConfigError(f"option '{name}' of '{kind}' must be a bool, int, float or str")


def _entries(family: str) -> dict[str, type[Options]]:
    return {**_own_entries(FAMILIES[family].holder), **_ADDED[family]}


@functools.cache
def _own_entries(holder: type) -> dict[str, type[Options]]:
    return {
        field.name: field.type
        for field in dataclasses.fields(holder)
        if isinstance(field.type, type) and issubclass(field.type, Options)
    }


def _unique(names: Any) -> list[str]:
    return list(dict.fromkeys(names))
