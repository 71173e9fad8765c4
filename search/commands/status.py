"""`triptych status`: show how far one study is, or all of them, here or on a cluster."""

import sys
from functools import partial
from pathlib import Path

import click

from search.commands.completion import complete_study
from search.commands.shared import report_errors, workdir_option
from search.submit.head import HEAD_WORKDIR


@click.command()
@click.argument("study", required=False, shell_complete=complete_study)
@workdir_option
@click.option("--address", metavar="URL", help="Job server of the cluster where it is.")
@click.option("--watch", is_flag=True, help="Show it every two seconds, until nothing runs.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, a line each time.")
@click.option("--failed", is_flag=True, help="Print also what every failed cell said last.")
def status(
    study: str | None, workdir: Path, address: str | None, watch: bool, as_json: bool, failed: bool
) -> None:
    """Show how far a study is, whoever runs it and wherever.

    STUDY is a name, a file or a results folder; without it, all studies here.
    """
    from search.screen.status import StatusOptions, show_status

    with report_errors():
        if address:
            from search.submit.jobs import ask_status

            there = HEAD_WORKDIR if workdir == Path() else workdir.as_posix()
            flags = {"--watch": watch, "--json": as_json, "--failed": failed}
            given = [flag for flag, is_given in flags.items() if is_given]
            echo = partial(click.echo, nl=False)
            sys.exit(ask_status(study, address, echo, there, given))
        show_status(study, workdir, StatusOptions(watch=watch, as_json=as_json, failed=failed))
