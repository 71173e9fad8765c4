"""Cores by name: the one that ships, those of installed packages, and those made of functions."""

import functools
import importlib
import importlib.util
import re
from importlib.metadata import entry_points
from typing import Any

from spaces.core import Core
from spaces.fields.declaration import ConfigError
from spaces.fields.paths import did_you_mean

DEFAULT = "msa"
ENTRY_POINTS = "triptych.cores"  # group in which an installed package names its cores
# By name and not by import: the platform knows no core.
SHIPPED = {DEFAULT: "msa_core.core:CORE"}
FUNCTION_CORES = "search.cores.function_core:function_core"  # (name) -> core

_PARTS = tuple(name for name in vars(Core) if not name.startswith("_"))  # of the contract


def is_code_file(name: str) -> bool:
    """Check whether the name of a core is that of a Python file."""
    return name.endswith(".py")


@functools.cache
def find_core(name: str) -> Core:
    """Find a core by its name.

    Args:
        name: Name of a core that ships or is installed; `package.module:NAME`; dotted name of an
            installed module with a function `train`; or name of a file with one, whose text
            `with_plugins` then gives it.

    Raises:
        ConfigError: There is none of that name, it can't be imported, or it is something else.
    """
    known = {**SHIPPED, **_installed_cores()}
    if name in known or ":" in name:
        return _import_core(name, known.get(name, name))
    if is_code_file(name) or _is_installed(name):
        made: Core = _import_object(name, FUNCTION_CORES)(name)
        return made
    raise ConfigError(
        f"'{name}' is no core{did_you_mean(name, known)}; there are {', '.join(known)}, a Python "
        "file such as 'train.py', an installed module with a function train, and a core of an "
        "installed package as 'package.module:NAME'"
    )


def _import_core(name: str, path: str) -> Core:
    core: Core = _import_object(name, path)
    lacking = [part for part in _PARTS if not hasattr(core, part)]
    if lacking:
        raise ConfigError(
            f"'{name}' is no core: it has no {', '.join(lacking[:3])}"
            f"{f' and {len(lacking) - 3} more' if len(lacking) > 3 else ''} (spaces/core.py)"
        )
    return core


def _import_object(name: str, path: str) -> Any:
    module, _, attribute = path.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"the core '{name}' can't be imported: {error}") from error


def _is_installed(name: str) -> bool:
    """Check whether a dotted name starts with an installed package; nothing is imported."""
    if not re.fullmatch(r"\w+(\.\w+)+", name):
        return False
    return importlib.util.find_spec(name.partition(".")[0]) is not None


def _installed_cores() -> dict[str, str]:
    return {found.name: found.value for found in entry_points(group=ENTRY_POINTS)}
