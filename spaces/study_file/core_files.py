"""The core of a study with files of the user's own: a file with `train`, or `plugins` of a core."""

from pathlib import Path

from spaces.code_version import CodeTree, modules_beside
from spaces.core import Core, SourceFile
from spaces.errors import check_at, error_at
from spaces.fields.declaration import ConfigError
from spaces.find_core import DEFAULT, find_core, is_code_file
from spaces.syntax.document import Node


def find_study_core(root: Node, folder: Path) -> Core:
    """Return the core of a study, with the files that it is made of or extended with.

    Args:
        root: The document.
        folder: Folder at which relative paths start.

    Raises:
        StudyError: No such core, or a file that can't be used.
    """
    node = root.value.get("core", Node(root.where, DEFAULT))
    if not isinstance(node.value, str):
        raise error_at(node.where, f"core: needs the name of a core, got {node.plain_value()!r}")
    if not is_code_file(node.value):
        return _with_plugins(check_at(node.where, "core", find_core, node.value), root, folder)
    if "plugins" in root.value:
        raise error_at(
            root.value["plugins"].where,
            f"plugins: extend the core that ships; what '{node.value}' imports from its own "
            "folder is part of it already, so remove them",
        )
    return check_at(node.where, "core", read_core, folder / node.value)


def read_core(path: Path) -> Core:
    """Return the core of a Python file.

    Raises:
        ConfigError: It can't be used.
    """
    return find_core(path.name).with_plugins(_read_code(path.absolute()))


def _read_code(path: Path) -> list[SourceFile]:
    """Read a file, and the modules beside it that it can import; the file first."""
    text = _read_file(path).text  # one clear message if it is not there
    tree = CodeTree(modules_beside(path))
    try:
        compile(text, path.name, "exec")
        names = set(tree.version([path.stem]).files)
    except SyntaxError as error:
        place = f"{Path(error.filename or path.name).name}:{error.lineno}"
        raise ConfigError(f"{place}: SyntaxError: {error.msg}") from None
    # A package without code of its own is one all the same.
    packages = {parent for name in names for parent in Path(name).parents if parent.parts}
    names |= {
        (package / "__init__.py").as_posix()
        for package in packages
        if (path.parent / package / "__init__.py").is_file()
    }
    others = sorted(names - {path.name})
    return [_read_file(path.parent / name, name) for name in (path.name, *others)]


def _with_plugins(core: Core, root: Node, folder: Path) -> Core:
    node = root.value.get("plugins", Node(root.where, []))
    if not isinstance(node.value, list):
        raise error_at(
            node.where, f"plugins: needs a list of Python files, but got {node.plain_value()!r}"
        )
    plugins = []
    for entry in node.value:
        if not isinstance(entry.value, str) or not is_code_file(entry.value):
            raise error_at(
                entry.where,
                f"plugins: needs the path of a Python file, but got {entry.plain_value()!r}",
            )
        plugins.append(check_at(entry.where, "plugins", _read_file, folder / entry.value))
    try:
        return core.with_plugins(plugins)
    except ConfigError as error:
        raise error_at(_naming_line(node, str(error)), f"plugins: {error}") from None


def _read_file(path: Path, name: str = "") -> SourceFile:
    """Read a file of the user's; its name is that in its own folder."""
    name = name or path.name
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:  # ValueError: no text, or no path
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    folder = path.absolute()
    for _ in Path(name).parts:
        folder = folder.parent
    return SourceFile(name, text, folder)


def _naming_line(node: Node, message: str) -> str:
    """Return the line of the entry that names the plugin which a message starts with."""
    for entry in node.value:
        name = Path(entry.value).name
        if message.startswith(f"{name}:"):
            return str(entry.where)
    return node.where
