"""Names of arms: of levels that are one value of one field, and of groups of fields."""

from collections.abc import Mapping

from spaces.fields.declaration import Value
from spaces.fields.help import value_text
from spaces.fields.paths import fields_of

COMPONENT_SEPARATOR = " + "  # components that are on together


def short_name(config_class: type, path: str) -> str:
    """Return the end of a field's path, as long as it needs to be to name no other field."""
    steps = path.split(".")
    ends = (".".join(steps[-length:]) for length in range(1, len(steps)))
    others = [other for other in fields_of(config_class) if other != path]
    return next(
        (end for end in ends if not any(other.endswith(f".{end}") for other in others)), path
    )


def level_text(config_class: type, path: str, value: Value) -> str:
    """Return the name of a level that is one value of one field: `fusion tfn`, `batch_size 64`."""
    return f"{short_name(config_class, path).removesuffix('.kind')} {value_text(value)}"


def groups_name(states: Mapping[str, tuple[str, str]], off: str) -> str:
    """Name the arm of some groups; empty if all are off.

    `shared TA + TV, private AV`, with a measure `shared TA (cov)`.
    """
    # The mode stands in front of its groups, since `TA` alone could be shared or private: a larger
    # design that has both modes would give the arm another name.
    by_mode: dict[str, list[str]] = {}
    for group, (mode, detail) in states.items():
        if mode != off:
            text = group_letters(group) + (f" ({detail})" if detail else "")
            by_mode.setdefault(mode, []).append(text)
    # In an order that does not depend on the order in which a study lists modes or groups.
    return ", ".join(
        f"{mode} {COMPONENT_SEPARATOR.join(members)}"
        for mode, members in sorted(by_mode.items(), reverse=True)
    )


def group_letters(group: str) -> str:
    """Return the initials of a group: `TA` of `text_audio`."""
    return "".join(part[0].upper() for part in group.split("_"))
