"""Families of modules: which kinds each has, and the options of a kind.

The kinds of a family are the fields of its section that hold `Options`; there is no second list. A
study's own modules (`msa_core.plugins`) are kinds of a class derived from `Config`, which has a
field more for each: what is asked about kinds is asked of such a class.
Standard library only.
"""

import dataclasses
import functools
import importlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from msa_core.config.alignment import MeasureOptions
from msa_core.config.contrast import ContrastOptions
from msa_core.config.encoders import EncoderOptions
from msa_core.config.fields import WeightedTerm, used_modalities, used_pairs
from msa_core.config.fusion import FusionOptions
from msa_core.config.procedure import ProcedureOptions
from msa_core.config.schema import Config
from spaces.fields.declaration import ConfigError, FieldInfo, Options, Origin, with_sections
from spaces.fields.paths import options_in, section_at


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """Modules that take one another's place.

    Attributes:
        section: Path below which each kind has its options.
        switch: Line of a study that chooses a kind, with `{}` for its name.
        options: Class that the options of a kind derive from.
        base: Class that a kind derives from, as `package.module:Name`; empty: it is a function.
        chosen: Function that returns the kinds that a `Config` uses.
    """

    section: str
    switch: str
    options: type[Options]
    base: str
    chosen: Callable[[Any], list[str]]


def _used_encoders(config: Any) -> list[str]:
    return _drop_duplicates(getattr(config.model, name).encoder for name in used_modalities(config))


def _used_measures(config: Any) -> list[str]:
    own = [getattr(config.loss.alignment, pair) for pair in used_pairs(config)]
    return _drop_duplicates(pair.measure for pair in own if pair.mode != "off")


def _used_contrasts(config: Any) -> list[str]:
    return [
        kind
        for kind in kinds_of(type(config), "contrast")
        if options_of(config, "contrast", kind).use
    ]


FAMILIES = {
    "encoder": Family(
        section="model.encoder",
        switch="model.<modality>.encoder: {}",
        options=EncoderOptions,
        base="msa_core.modules.encoders:Encoder",
        chosen=_used_encoders,
    ),
    "fusion": Family(
        section="model.fusion",
        switch="model.fusion.kind: {}",
        options=FusionOptions,
        base="msa_core.modules.fusion.base:Fusion",
        chosen=lambda config: [config.model.fusion.kind],
    ),
    "alignment": Family(
        section="loss.alignment",
        switch="loss.alignment.<pair>.measure: {}",
        options=MeasureOptions,
        base="",
        chosen=_used_measures,
    ),
    "contrast": Family(
        section="loss.contrast",
        switch="loss.contrast.{}.use: true",
        options=ContrastOptions,
        base="msa_core.modules.contrast.base:Contrast",
        chosen=_used_contrasts,
    ),
    "procedure": Family(
        section="procedure",
        switch="procedure.kind: {}",
        options=ProcedureOptions,
        base="msa_core.procedures.base:Procedure",
        chosen=lambda config: [config.procedure.kind],
    ),
}


def kinds_of(config_class: type, family: str) -> tuple[str, ...]:
    """Return the names of a family's kinds, those of Triptych first."""
    return tuple(options_in(config_class, FAMILIES[family].section))


def options_class(config_class: type, family: str, kind: str) -> type[Options]:
    """Return the class of a kind's options."""
    return options_in(config_class, FAMILIES[family].section)[kind]


def module_of(config_class: type, family: str, kind: str) -> Any:
    """Return a kind itself, a class or a function, imported if need be."""
    found = options_class(config_class, family, kind).implementation
    return import_named(found) if isinstance(found, str) else found


def family_of(info: FieldInfo) -> str:
    """Return the family that a field chooses a kind of; empty if it chooses none."""
    found = [name for name, family in FAMILIES.items() if family.section == info.kinds_in]
    return found[0] if found else ""


def import_named(path: str) -> Any:
    """Import what is called `package.module:Name`."""
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


