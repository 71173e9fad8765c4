"""The test lock: while a study is unfinished, nobody is shown what it came to on the test split.

Whoever looks early may stop, or go on, because of what they saw. Opening is possible, and every
later report says so (`search.results.unblinding_log`). The ledger itself is not encrypted.
"""

from pathlib import Path

from reports.results import Results, ResultsError
from search.ledger.ledger import read_ledger
from search.results.folder import PLAN, Manifest, Standing, read_manifest, standing_of
from search.results.unblinding_log import OPENINGS, open_early

HOW_TO_OPEN = (
    "they open by themselves when the study is finished; --unseal opens them now, and every later "
    "report will say so"
)


def is_sealed(folder: Path) -> bool:
    """Whether the test metrics of a results folder are to be kept back.

    A ledger without a plan belongs to no study that could be unfinished.

    Raises:
        ResultsError: a damaged plan.
        LedgerError: a damaged ledger.
    """
    return (folder / PLAN).exists() and not _standing(folder)[1].complete


def unseal(folder: Path) -> bool:
    """Open the test metrics of an unfinished study, which is written down first.

    Returns:
        Whether there was anything to open.

    Raises:
        ResultsError: no results there, or it cannot be written down.
        LedgerError: a damaged ledger.
    """
    manifest, standing = _standing(folder)
    if standing.complete or not standing.confirm_done:
        return False
    try:
        open_early(folder, manifest.size, standing.confirm_done, standing.confirm_planned)
    except OSError as error:
        raise ResultsError(
            f"{folder / OPENINGS}: cannot be written ({error.strerror}); test metrics of an "
            "unfinished study are shown only if that is written down there"
        ) from None
    return True


def sealed_sentence(results: Results) -> str:
    """What is there of a sealed study, and what opens it."""
    done = int((results.cells["phase"] == "confirm").sum())
    return (
        f"test metrics are sealed: {done} of {results.planned_confirm} confirm cells are done; "
        f"{HOW_TO_OPEN}"
    )


def _standing(folder: Path) -> tuple[Manifest, Standing]:
    manifest = read_manifest(folder)
    return manifest, standing_of(manifest, read_ledger(folder))
