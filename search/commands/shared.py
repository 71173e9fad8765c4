"""Options that several commands take, exit codes, and how errors end a command."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

AUTO_SHARE = "auto"
STARTED = time.time() - 0.1  # of this process: Python takes that long to get here
COMPLETE, INCOMPLETE, WRONG_INPUT, STOPPED, INTERRUPTED = 0, 1, 2, 3, 130


class GpuShare(click.ParamType):  # type: ignore[type-arg]  # generic in new versions alone
    """A share of a GPU, or `auto`, which is None."""

    name = "share"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float | None:
        """Read one."""
        if value == AUTO_SHARE:
            return None
        try:
            share = float(value)
        except ValueError:
            share = -1.0
        if not 0 <= share < float("inf"):
            self.fail(f"{value!r} is neither 'auto' nor a number of at least 0", param, ctx)
        if share > 1 and share != int(share):
            self.fail(f"{value!r}: above 1 Ray gives whole GPUs only", param, ctx)
        return share


def study_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """What every command that reads a study file takes."""
    for option in (
        click.option(
            "--set",
            "overrides",
            multiple=True,
            metavar="FIELD=VALUE",
            help="Change a field of the study, e.g. --set budget.candidates=4. Repeatable.",
        ),
        click.option(
            "--data",
            multiple=True,
            metavar="FILE",
            help="Feature file to use; NAME=FILE for one of several data sets. Repeatable.",
        ),
        click.argument("study"),
    ):
        command = option(command)
    return command


workdir_option = click.option(
    "--workdir",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    help="Results are in WORKDIR/runs/<study>. Default: here.",
)


json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON; text goes to stderr."
)


def where_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Where a study trains."""
    for option in (
        click.option(
            "--gpus-a-worker",
            type=GpuShare(),
            help="Share of a GPU for each worker, e.g. 0.25; 0: train on the CPU. Default: auto, "
            "as fits the GPUs that are there.",
        ),
        click.option(
            "--workers",
            type=click.IntRange(min=1),
            help="Packs at once. Default: as many as there is room for.",
        ),
        click.option("--address", help="Ray cluster, e.g. auto or 10.0.0.1:6379. Default: here."),
    ):
        command = option(command)
    return command


@contextmanager
def report_errors(*, goes_on: bool = False) -> Iterator[None]:
    """A user's mistake becomes one message and exit 2; Ctrl-C becomes 130.

    Args:
        goes_on: whether the command, given again, goes on from where it was.
    """
    try:
        yield
    except KeyboardInterrupt:
        from search.errors import GOES_ON

        click.echo(f"interrupted; {GOES_ON}" if goes_on else "interrupted", err=True)
        sys.exit(INTERRUPTED)
    except Exception as error:
        from search.errors import is_for_the_user

        if not is_for_the_user(error):
            raise
        click.echo(f"error: {error}", err=True)
        sys.exit(WRONG_INPUT)
