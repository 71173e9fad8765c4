"""The `data` part of a study: one data source of its core, or several under names."""

import re
from pathlib import Path
from typing import Any

from spaces.core import Core, DataSource, SettingError
from spaces.errors import error_at
from spaces.fields.paths import did_you_mean
from spaces.syntax.document import Node

NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"  # of a folder


def data_sources(
    core: Core, root: Node, raw: str | dict[str, Any] | None, folder: Path, task: str
) -> dict[str, DataSource]:
    """Check the `data` and `task` parts of a study file.

    Args:
        core: Core that reads them.
        root: The document, for the places of mistakes.
        raw: Its `data` part: a word or path, a mapping, or `sets` of them; None = there is none.
        folder: Folder at which relative paths start.
        task: Its `task`; empty = there is none.

    Returns:
        Name of a data set -> where it comes from; the name is empty where there is one alone.

    Raises:
        StudyError: An unknown field, scheme or setting.
    """
    if task and task not in core.tasks:
        raise error_at(
            root.find_node(("task",)).where,
            f"task: '{task}' is not a task of the core '{core.name}'"
            f"{did_you_mean(task, core.tasks)}; allowed are {', '.join(core.tasks)}",
        )
    node = root.value.get("data", root)
    if not isinstance(raw, dict) or "sets" not in raw:
        return {"": _data_source(core, node, raw, folder, task)}
    sets = node.find_node(("sets",))
    if len(raw) > 1 or not isinstance(sets.value, dict) or not sets.value:
        raise error_at(
            sets.where,
            "data.sets: needs a mapping of names to data sets, with nothing beside it, e.g. "
            "{sets: {mosi: {file: mosi.pkl}, mosei: {file: mosei.pkl}}}",
        )
    found = {}
    for name, child in sets.value.items():
        if not re.fullmatch(NAME, name):
            raise error_at(
                child.where,
                f"data.sets: {name!r} is part of a folder's name; use letters, digits, '.', '_' "
                "and '-'",
            )
        inside = child.plain_value()
        if not isinstance(inside, str | dict):
            raise error_at(
                child.where, f"data.sets.{name}: must be a path or a mapping, got {inside!r}"
            )
        found[name] = _data_source(core, child, inside, folder, task)
    return found


def _data_source(
    core: Core, node: Node, raw: str | dict[str, Any] | None, folder: Path, task: str
) -> DataSource:
    try:
        return core.parse_source(raw, folder, task)
    except SettingError as error:
        raise error_at(node.find_node(error.path).where, str(error)) from None
