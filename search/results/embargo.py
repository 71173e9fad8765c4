"""The embargo: while a study is unfinished, its test metrics are kept back.

Whoever sees them early may stop, or continue, because of what they saw. Lifting the embargo is
possible, and every later report mentions it (`search.results.unblinding_log`). The ledger itself is
not encrypted. What is under embargo is called "sealed" in commands, files and reports.
"""

from pathlib import Path

from reports.results import Results, ResultsError
from search.ledger.ledger import read_ledger
from search.results.folder import Manifest, PlanCompletion, measure_completion, read_manifest
from search.results.layout import PLAN
from search.results.unblinding_log import UNBLINDING_LOG, record_early_unblinding
from spaces.plan.plan import Phase

HOW_TO_UNSEAL = (
    "they open by themselves when the study is finished; --unseal opens them now, and every later "
    "report will state it"
)


def is_embargoed(folder: Path) -> bool:
    """Check whether the test metrics of a results folder are to be kept back.

    Raises:
        ResultsError: A damaged plan.
        LedgerError: A damaged ledger.
    """
    # A ledger without a plan belongs to no study that could be unfinished.
    return (folder / PLAN).exists() and not _read_completion(folder)[1].complete


def lift_embargo(folder: Path) -> bool:
    """Make the test metrics of an unfinished study visible, and log that first.

    Returns:
        Whether there was anything to make visible.

    Raises:
        ResultsError: No results there, or it cannot be logged.
        LedgerError: A damaged ledger.
    """
    manifest, completion = _read_completion(folder)
    if completion.complete or not completion.confirm_done:
        return False
    try:
        record_early_unblinding(
            folder, manifest.size, completion.confirm_done, completion.confirm_planned
        )
    except OSError as error:
        raise ResultsError(
            f"{folder / UNBLINDING_LOG}: cannot be written ({error.strerror}); test metrics of an "
            "unfinished study are shown only if that is written down there"
        ) from None
    return True


def embargo_sentence(results: Results) -> str:
    """Return how far a study under embargo is, and what lifts the embargo."""
    done = int((results.cells["phase"] == Phase.CONFIRM).sum())
    return (
        f"test metrics are sealed: {done} of {results.planned_confirm} confirm cells are done; "
        f"{HOW_TO_UNSEAL}"
    )


def _read_completion(folder: Path) -> tuple[Manifest, PlanCompletion]:
    manifest = read_manifest(folder)
    return manifest, measure_completion(manifest, read_ledger(folder))
