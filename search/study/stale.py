"""Cells of a results folder from another version of the data or the training core."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from search.ledger.ledger import read_ledger
from search.results.folder import read_manifest, select_cells
from search.results.layout import PLAN
from spaces.core import Data
from spaces.errors import StudyError
from spaces.plan.arms_on_data import Versions

WHAT = {"data": "the data", "code": "the training core"}


@dataclass(frozen=True, kw_only=True, slots=True)
class StaleCells:
    """Finished cells whose keys hold another version of the data or the training core.

    Attributes:
        folder: Results folder.
        cells: Number of finished cells of the plan that the folder keeps.
        before, now: Versions that their keys hold, and those of today.
    """

    folder: Path
    cells: int
    before: Versions
    now: Versions

    @property
    def changed(self) -> list[str]:
        """`data`, `code` or both."""
        return [name for name in WHAT if getattr(self.before, name) != getattr(self.now, name)]

    def change_sentence(self) -> str:
        """Return what changed, and how many cells it concerns."""
        what = " and ".join(
            f"{WHAT[name]} changed ({getattr(self.before, name)[:8]} to "
            f"{getattr(self.now, name)[:8]})"
            for name in self.changed
        )
        return f"{what} since {self.cells} cells of {self.folder} were trained"

    def rerun_question(self) -> str:
        """Return what changed, with the options that answer it."""
        other = (
            "; for results on another data set beside these, name both under 'data: {sets: ...}'"
            if "data" in self.changed
            else ""
        )
        return (
            f"{self.change_sentence()}: --rerun trains them again (the old ones stay in the "
            f"ledger), --keep lets them count and trains only what is missing{other}"
        )


def find_stale_cells(folder: Path, now: Versions) -> StaleCells | None:
    """Find what a results folder holds of other versions; None if nothing.

    Raises:
        ResultsError, LedgerError: A damaged folder.
    """
    if not (folder / PLAN).exists():
        return None
    manifest = read_manifest(folder)
    if manifest.versions == now:
        return None
    cells = len(select_cells(manifest, read_ledger(folder)))
    # Nothing was trained yet, so there is nothing to ask.
    if not cells:
        return None
    return StaleCells(folder=folder, cells=cells, before=manifest.versions, now=now)


def check_kept(stale: StaleCells, dataset: Data) -> None:
    """Refuse to keep old cells that can't stand in one table with new ones.

    Raises:
        StudyError: They were tested on other utterances.
    """
    # Another training core changes the numbers, but not what they are compared on.
    if "data" not in stale.changed:
        return
    labels = read_manifest(stale.folder).test_labels
    if not np.array_equal(labels, dataset.test_labels):
        raise StudyError(
            f"{stale.change_sentence()}, and its test labels are others: cells that were tested on "
            "different utterances can't stand in one table; use --rerun, or another --workdir"
        )
