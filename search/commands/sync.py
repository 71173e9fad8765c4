"""`triptych sync`: bring an MLflow server up to date with a study's ledger."""

import sys
from pathlib import Path

import click

from search.commands.shared import ExitCode, report_errors, results_options, run_server_option


@click.command()
@results_options
@run_server_option
def sync(study: str, workdir: Path, tracking_uri: str | None) -> None:
    """Write to a tracking server what it lacks of a study; every cell once, as often as you like.

    STUDY is a name, a file or a results folder. Exit code 0: the server has every cell. 1: it is
    away, or refuses some; what it lacks is in the ledger. 2: wrong input.
    """
    from search.results.folder import results_folder
    from search.tracking import sync_study

    with report_errors(resumable=True):
        synced = sync_study(results_folder(study, workdir), tracking_uri)
        written = f"{synced.tracking_uri}: {synced.written} cells written"
        if synced.failure:
            click.echo(f"{written}; it is behind the ledger, nothing is lost: {synced.failure}")
            sys.exit(ExitCode.INCOMPLETE)
        click.echo(f"{written}, {synced.there} there already")
