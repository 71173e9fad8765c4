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
from msa_core.config.fields import (
    ConfigError,
    Options,
    Origin,
    WeightedTerm,
    used_modalities,
    used_pairs,
)
from msa_core.config.fusion import FusionConfig, FusionOptions
from msa_core.config.procedure import ProcedureConfig, ProcedureOptions


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """Modules that take one another's place.

    Attributes:
        section: Path below which each kind has its options.
        switch: Line of a study that chooses a kind, with `{}` for its name.
        holder: Dataclass of that section.
        base: Class that the options of a kind derive from.
        chosen: Function that returns the kinds that a `Config` uses.
    """

    section: str
    switch: str
    holder: type
    base: type[Options]
    chosen: Callable[[Any], list[str]]


def _used_encoders(config: Any) -> list[str]:
    return _drop_duplicates(getattr(config.model, name).encoder for name in used_modalities(config))


def _used_measures(config: Any) -> list[str]:
    own = [getattr(config.loss.alignment, pair) for pair in used_pairs(config)]
    return _drop_duplicates(pair.measure for pair in own if pair.mode != "off")


def _used_contrasts(config: Any) -> list[str]:
    return [kind for kind in kinds_of("contrast") if options_of(config, "contrast", kind).use]


FAMILIES = {
    "encoder": Family(
        section="model.encoder",
        switch="model.<modality>.encoder: {}",
        holder=EncodersConfig,
        base=EncoderOptions,
        chosen=_used_encoders,
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
        chosen=_used_measures,
    ),
    "contrast": Family(
        section="loss.contrast",
        switch="loss.contrast.{}.use: true",
        holder=ContrastConfig,
        base=ContrastOptions,
        chosen=_used_contrasts,
    ),
    "procedure": Family(
        section="procedure",
        switch="procedure.kind: {}",
        holder=ProcedureConfig,
        base=ProcedureOptions,
        chosen=lambda config: [config.procedure.kind],
    ),
}
# Family -> kind -> the options' class, of modules that are not Triptych's own. Of the process and
# not of a configuration: a kind is a name there, and its module is in a registry of the process.
_ADDED: dict[str, dict[str, type[Options]]] = {family: {} for family in FAMILIES}


def kinds_of(family: str) -> tuple[str, ...]:
    """Return the names of a family's kinds."""
    return tuple(_options_by_kind(family))


def options_class(family: str, kind: str) -> type[Options]:
    """Return the class of a kind's options."""
    return _options_by_kind(family)[kind]


def chosen_kinds(config: Any, family: str) -> list[str]:
    """Return the kinds of a family that a configuration uses, in the order of declaration."""
    used = FAMILIES[family].chosen(config)
    return [kind for kind in kinds_of(family) if kind in used]


def declared_origin(family: str, kind: str) -> Origin:
    """Return what a kind's own options declare as its `source` and `cites`."""
    return _own_origin(options_class(family, kind))


def options_of(config: Any, family: str, kind: str) -> Any:
    """Return a kind's options in a configuration."""
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
    """Return a copy of a tree of dataclasses with other values at some dotted paths, unchecked."""
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
    """Return family, kind and the rest of an option's path; None for another field."""
    for family, known in FAMILIES.items():
        if path.startswith(known.section + "."):
            kind, _, rest = path.removeprefix(known.section + ".").partition(".")
            if rest and kind in _options_by_kind(family):
                return family, kind, rest
    return None


def add_kind(family: str, kind: str, options: type[Options]) -> None:
    """Add a kind to a family of this process.

    Raises:
        ConfigError: No such family, no name for a kind, the name is taken, or an option is not
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
    # Its answers depend on which kinds there are.
    kind_of_path.cache_clear()


def remove_kind(family: str, kind: str) -> None:
    """Remove a kind that `add_kind` added."""
    del _ADDED[family][kind]
    kind_of_path.cache_clear()


def is_added(family: str, kind: str) -> bool:
    """Check whether a kind is not Triptych's own."""
    return kind in _ADDED[family]


def added_kinds() -> Iterator[tuple[str, str, type[Options]]]:
    """Yield family, kind and options of everything that was added."""
    for family, added in _ADDED.items():
        for kind, options in added.items():
            yield family, kind, options


def _check_options(family: str, kind: str, options: type[Options]) -> None:
    """Check that every option can be written in a study file."""
    base = FAMILIES[family].base
    if not (isinstance(options, type) and issubclass(options, base)):
        raise ConfigError(f"the options of '{kind}' must derive from {base.__name__}")
    if "__dataclass_fields__" not in vars(options):
        raise ConfigError(
            f"the options of '{kind}' are no dataclass; put "
            "`@dataclass(frozen=True, kw_only=True)` above them"
        )
    _check_fields(kind, "", options)
    _check_origin(kind, options)
    if family in ("encoder", "fusion"):
        for option in dataclasses.fields(options):
            # An option that holds a term (`WeightedTerm`) has no metadata, and its weight is a
            # number of the loss, not of the module.
            if option.name != "dropout" and option.metadata and option.metadata["info"].varies:
                raise ConfigError(
                    f"option '{option.name}' of '{kind}' can't be `varies=True`: members of a pack "
                    f"hand a module of the family {family} no numbers of their own, except a "
                    "'dropout' for its `Dropout`"
                )


def _own_origin(options: type[Options]) -> Origin:
    # A plugin may have an option called `source` or `cites`, which is no declaration.
    names = {option.name for option in dataclasses.fields(options)}
    # `vars`: options that derive from another kind's belong to another module, which has its own
    # origin.
    own = {name: value for name, value in vars(options).items() if name not in names}
    return Origin(source=own.get("source", ""), cites=own.get("cites", ()))


def _check_origin(kind: str, options: type[Options]) -> None:
    own = _own_origin(options)
    if not isinstance(own.source, str):
        raise ConfigError(f"`source` of the options of '{kind}' must be a text")
    if not (isinstance(own.cites, tuple) and all(isinstance(key, str) for key in own.cites)):
        raise ConfigError(
            f"`cites` of the options of '{kind}' must be a tuple of keys, such as "
            '("vaswani2017attention",)'
        )


def _check_fields(kind: str, prefix: str, options: type) -> None:
    for option in dataclasses.fields(options):
        name = f"{prefix}{option.name}"
        # The fields' types are read here and by `fields_of`, which text would hide from both.
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


def _options_by_kind(family: str) -> dict[str, type[Options]]:
    return {**_own_options_by_kind(FAMILIES[family].holder), **_ADDED[family]}


@functools.cache
def _own_options_by_kind(holder: type) -> dict[str, type[Options]]:
    return {
        field.name: field.type
        for field in dataclasses.fields(holder)
        if isinstance(field.type, type) and issubclass(field.type, Options)
    }


def _drop_duplicates(names: Any) -> list[str]:
    return list(dict.fromkeys(names))
