"""`triptych schema`: write the JSON Schema of study files, for editors."""

from pathlib import Path

import click

from search.commands.shared import modules_option, report_errors


@click.command()
@click.argument(
    "file", type=click.Path(dir_okay=False, path_type=Path), default="study.schema.json"
)
@modules_option
def schema(file: Path, study: str | None) -> None:
    """Write the JSON Schema of study files, for editors.

    FILE defaults to study.schema.json; - is standard output.
    """
    from search.help.new_study import schema_text, write_schema

    with report_errors():
        if str(file) == "-":
            click.echo(schema_text(study), nl=False)
            return
        line = write_schema(file, study)
    click.echo(f"{file} written. In VS Code, with the extension YAML, a study begins with\n{line}")
