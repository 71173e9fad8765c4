"""Designs: from a few named changes to the arms of a study."""

from collections.abc import Mapping
from dataclasses import dataclass

from msa_core.config_paths import Value

Changes = Mapping[str, Value]


@dataclass(frozen=True, kw_only=True, slots=True)
class Arm:
    """One row of the table: the base configuration with some fields fixed.

    Attributes:
        name: as it stands in the table.
        changes: field -> value, over the base configuration.
        where: where the study file says so.
    """

    name: str
    changes: Changes
    where: str


def explicit(arms: Mapping[str, tuple[Changes, str]]) -> list[Arm]:
    """The arms as they are written: name -> (changes, place)."""
    return [Arm(name=name, changes=changes, where=where) for name, (changes, where) in arms.items()]


def leave_one_out(components: Mapping[str, tuple[Changes, str]], where: str) -> list[Arm]:
    """`full`, the unchanged base, then `without X` for every component X.

    Args:
        components: name -> (the changes that take it out, place).
        where: place of the design.
    """
    full = Arm(name="full", changes={}, where=where)
    return [
        full,
        *(
            Arm(name=f"without {name}", changes=changes, where=place)
            for name, (changes, place) in components.items()
        ),
    ]
