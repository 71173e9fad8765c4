"""The `plugins` part of a study: files with modules of the user's own."""

from pathlib import Path

from spaces.core import Core, SourceFile
from spaces.errors import error_at
from spaces.fields.declaration import ConfigError
from spaces.syntax.document import Node


def with_study_plugins(core: Core, root: Node, folder: Path) -> Core:
    """Return the core extended with a study's plugins.

    Args:
        core: Core of the study.
        root: The document.
        folder: Folder at which relative paths start.

    Raises:
        StudyError: Not a list of files, or a plugin that can't be used.
    """
    node = root.value.get("plugins", Node(root.where, []))
    if not isinstance(node.value, list):
        raise error_at(
            node.where, f"plugins: needs a list of Python files, but got {node.plain_value()!r}"
        )
    plugins = []
    for entry in node.value:
        if not isinstance(entry.value, str) or not entry.value.endswith(".py"):
            raise error_at(
                entry.where,
                f"plugins: needs the path of a Python file, but got {entry.plain_value()!r}",
            )
        plugins.append(_read_plugin(entry.where, folder / entry.value))
    try:
        return core.with_plugins(plugins)
    except ConfigError as error:
        raise error_at(_naming_line(node, str(error)), f"plugins: {error}") from None


def _read_plugin(where: str, path: Path) -> SourceFile:
    try:
        return SourceFile(path.name, path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:  # ValueError: no text, or no path
        raise error_at(where, f"plugins: {path}: cannot be read: {error}") from None


def _naming_line(node: Node, message: str) -> str:
    """Return the line of the entry that names the plugin which a message starts with."""
    for entry in node.value:
        name = Path(entry.value).name
        if message.startswith(f"{name}:"):
            return str(entry.where)
    return node.where
