"""Triptych: from results to a table with its uncertainty. Imports none of the other packages.

`triptych.load(folder)` is for notebooks: a study's results as a data frame.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["load"]


def load(folder: str | Path, table: str = "cells") -> pd.DataFrame:
    """Read a table of a written report, as `reports.loading.load` explains."""
    # Inside the function: importing pandas takes long, and few importers of `reports` need it.
    from reports.loading import load

    return load(folder, table)
