"""`triptych init`: write a commented study file to start from, and its schema."""

from pathlib import Path

import click

from search.commands.shared import report_errors


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), default="study.yaml")
@click.option(
    "--core",
    default="",
    metavar="FILE",
    help="Python file with a function train, or an installed module: the study has its fields.",
)
@click.option(
    "--data",
    type=click.Path(exists=True, path_type=Path),
    help="With --core: file or folder that its function load is given.",
)
def init(file: Path, core: str, data: Path | None) -> None:
    """Write a commented study file to start from.

    FILE defaults to study.yaml. Beside it goes study.schema.json, by which an editor completes and
    checks it. A first study of your own training function: triptych init --core train.py
    """
    from search.help.new_study import write_starter
    from spaces.errors import StudyError

    with report_errors():
        if data and not core:
            raise StudyError("--data goes with --core; without it the data are generated")
        click.echo(write_starter(file, core, data))
    click.echo(f"{file} written. Next: triptych plan {file}")
