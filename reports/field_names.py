"""Short names of a study's fields for people, no two alike, and their values as text."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from reports.results import FieldFacts, StudyFacts


def field_names(fields: Mapping[str, FieldFacts]) -> dict[str, str]:
    """Return path -> name: the label, or the label and the part of the path that tells it apart."""
    shared = Counter(item.label for item in fields.values())
    names = {}
    for path, item in fields.items():
        if not item.label:
            names[path] = path
        elif shared[item.label] == 1:
            names[path] = item.label
        else:
            alike = [p for p, other in fields.items() if other.label == item.label]
            names[path] = f"{item.label}, {_distinct_parts(path, alike)}"
    return names


def changes_from_baseline(facts: StudyFacts, arm: str) -> tuple[str, ...]:
    """Return what an arm fixes and the baseline does not, as `name: value`.

    Args:
        facts: Facts of the study.
        arm: Name of the arm; of the baseline everything that it fixes is returned.
    """
    names = field_names(facts.fields)
    own = facts.changes.get(arm, {})
    base = {} if arm == facts.baseline else facts.changes.get(facts.baseline, {})
    different = [
        f"{names.get(path, path)}: {format_value(value)}"
        for path, value in own.items()
        # Texts are compared: 1 and True are equal in Python, and not in a study file.
        if path not in base or format_value(base[path]) != format_value(value)
    ]
    dropped = [
        f"{names.get(path, path)}: as in the base configuration" for path in base if path not in own
    ]
    return (*different, *dropped)


def format_value(value: Any) -> str:
    """Return a value as a study file has it; a float with at most six significant digits."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _distinct_parts(path: str, alike: list[str]) -> str:
    """Return the parts of a path in which these paths differ, joined by dots."""
    parts = path.split(".")
    others = [other.split(".") for other in alike]
    # Parts of paths of different depth do not correspond, so only whole paths tell them apart.
    if any(len(other) != len(parts) for other in others):
        return path
    distinct = [
        part for depth, part in enumerate(parts) if len({other[depth] for other in others}) > 1
    ]
    return ".".join(distinct)
