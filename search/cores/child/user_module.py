"""The import of the user's code."""

import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from search.cores.child.user_errors import CodeMistake, describe_error

OURS = ("triptych", "search", "spaces", "reports", "msa_core")


def import_user_module(folder: Path | None, name: str) -> ModuleType:
    """Import the module of a core.

    Args:
        folder: Folder of the file; None = the module is installed.
        name: Dotted name of the module.

    Raises:
        CodeMistake: It can't be imported.
    """
    # A module of the user's may have the name of one of ours, which are imported already.
    for known in [one for one in sys.modules if one.split(".")[0] in OURS]:
        del sys.modules[known]
    if folder is not None:
        sys.path.insert(0, str(folder))
    # Nothing is left in the user's folder.
    sys.dont_write_bytecode = True
    try:
        if folder is None:
            return importlib.import_module(name)
        return _import_file(folder / f"{name}.py", name)
    except CodeMistake:
        raise
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        if folder is None and isinstance(error, ModuleNotFoundError) and error.name == name:
            raise CodeMistake("its package is installed, but has no such module") from None
        raise CodeMistake(_import_message(error, folder)) from error


def _import_file(path: Path, name: str) -> ModuleType:
    # By its place: another module of this name, say `random`, may be imported already.
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _import_message(error: BaseException, folder: Path | None) -> str:
    where = folder if folder is not None else Path("/")
    if isinstance(error, SystemExit):
        return f"it ends the process when it is imported (SystemExit: {error.code})"
    message = describe_error(error, where)
    if isinstance(error, ModuleNotFoundError):
        message += "; install it where Triptych is"
    return message


def find_function(module: ModuleType, name: str) -> Callable[..., Any] | None:
    """Return a function of the module; None if it has none.

    Raises:
        CodeMistake: Something else has that name.
    """
    found = getattr(module, name, None)
    if found is not None and not callable(found):
        raise CodeMistake(f"'{name}' must be a function, but is of type {type(found).__name__}")
    return found
