"""The front door: `triptych`. Heavy imports stay inside the commands, so that help is instant."""

import atexit
import gc
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import click

from search.cluster.front import WORKDIR, GpuShare, submit_command
from search.ledger_front import ledger_group
from search.report_front import add_report_commands

STARTED = time.time() - 0.1  # of this process: Python takes that long to get here
COMPLETE, INCOMPLETE, WRONG_INPUT, STOPPED, INTERRUPTED = 0, 1, 2, 3, 130


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="triptych", prog_name="triptych")
def main() -> None:
    """Which parts of a multimodal model matter, by how much, and how sure are we?

    A study is one YAML file. `triptych run` tunes every arm with the same budget, trains the
    winners on fresh seeds, and writes the table with its uncertainty. Running it again does
    only what is missing.
    """
    # At its end Python would look at every object of PyTorch, MLflow and pandas, for seconds.
    atexit.register(gc.freeze)


def _study_options(command: Callable[..., Any]) -> Callable[..., Any]:
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


_workdir = click.option(
    "--workdir",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    help="Results are in WORKDIR/runs/<study>. Default: here.",
)


def _where(command: Callable[..., Any]) -> Callable[..., Any]:
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


@main.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), default="study.yaml")
def init(file: Path) -> None:
    """Write a commented study file to start from.

    FILE defaults to study.yaml. Beside it goes study.schema.json, by which an editor completes and
    checks it.
    """
    from search.editor import write_starter

    with _errors():
        click.echo(write_starter(file))
    click.echo(f"{file} written. Next: triptych plan {file}")


@main.command()
@click.argument(
    "file", type=click.Path(dir_okay=False, path_type=Path), default="study.schema.json"
)
@click.option("--study", help="Study file whose own modules have fields too.")
def schema(file: Path, study: str | None) -> None:
    """Write the JSON Schema of study files, for editors.

    FILE defaults to study.schema.json; - is standard output.
    """
    from search.editor import schema_text, write_schema

    with _errors():
        if str(file) == "-":
            click.echo(schema_text(study), nl=False)
            return
        line = write_schema(file, study)
    click.echo(f"{file} written. In VS Code, with the extension YAML, a study begins with\n{line}")


@main.command()
@_study_options
@_workdir
@click.option("--keep", is_flag=True, help="Count cells of an older version of code or data.")
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON.")
@click.option(
    "--probe/--no-probe",
    default=None,
    help="Train a little of the study to tell what it takes. Default: unless the ledger knows.",
)
@_where
def plan(
    study: str,
    data: tuple[str, ...],
    overrides: tuple[str, ...],
    workdir: Path,
    keep: bool,
    **options: Any,
) -> None:
    """Check a study, show what would run, and what it would take.

    STUDY is a file or the name of a shipped study.
    """
    from search.commands import PlanOptions, show_plans
    from search.opening import ASK, KEEP, open_study

    with _errors():
        old = KEEP if keep else ASK
        plans = open_study(study, data, overrides, workdir, need_data=False, old=old)
        show_plans(plans, PlanOptions(**options))


@main.command()
@click.argument("field", required=False)
@click.option("--study", help="Study file whose own modules have fields too.")
def explain(field: str | None, study: str | None) -> None:
    """Say what a field of a study means.

    FIELD is a field such as train.epochs, a group of them such as model.fusion, a field of the
    study such as budget.candidates, a design, a domain or a sampler; without it, all are listed.
    """
    from search.explain import show_field, show_fields
    from spaces.study import find_study, load_study

    with _errors():
        if study:
            load_study(find_study(study))
        show_field(field) if field else show_fields()


