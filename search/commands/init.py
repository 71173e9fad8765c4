"""`triptych init`: write a commented study file to start from, and its schema."""

from pathlib import Path

import click

from search.commands.shared import report_errors


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), default="study.yaml")
def init(file: Path) -> None:
    """Write a commented study file to start from.

    FILE defaults to study.yaml. Beside it goes study.schema.json, by which an editor completes and
    checks it.
    """
    from search.help.new_study import write_starter

    with report_errors():
        click.echo(write_starter(file))
    click.echo(f"{file} written. Next: triptych plan {file}")
