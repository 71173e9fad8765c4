"""The commands of a finished study: make it again, hold it against another, look at it live."""

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import click

_workdir = click.option(
    "--workdir",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    help="Results are in WORKDIR/runs/<study>. Default: here.",
)
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON; text goes to stderr.")
Errors = Callable[[], AbstractContextManager[None]]


def add_report_commands(main: click.Group, errors: Errors) -> None:
    """Add them to the front door.

    Args:
        main: the front door.
        errors: makes one message of a user's mistake.
    """
    main.add_command(_reproduce(errors))
    main.add_command(_compare(errors))
    main.add_command(_serve(errors))


def _reproduce(errors: Errors) -> click.Command:
    @click.command()
    @click.argument("study")
    @click.argument("targets", nargs=-1, required=True, metavar="ROW|CELL...")
    @_workdir
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
    @_json
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
        from search.again.reproduce import ReproduceOptions
        from search.again.reproduce import reproduce as train_and_compare

        with errors():
            options = ReproduceOptions(data=data, device=device, as_json=as_json)
            sys.exit(0 if train_and_compare(study, targets, workdir, options) else 1)

    return reproduce


def _compare(errors: Errors) -> click.Command:
    @click.command()
    @click.argument("studies", nargs=-1, required=True, metavar="STUDY STUDY...")
    @_workdir
    @click.option(
        "--out",
        type=click.Path(file_okay=False, path_type=Path),
        metavar="FOLDER",
        help="Write compare.md, .tex and .csv there, and the tables side by side.",
    )
    @_json
    def compare(studies: tuple[str, ...], workdir: Path, out: Path | None, as_json: bool) -> None:
        """Hold two studies, or two versions of one, against each other.

        STUDY is a name, a file or a results folder. Arms are matched by name; the difference is the
        second minus the first, paired where seeds and test utterances are shared. More than two
        studies are only written side by side, with --out.
        """
        from search.versus.compare import compare as hold_against

        with errors():
            hold_against(studies, workdir, out, as_json)

    return compare


def _serve(errors: Errors) -> click.Command:
    @click.command()
    @click.argument("study")
    @_workdir
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
        from search.serving.serve import serve as serve_report

        with errors():
            serve_report(study, workdir, port, browser)

    return serve
