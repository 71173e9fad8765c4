"""Arguments and options that several commands take, exit codes, and how errors end a command."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import Any

import click

from search.commands.completion import complete_study

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

AUTO_SHARE = "auto"
# Start of this process, in seconds since 1970; Python takes about 0.1 s to get here.
STARTED = time.time() - 0.1


class ExitCode(IntEnum):
    """Exit codes of all commands."""

    COMPLETE = 0
    INCOMPLETE = 1  # cells failed, or differ, or are not where they should be
    WRONG_INPUT = 2
    STOPPED = 3  # at a limit of the budget
    INTERRUPTED = 130  # 128 + SIGINT, as shells have it


class GpuShare(click.ParamType):  # type: ignore[type-arg]  # generic in new versions alone
    """A share of a GPU, or `auto`, which is None."""

    name = "share"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float | None:
        """Convert the text of an option."""
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


def combine_options(*options: Decorator) -> Decorator:
    """Return one decorator for several options, listed by `--help` in the order given."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        # click lists the option first that is applied last, as in a stack of decorators.
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


study_argument = click.argument("study", shell_complete=complete_study)

workdir_option = click.option(
    "--workdir",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    help="Results are in WORKDIR/runs/<study>. Default: here.",
)

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON; text goes to stderr."
)

modules_option = click.option(
    "--study", help="Study file whose core, or own modules, have the fields."
)

run_server_option = click.option(
    "--tracking-uri", help="MLflow server. Default: the one the run used."
)

study_file_options = combine_options(
    study_argument,
    click.option(
        "--data",
        multiple=True,
        metavar="FILE",
        help="Feature file to use; NAME=FILE for one of several data sets. Repeatable.",
    ),
    click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="FIELD=VALUE",
        help="Change a field of the study, e.g. --set budget.candidates=4. Repeatable.",
    ),
    workdir_option,
)

results_options = combine_options(study_argument, workdir_option)

hardware_options = combine_options(
    click.option("--address", help="Ray cluster, e.g. auto or 10.0.0.1:6379. Default: here."),
    click.option(
        "--workers",
        type=click.IntRange(min=1),
        help="Packs at once. Default: as many as there is room for.",
    ),
    click.option(
        "--gpus-a-worker",
        type=GpuShare(),
        help="Share of a GPU for each worker, e.g. 0.25; 0: train on the CPU. Default: auto, "
        "as fits the GPUs that are there.",
    ),
)


@contextmanager
def report_errors(*, resumable: bool = False) -> Iterator[None]:
    """Turn a user's mistake into one message and exit code 2, and Ctrl-C into 130.

    Args:
        resumable: Whether the same command, given again, resumes what was interrupted.
    """
    try:
        yield
    except KeyboardInterrupt:
        # Imported late, here and below: it takes longer than `triptych --help` altogether.
        from search.errors import RESUME_NOTE

        click.echo(f"interrupted; {RESUME_NOTE}" if resumable else "interrupted", err=True)
        sys.exit(ExitCode.INTERRUPTED)
    except Exception as error:
        from search.errors import is_for_the_user

        if not is_for_the_user(error):
            raise
        click.echo(f"error: {error}", err=True)
        sys.exit(ExitCode.WRONG_INPUT)