@main.command()
@_study_options
@_workdir
@_where
@click.option("--tracking-uri", help="MLflow server. Default: SQLite in the results folder.")
@click.option(
    "--mirror",
    metavar="URI",
    help="Keep a copy of the results there, and start from it: s3://, gs:// or file://.",
)
@click.option(
    "--pack-size",
    type=click.IntRange(min=1),
    help="Cells trained in one step. Default: measured. 1: no packs.",
)
@click.option("--retry-failed", is_flag=True, help="Train failed cells again.")
@click.option(
    "--epoch-minutes",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    help="An epoch that takes longer counts as hung. 0: no limit.",
)
@click.option(
    "--checkpoint-minutes",
    type=click.FloatRange(min=0),
    default=1.0,
    show_default=True,
    help="Training between two checkpoints of a cell. 0: none.",
)
@click.option(
    "--checkpoint-gigabytes",
    type=click.FloatRange(min=0),
    default=5.0,
    show_default=True,
    help="Most that checkpoints may take.",
)
@click.option(
    "--grace-seconds",
    type=click.FloatRange(min=0),
    help="For what is nearly done at Ctrl-C or SIGTERM. Default: 30 and 15.",
)
@click.option(
    "--give-up-after",
    type=click.IntRange(min=0),
    default=10,
    show_default=True,
    help="End the run if so many cells fail alike, and none did otherwise. 0: never.",
)
@click.option("--rerun", is_flag=True, help="Train again what another version of code or data did.")
@click.option("--keep", is_flag=True, help="Let such cells count, and train only what is missing.")
@click.option("--plain", is_flag=True, help="Lines for a log, also on a terminal.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print every event as a line of JSON, text to stderr."
)
def run(
    study: str,
    data: tuple[str, ...],
    overrides: tuple[str, ...],
    workdir: Path,
    rerun: bool,
    keep: bool,
    plain: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Run a study and write its report.

    STUDY is a file or the name of a shipped study.

    Exit code 0: complete. 1: complete, but cells failed. 2: wrong input. 3: stopped at a ceiling
    of its budget. 130: interrupted; the same command goes on from there.
    """
    from search.opening import ASK, KEEP, RERUN, open_study
    from search.options import RunOptions
    from search.up_to_date import nothing_to_do, say_nothing_to_do
    from spaces.errors import StudyError

    with _errors(goes_on=True):
        if rerun and keep:
            raise StudyError("--rerun and --keep contradict each other; give one of them")
        old = KEEP if keep else RERUN if rerun else ASK
        how = RunOptions(**options)
        fetch = partial(_fetch, uri=how.mirror)
        plans = open_study(study, data, overrides, workdir, need_data=True, old=old, fetch=fetch)
        ends = []
        for place, opened in enumerate(plans):
            if kept := nothing_to_do(opened, how):
                say_nothing_to_do(kept, opened.folder, partial(click.echo, err=as_json))
                ends.append(kept.ended)
                continue
            # What trains takes seconds to import.
            from search.progress import AUTO, JSON, PLAIN
            from search.run_log import RunLog
            from search.running import run_and_report

            mode = JSON if as_json else PLAIN if plain else AUTO
            log = RunLog(STARTED if place == 0 else None)
            ends.append(run_and_report(opened, how, may_be_stale=old != ASK, log=log, mode=mode))
            if ends[-1] == "interrupted":
                sys.exit(INTERRUPTED)
    if "ceiling" in ends:
        sys.exit(STOPPED)
    sys.exit(INCOMPLETE if "incomplete" in ends else COMPLETE)


def _fetch(folder: Path, uri: str | None) -> None:
    if uri is not None:
        from search.running import fetch_mirror

        fetch_mirror(folder, uri)


@main.command()
@click.argument("study", required=False)
@_workdir
@click.option("--address", metavar="URL", help="Job server of the cluster where it is.")
@click.option("--watch", is_flag=True, help="Show it every two seconds, until nothing runs.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, a line each time.")
@click.option("--failed", is_flag=True, help="Print also what every failed cell said last.")
def status(
    study: str | None, workdir: Path, address: str | None, watch: bool, as_json: bool, failed: bool
) -> None:
    """Show how far a study is, whoever runs it and wherever.

    STUDY is a name, a file or a results folder; without it, all studies here.
    """
    from search.status import StatusOptions, show_status

    with _errors():
        if address:
            from search.cluster.jobs import ask_status

            there = WORKDIR if workdir == Path() else workdir.as_posix()
            flags = {"--watch": watch, "--json": as_json, "--failed": failed}
            given = [flag for flag, is_given in flags.items() if is_given]
            echo = partial(click.echo, nl=False)
            sys.exit(ask_status(study, address, echo, there, given))
        show_status(study, workdir, StatusOptions(watch=watch, as_json=as_json, failed=failed))


@main.command()
@click.argument("study")
@_workdir
@click.option(
    "--from",
    "source",
    type=click.Choice(["ledger", "mlflow"]),
    default="ledger",
    help="Where the results come from. Default: ledger.",
)
@click.option("--tracking-uri", help="MLflow server. Default: the one the run used.")
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
    from search.commands import write_study_report

    with _errors():
        write_study_report(study, workdir, source, tracking_uri, unseal)


@main.command()
@click.argument("study")
@_workdir
@click.option("--tracking-uri", help="MLflow server. Default: the one the run used.")
def sync(study: str, workdir: Path, tracking_uri: str | None) -> None:
    """Write to a tracking server what it lacks of a study; every cell once, as often as you like.

    STUDY is a name, a file or a results folder. Exit code 0: the server has every cell. 1: it is
    away, or refuses some; what it lacks is in the ledger. 2: wrong input.
    """
    from search.syncing import sync_and_say

    with _errors(goes_on=True):
        sys.exit(COMPLETE if sync_and_say(study, workdir, tracking_uri) else INCOMPLETE)


@contextmanager
def _errors(*, goes_on: bool = False) -> Iterator[None]:
    """A user's mistake becomes one message and exit 2; Ctrl-C becomes 130.

    Args:
        goes_on: whether the command, given again, goes on from where it was.
    """
    try:
        yield
    except KeyboardInterrupt:
        from search.engine import GOES_ON

        click.echo(f"interrupted; {GOES_ON}" if goes_on else "interrupted", err=True)
        sys.exit(INTERRUPTED)
    except Exception as error:
        from search.errors import is_for_the_user

        if not is_for_the_user(error):
            raise
        click.echo(f"error: {error}", err=True)
        sys.exit(WRONG_INPUT)


main.add_command(submit_command(run, _errors))


main.add_command(ledger_group(_errors))


add_report_commands(main, _errors)


if __name__ == "__main__":
    main()
