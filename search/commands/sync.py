"""`triptych sync`."""

import sys
from pathlib import Path

import click

from search.commands.shared import COMPLETE, INCOMPLETE, report_errors, workdir_option


@click.command()
@click.argument("study")
@workdir_option
@click.option("--tracking-uri", help="MLflow server. Default: the one the run used.")
def sync(study: str, workdir: Path, tracking_uri: str | None) -> None:
    """Write to a tracking server what it lacks of a study; every cell once, as often as you like.

    STUDY is a name, a file or a results folder. Exit code 0: the server has every cell. 1: it is
    away, or refuses some; what it lacks is in the ledger. 2: wrong input.
    """
    from search.report.sync import sync_and_say

    with report_errors(goes_on=True):
        sys.exit(COMPLETE if sync_and_say(study, workdir, tracking_uri) else INCOMPLETE)
