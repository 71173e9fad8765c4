"""The `plugins` part of a study: files with modules of the user's own."""

from pathlib import Path

from msa_core.plugins import Plugin, PluginError, read_plugin, use_plugins
from spaces.errors import check_at, error_at
from spaces.syntax.document import Node


def study_plugins(root: Node, folder: Path) -> tuple[Plugin, ...]:
    """Read and execute a study's plugins; from now on their kinds are those of this process.

    Args:
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
        plugins.append(check_at(entry.where, "plugins", read_plugin, folder / entry.value))
    # In one call: it makes exactly these the plugins of the process, or none.
    try:
        use_plugins(plugins)
    except PluginError as error:
        raise error_at(_naming_line(node, str(error)), f"plugins: {error}") from None
    return tuple(plugins)


def _naming_line(node: Node, message: str) -> str:
    """Return the line of the entry that names the plugin which a message starts with."""
    for entry in node.value:
        name = Path(entry.value).name
        if message.startswith(f"{name}:"):
            return str(entry.where)
    return node.where
