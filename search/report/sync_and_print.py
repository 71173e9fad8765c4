"""`triptych sync`: bring a tracking server up to date with a study's ledger."""

from pathlib import Path

from rich.console import Console

from search.console import print_line
from search.results.folder import results_folder
from search.tracking import sync_study


def sync_and_print(name: str, workdir: Path, tracking_uri: str | None) -> bool:
    """Write to a tracking server what it lacks of a study, and print what that was.

    Args:
        name: Name of a study, its file or a results folder.
        workdir: Folder whose `runs/` holds the results.
        tracking_uri: Address of the server; None = the one of the run.

    Returns:
        Whether the server has everything now.

    Raises:
        ResultsError: No results there.
        LedgerError: The ledger cannot be read.
    """
    console = Console()
    synced = sync_study(results_folder(name, workdir), tracking_uri)
    if synced.failure:
        print_line(
            console,
            f"{synced.tracking_uri}: {synced.written} cells written; it is behind the ledger, "
            f"nothing is lost: {synced.failure}",
        )
        return False
    print_line(
        console,
        f"{synced.tracking_uri}: {synced.written} cells written, {synced.there} there already",
    )
    return True
