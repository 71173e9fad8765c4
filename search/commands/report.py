"""`triptych report`: write the report of a study again, from its ledger or from MLflow."""

from pathlib import Path

import click

from search.commands.shared import report_errors, results_options, run_server_option


@click.command()
@results_options
@click.option(
    "--from",
    "source",
    type=click.Choice(["ledger", "mlflow"]),
    default="ledger",
    help="Where the results come from. Default: ledger.",
)
@run_server_option
@click.option(
    "--unseal",
    is_flag=True,
    help="Show the test metrics of an unfinished study. Every later report says so.",
)
def report(study: str, workdir: Path, source: str, tracking_uri: str | None, unseal: bool) -> None:
    """Write the report of a study again.

    STUDY is a name, a file or a results folder.

    Until a study is finished its test metrics are sealed, in reports, exports and MLflow: who
    sees them may stop or go on because of them. The ledger itself is not encrypted.
    """
    from search.report.write_and_print import write_study_report

    with report_errors():
        write_study_report(study, workdir, source, tracking_uri, unseal)
