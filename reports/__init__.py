"""From results to a table with its uncertainty. Imports none of the other packages.

`reports.load(folder)` is for notebooks: a study's results as a data frame.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["load"]


def load(folder: str | Path, table: str = "cells") -> pd.DataFrame:
    """A table of a written report, as `reports.loading.load` explains."""
    from reports.loading import load  # pandas takes its time, and few need it

    return load(folder, table)
