"""`triptych sync`: bring a tracking server up to date with a study's ledger."""

from pathlib import Path

from rich.console import Console

from search.console import say
from search.results.folder import results_folder
from search.tracking import sync_study


def sync_and_say(name: str, workdir: Path, tracking_uri: str | None) -> bool:
    """Write to a tracking server what it lacks of a study, and say what that was.

    Args:
        name: of a study, a file or a results folder.
        workdir: where results are.
        tracking_uri: the server; None = the one of the run.

    Returns:
        Whether it has everything now.

    Raises:
        ResultsError: no results there.
        LedgerError: the ledger cannot be read.
    """
    console = Console()
    synced = sync_study(results_folder(name, workdir), tracking_uri)
    if synced.failure:
        say(
            console,
            f"{synced.tracking_uri}: {synced.written} cells written; it is behind the ledger, "
            f"nothing is lost: {synced.failure}",
        )
        return False
    say(
        console,
        f"{synced.tracking_uri}: {synced.written} cells written, {synced.there} there already",
    )
    return True
