"""Which papers the modules of a configuration come from. Standard library only.

The entries are those of `references.bib`. Which of them a module comes from stands beside its
options (`Options.cites`, `Origin.cites`); what it takes from its paper, and where it departs from
it, in `Options.source` and so in `docs/modules.md`.
"""

import functools
import re
from collections.abc import Mapping
from pathlib import Path

from msa_core.config.alignment import aligned_pairs
from msa_core.config.kinds import (
    FAMILIES,
    chosen_kinds,
    declared_origin,
    kind_of_path,
    options_class,
    options_of,
)
from msa_core.config.rules import resolve_fields
from msa_core.config.schema import Config
from msa_core.config.unimodal import unimodal_heads
from spaces.fields.declaration import ConfigError, FieldInfo, Value
from spaces.fields.paths import did_you_mean, fields_of, flatten

FILE = Path(__file__).with_name("references.bib")
TRAINING = ("kingma2015adam", "paszke2019pytorch")  # of every configuration
DROPOUT = ("srivastava2014dropout",)  # of a configuration with dropout anywhere
ANALYSES = ("liang2024hemm", "liang2024semi", "bertschinger2014unique")  # of results, not models


def cited_by(config: Config) -> tuple[str, ...]:
    """Return the keys of the papers that a configuration's modules come from, each once.

    A module that is off, or whose weight is 0, is not there.

    Raises:
        ConfigError: A plugin cites what is no key of `references.bib`.
    """
    keys: list[str] = []
    for family in FAMILIES:
        for kind in chosen_kinds(config, family):
            if _has_part(config, family, kind):
                keys += _known_keys(config, family, kind)
    known = fields_of(type(config))
    # Only fields that mean something: an option of what is off brings no paper.
    for path, value in resolve_fields(config).items():
        option = kind_of_path(type(config), path)
        if _has_part(config, *option[:2]) if option else _is_switched(config, path):
            keys += _cited_by_value(known[path][0], value)
    if any(_is_dropout(path, value) for path, value in flatten(config).items()):
        keys += DROPOUT
    return tuple(dict.fromkeys([*keys, *TRAINING]))


@functools.cache
def read_references() -> Mapping[str, str]:
    """Return key -> BibTeX entry, of every entry there is."""
    text = FILE.read_text(encoding="utf-8")
    found = re.finditer(r"^@\w+\{([^,\s]+),.*?^\}$", text, re.M | re.S)
    return {entry[1]: entry[0] for entry in found}


def _has_part(config: Config, family: str, kind: str) -> bool:
    """Check whether a chosen kind has a part in the training."""
    if family == "contrast":
        options = options_of(config, family, kind)
        return bool(options.use and options.weight > 0)
    if family == "alignment":
        pairs = [getattr(config.loss.alignment, pair) for pair in aligned_pairs(config)]
        return any(pair.measure == kind for pair in pairs)
    return True


def _is_switched(config: Config, path: str) -> bool:
    # Heads may be chosen and all have the weight 0.
    return not path.startswith("loss.unimodal.") or bool(unimodal_heads(config))


def _known_keys(config: Config, family: str, kind: str) -> tuple[str, ...]:
    keys = declared_origin(options_class(type(config), family, kind)).cites
    for key in keys:
        if key not in read_references():
            raise ConfigError(
                f"'{FAMILIES[family].switch.format(kind)}' cites '{key}', which is no key of "
                f"{FILE.name}{did_you_mean(key, read_references())}; leave it out of `cites` and "
                "name the paper in `source`"
            )
    return keys


def _cited_by_value(info: FieldInfo, value: Value) -> tuple[str, ...]:
    if info.choices:
        origin = info.origins.get(str(value))
    else:
        origin = info.origins.get("") if value else None
    return origin.cites if origin else ()


def _is_dropout(path: str, value: Value) -> bool:
    # Not the dropouts of a kind's own layers: those are part of what the kind cites.
    branches = ("model.text.", "model.audio.", "model.vision.", "model.fusion.dropout")
    return path.endswith("dropout") and path.startswith(branches) and value > 0  # type: ignore[operator]