def chosen_kinds(config: Any, family: str) -> list[str]:
    """Return the kinds of a family that a configuration uses, in the order of declaration."""
    used = FAMILIES[family].chosen(config)
    return [kind for kind in kinds_of(type(config), family) if kind in used]


def options_of(config: Any, family: str, kind: str) -> Any:
    """Return a kind's options in a configuration."""
    holder = config
    for name in FAMILIES[family].section.split("."):
        holder = getattr(holder, name)
    return getattr(holder, kind)


def kind_of_path(config_class: type, path: str) -> tuple[str, str, str] | None:
    """Return family, kind and the rest of an option's path; None for another field."""
    return _kind_of_path(config_class, path)


@functools.cache
def _kind_of_path(config_class: Any, path: str) -> tuple[str, str, str] | None:
    for family, known in FAMILIES.items():
        if path.startswith(known.section + "."):
            kind, _, rest = path.removeprefix(known.section + ".").partition(".")
            if rest and kind in kinds_of(config_class, family):
                return family, kind, rest
    return None


def is_added(family: str, kind: str) -> bool:
    """Check whether a kind is not Triptych's own."""
    return kind not in kinds_of(Config, family)


@dataclass(frozen=True, slots=True)
class AddedKind:
    """A kind that a study's own file adds to a family.

    Attributes:
        options: Class of its options.
        module: The kind itself: a class or a function.
    """

    family: str
    name: str
    options: type[Options]
    module: Callable[..., Any]


def with_kind(config_class: type[Config], added: AddedKind) -> type[Config]:
    """Derive a configuration class that has one more kind.

    Raises:
        ConfigError: No such family, no name for a kind, the name is taken, or an option is not
            declared as a field.
    """
    family, kind = added.family, added.name
    if family not in FAMILIES:
        raise ConfigError(f"'{family}' is no family of modules; allowed are {', '.join(FAMILIES)}")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", kind):
        raise ConfigError(
            f"'{kind}' is no name for a kind of {family}; use small letters, digits and '_', "
            "a letter first"
        )
    section = FAMILIES[family].section
    for holder, whose in ((Config, "Triptych's own"), (config_class, "another plugin's")):
        if kind in {field.name for field in dataclasses.fields(section_at(holder, section))}:
            raise ConfigError(f"{family}: the name '{kind}' is {whose}; choose another")
    _check_options(family, kind, added.options)
    return with_sections(config_class, section, [(kind, _options_with_module(added))])


def _options_with_module(added: AddedKind) -> type[Options]:
    """Derive a class of options that names the module; two kinds may share one class of options."""
    origin = declared_origin(added.options)
    own: dict[str, Any] = {
        "implementation": staticmethod(added.module),
        "source": origin.source,
        "cites": origin.cites,
    }
    # An option of such a name is a field, which an attribute of the class would hide.
    names = {option.name for option in dataclasses.fields(added.options)}
    return type(
        added.options.__name__,
        (added.options,),
        {
            "__slots__": (),
            "__module__": added.options.__module__,
            "__doc__": added.options.__doc__,
            **{name: value for name, value in own.items() if name not in names},
        },
    )


def _check_options(family: str, kind: str, options: type[Options]) -> None:
    """Check that every option can be written in a study file."""
    base = FAMILIES[family].options
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


def declared_origin(options: type[Options]) -> Origin:
    """Return what the options of a kind declare as its `source` and `cites`."""
    # A plugin may have an option called `source` or `cites`, which is no declaration.
    names = {option.name for option in dataclasses.fields(options)}
    # `vars`: options that derive from another kind's belong to another module, which has its own
    # origin.
    own = {name: value for name, value in vars(options).items() if name not in names}
    return Origin(source=own.get("source", ""), cites=own.get("cites", ()))


def _check_origin(kind: str, options: type[Options]) -> None:
    own = declared_origin(options)
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
        if name == "implementation":
            raise ConfigError(f"no option can be called 'implementation'; rename that of '{kind}'")
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


def _drop_duplicates(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))
