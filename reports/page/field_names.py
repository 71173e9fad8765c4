"""What the fields of a study are called on the page: short, and no two alike."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from reports.results import FieldFacts, StudyFacts


def field_names(fields: Mapping[str, FieldFacts]) -> dict[str, str]:
    """Path -> name: the label, and where several fields share it, what tells their paths apart."""
    shared = Counter(item.label for item in fields.values())
    names = {}
    for path, item in fields.items():
        if not item.label:
            names[path] = path
        elif shared[item.label] == 1:
            names[path] = item.label
        else:
            alike = [p for p, other in fields.items() if other.label == item.label]
            names[path] = f"{item.label}, {_difference(path, alike)}"
    return names


def changes_from_baseline(facts: StudyFacts, arm: str) -> tuple[str, ...]:
    """What an arm fixes and the baseline does not, one `name: value` each; all of the baseline."""
    names = field_names(facts.fields)
    own = facts.changes.get(arm, {})
    base = {} if arm == facts.baseline else facts.changes.get(facts.baseline, {})
    different = [
        f"{names.get(path, path)}: {written(value)}"
        for path, value in own.items()
        if path not in base or written(base[path]) != written(value)
    ]
    dropped = [
        f"{names.get(path, path)}: as in the base configuration" for path in base if path not in own
    ]
    return (*different, *dropped)


def written(value: Any) -> str:
    """A value as a study file has it; floats as far as a person reads them."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _difference(path: str, alike: list[str]) -> str:
    """The parts of a path that not all of these paths have at that place."""
    parts = path.split(".")
    others = [other.split(".") for other in alike]
    if any(len(other) != len(parts) for other in others):
        return path
    apart = [
        part for place, part in enumerate(parts) if len({other[place] for other in others}) > 1
    ]
    return ".".join(apart)
