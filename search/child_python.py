"""Python processes that Triptych starts beside itself."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]  # where Triptych's packages are


def python_command(module: str, *arguments: str) -> list[str]:
    """Return the command of a module; the current folder is not on its path."""
    return [sys.executable, "-P", "-m", module, *arguments]


def python_environment() -> dict[str, str]:
    """Return the environment of a process that imports what this one does.

    Nothing is imported from the current folder or from that of the script: a user's `search.py`
    would take the place of a package.
    """
    return {**os.environ, "PYTHONPATH": os.pathsep.join(_own_path())}


def _own_path() -> Iterator[str]:
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    theirs = {Path.cwd(), Path(main).resolve().parent if main else Path.cwd()} - {ROOT}
    for entry in sys.path:
        if entry and Path(entry).resolve() not in theirs:
            yield entry
