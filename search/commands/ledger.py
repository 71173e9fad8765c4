"""`triptych ledger`: check a study's ledger, repair it, and export its cells."""

import sys
from pathlib import Path

import click

from search.commands.shared import ExitCode, report_errors, results_options


@click.group()
def ledger() -> None:
    """Look after the record of a study's finished cells."""


@ledger.command()
@results_options
@click.option("--repair", is_flag=True, help="Put damaged lines aside, as the next run would.")
def check(study: str, workdir: Path, repair: bool) -> None:
    """Say what a ledger holds and what is wrong with it.

    STUDY is a name, a file or a results folder.

    Exit code 0: every line is sound. 1: some are not.
    """
    from search.report import ledger_export
    from search.results.folder import results_folder

    with report_errors():
        folder = results_folder(study, workdir)
        if repair:
            click.echo("\n".join(ledger_export.repair_ledger(folder)))
        lines, is_sound = ledger_export.check_ledger(folder)
        click.echo("\n".join(lines))
        sys.exit(ExitCode.COMPLETE if is_sound else ExitCode.INCOMPLETE)


@ledger.command()
@results_options
@click.option(
    "--format",
    "form",
    type=click.Choice(["csv", "parquet", "jsonl"]),
    default="csv",
    help="jsonl has curves, predictions and logs too. Default: csv.",
)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Default: print it.")
@click.option(
    "--unseal",
    is_flag=True,
    help="With the test metrics of an unfinished study. Every later report says so.",
)
def export(study: str, workdir: Path, form: str, out: Path | None, unseal: bool) -> None:
    """Write every finished cell for other tools, one row per cell.

    STUDY is a name, a file or a results folder.

    Until the study is finished, test metrics and predictions are left out.
    """
    from search.report import ledger_export
    from search.results import embargo
    from search.results.folder import results_folder

    with report_errors():
        folder = results_folder(study, workdir)
        opened = unseal and embargo.lift_embargo(folder)
        sealed = not opened and embargo.is_embargoed(folder)
        count = ledger_export.export_cells(folder, form, out, sys.stdout, sealed=sealed)
        if sealed:
            click.echo(f"test metrics are sealed and left out; {embargo.HOW_TO_UNSEAL}", err=True)
        if out is not None:
            click.echo(f"{out} written, {count} cells")
