"""Triptych: which parts of a model matter, by how much, and how sure are we?

The only import that is documented. What it needs is imported when it is called.
"""

from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from triptych.own_packages import check_packages

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["__version__", "load"]

try:
    __version__ = metadata.version("triptych")
except metadata.PackageNotFoundError:  # a checkout on the path that was never installed
    __version__ = "0"


def load(folder: str | Path, table: str = "cells") -> "pd.DataFrame":
    """Read a table of a written report.

    Args:
        folder: Results folder, `runs/<study>`, or its report.
        table: Name of the table: `cells`, `arms`, or another one that the report has.

    Returns:
        The table in the types of its columns (`docs/reading-results.md`).

    Raises:
        ImportError: Another package or file takes the place of one of Triptych's.
        reports.results.ResultsError: There is no such report or table.
    """
    check_packages()
    import reports

    return reports.load(folder, table)
