"""What a results folder holds that the code or the data have moved away from."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from msa_core.data.dataset import Dataset
from search.ledger.ledger import read_ledger
from search.results.folder import PLAN, read_manifest, select_cells
from spaces.errors import StudyError
from spaces.plan.planned_arms import Versions

WHAT = {"data": "the data", "code": "the training core"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Stale:
    """Finished cells whose keys hold another version of the data or the training core.

    Attributes:
        cells: of the plan that the folder remembers.
        before, now: the versions.
    """

    folder: Path
    cells: int
    before: Versions
    now: Versions

    @property
    def changed(self) -> list[str]:
        """`data`, `code` or both."""
        return [name for name in WHAT if getattr(self.before, name) != getattr(self.now, name)]

    def sentence(self) -> str:
        """What changed, and how many cells it concerns."""
        what = " and ".join(
            f"{WHAT[name]} changed ({getattr(self.before, name)[:8]} to "
            f"{getattr(self.now, name)[:8]})"
            for name in self.changed
        )
        return f"{what} since {self.cells} cells of {self.folder} were trained"

    def question(self) -> str:
        """The sentence, and what to do."""
        other = (
            "; for results on another data set beside these, name both under 'data: {sets: ...}'"
            if "data" in self.changed
            else ""
        )
        return (
            f"{self.sentence()}: --rerun trains them again (the old ones stay in the ledger), "
            f"--keep lets them count and trains only what is missing{other}"
        )


def stale_cells(folder: Path, now: Versions) -> Stale | None:
    """What a results folder holds of other versions; None if nothing.

    Raises:
        ResultsError, LedgerError: a damaged folder.
    """
    if not (folder / PLAN).exists():
        return None
    manifest = read_manifest(folder)
    if manifest.versions == now:
        return None
    cells = len(select_cells(manifest, read_ledger(folder)))
    if not cells:
        return None
    return Stale(folder=folder, cells=cells, before=manifest.versions, now=now)


def check_kept(stale: Stale, dataset: Dataset) -> None:
    """Whether old and new cells can stand in one table.

    Raises:
        StudyError: they were tested on other utterances.
    """
    if "data" not in stale.changed:
        return
    labels = read_manifest(stale.folder).test_labels
    if not np.array_equal(labels, dataset.test.labels):
        raise StudyError(
            f"{stale.sentence()}, and its test labels are others: cells that were tested on "
            "different utterances can't stand in one table; use --rerun, or another --workdir"
        )
