"""`triptych reproduce`: train rows or cells again and compare them with the ledger."""

import sys
from pathlib import Path

import click

from search.commands.shared import ExitCode, json_option, report_errors, results_options


@click.command()
@results_options
@click.argument("targets", nargs=-1, required=True, metavar="ROW|CELL...")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Feature file. Default: that of the last run.",
)
@click.option(
    "--device",
    type=click.Choice(["cpu", "cuda"]),
    help="Where to train. Default: where it was trained, if that is here.",
)
@json_option
def reproduce(
    study: str,
    targets: tuple[str, ...],
    workdir: Path,
    data: Path | None,
    device: str | None,
    as_json: bool,
) -> None:
    """Train rows or cells again and say whether they are what they were.

    STUDY is a name, a file or a results folder; ROW the name of an arm; CELL the key of a cell,
    as in report/cells.csv, or at least its first 6 characters.

    A cell is the same to the bit (metrics, curves, test predictions), or inside the interval
    where a new seed is expected, or neither. Nothing is written.

    Exit code 0: all are the same or inside. 1: some are not. 2: wrong input.
    """
    from search.reproduce.reproduce import reproduce_targets

    with report_errors():
        is_same = reproduce_targets(
            study, targets, workdir, data=data, device=device, as_json=as_json
        )
        sys.exit(ExitCode.COMPLETE if is_same else ExitCode.INCOMPLETE)
