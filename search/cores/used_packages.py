"""The installed packages that some code imports, and their versions."""

import ast
import functools
import sys
from collections.abc import Collection, Iterable, Mapping
from importlib import metadata

OURS = ("triptych", "search", "spaces", "reports", "msa_core")


def used_packages(texts: Iterable[str], own: Collection[str]) -> tuple[tuple[str, str], ...]:
    """Return distribution and version of what some modules import.

    Args:
        texts: Texts of the modules.
        own: Top-level names that are the code's own, and no packages.
    """
    names = {name for text in texts for name in _imported_names(text)}
    others = names - set(own) - set(OURS) - sys.stdlib_module_names
    known = _distributions()
    found = {distribution for name in others for distribution in known.get(name, ())}
    return tuple((name, metadata.version(name)) for name in sorted(found))


def _imported_names(text: str) -> Iterable[str]:
    """Yield the top-level name of every absolute import, wherever it stands."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.module.partition(".")[0]


@functools.cache
def _distributions() -> Mapping[str, list[str]]:
    return metadata.packages_distributions()
