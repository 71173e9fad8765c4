"""`triptych serve`: show the report in a browser while the study runs."""

from pathlib import Path

import click

from search.commands.shared import report_errors, results_options


@click.command()
@results_options
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    help="Of this machine's loopback. Default: any that is free.",
)
@click.option("--browser/--no-browser", default=True, help="Open a browser. Default: yes.")
def serve(study: str, workdir: Path, port: int, browser: bool) -> None:
    """Show the report in a browser, renewed while the study runs.

    STUDY is a name, a file or a results folder; it may not have begun. Only this machine can
    open the page. Ctrl-C ends it.
    """
    from search.serve.serve import serve_report

    with report_errors():
        serve_report(study, workdir, port, browser)
