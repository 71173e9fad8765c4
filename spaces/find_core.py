"""Cores by name: the one that ships, and those of installed packages."""

import functools
import importlib
from importlib.metadata import entry_points

from spaces.core import Core
from spaces.fields.declaration import ConfigError
from spaces.fields.paths import did_you_mean

DEFAULT = "msa"
ENTRY_POINTS = "triptych.cores"  # group in which an installed package names its cores
# By name and not by import: the platform knows no core.
SHIPPED = {DEFAULT: "msa_core.core:CORE"}

_PARTS = tuple(name for name in vars(Core) if not name.startswith("_"))  # of the contract


@functools.cache
def find_core(name: str) -> Core:
    """Find a core by its name, or as `package.module:NAME`.

    Raises:
        ConfigError: There is none of that name, it can't be imported, or it is something else.
    """
    path = SHIPPED.get(name) or (name if ":" in name else _installed_cores().get(name, ""))
    if not path:
        known = [*SHIPPED, *_installed_cores()]
        raise ConfigError(
            f"'{name}' is no core{did_you_mean(name, known)}; there are {', '.join(known)}, and "
            "a module of an installed package as 'package.module:NAME'"
        )
    module, _, attribute = path.partition(":")
    try:
        core: Core = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"the core '{name}' can't be imported: {error}") from error
    lacking = [part for part in _PARTS if not hasattr(core, part)]
    if lacking:
        raise ConfigError(
            f"'{name}' is no core: it has no {', '.join(lacking[:3])}"
            f"{f' and {len(lacking) - 3} more' if len(lacking) > 3 else ''} (spaces/core.py)"
        )
    return core


def _installed_cores() -> dict[str, str]:
    return {found.name: found.value for found in entry_points(group=ENTRY_POINTS)}
