"""`triptych compare`: the differences of two studies, or of two versions of one, arm by arm."""

from pathlib import Path

import click

from search.commands.completion import complete_study
from search.commands.shared import json_option, report_errors, workdir_option


@click.command()
@click.argument(
    "studies",
    nargs=-1,
    required=True,
    metavar="STUDY STUDY...",
    shell_complete=complete_study,
)
@workdir_option
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Write compare.md, .tex and .csv there, and the tables side by side.",
)
@json_option
def compare(studies: tuple[str, ...], workdir: Path, out: Path | None, as_json: bool) -> None:
    """Hold two studies, or two versions of one, against each other.

    STUDY is a name, a file or a results folder. Arms are matched by name; the difference is the
    second minus the first, paired where seeds and test examples are shared. More than two
    studies are only written side by side, with --out.
    """
    from search.compare.compare import compare_folders

    with report_errors():
        compare_folders(studies, workdir, out, as_json)
