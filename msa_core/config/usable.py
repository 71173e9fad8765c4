"""What a configuration and its search can use of the kinds that plugins add.

Standard library only.
"""

from collections.abc import Collection, Mapping

from msa_core.config.kinds import FAMILIES, family_of, is_added, kind_of_path, kinds_of
from msa_core.config.schema import Config
from spaces.fields.declaration import Value
from spaces.fields.paths import fields_of, flatten, value_at

Searched = Mapping[str, Collection[Value]]
"""Searched field -> its possible values; empty for a range."""


def usable_added_kinds(config: Config, searched: Searched) -> set[tuple[str, str]]:
    """Return family and name of the plugins' kinds that are used, or that the search can choose."""
    found = set()
    for family in FAMILIES:
        for kind in kinds_of(type(config), family):
            if is_added(family, kind) and _can_be_chosen(config, searched, family, kind):
                found.add((family, kind))
    return found


def usable_fields(config: Config, searched: Searched) -> dict[str, Value]:
    """Return every field, without those of plugins' kinds that can't be used."""
    usable = usable_added_kinds(config, searched)
    return {
        path: value
        for path, value in flatten(config).items()
        if (option := kind_of_path(type(config), path)) is None
        or not is_added(*option[:2])
        or option[:2] in usable
    }


def _can_be_chosen(config: Config, searched: Searched, family: str, kind: str) -> bool:
    switches: dict[str, Value] = {
        path: kind for path, (info, _) in fields_of(type(config)).items()
        if family_of(info) == family
    }  # fmt: skip
    # Several contrast terms can be on together: each has a switch of its own, and no field
    # chooses among them.
    if family == "contrast":
        switches = {f"{FAMILIES[family].section}.{kind}.use": True}
    return any(
        value in (searched.get(path) or (value_at(config, path),))
        for path, value in switches.items()
    )
