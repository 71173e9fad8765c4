"""`triptych run`: train what is missing of a study and write its report."""

import sys
from functools import partial
from pathlib import Path
from typing import Any

import click

from search.commands.shared import (
    STARTED,
    ExitCode,
    hardware_options,
    report_errors,
    study_file_options,
)


@click.command()
@study_file_options
@hardware_options
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
    from search.engine.options import RunOptions
    from search.results.history import RunEnd
    from search.run.unchanged import print_if_unchanged
    from search.study.open import StaleAnswer, open_study
    from spaces.errors import StudyError

    with report_errors(resumable=True):
        if rerun and keep:
            raise StudyError("--rerun and --keep contradict each other; give one of them")
        answer = StaleAnswer.KEEP if keep else StaleAnswer.RERUN if rerun else StaleAnswer.ASK
        how = RunOptions(**options)
        plans = open_study(
            study,
            data,
            overrides,
            workdir,
            need_data=True,
            stale_answer=answer,
            fetch=partial(_fetch_copy, uri=how.mirror),
        )
        ends: list[str] = []
        for number, opened in enumerate(plans):
            if print_if_unchanged(opened, how, partial(click.echo, err=as_json)):
                ends.append(RunEnd.COMPLETE)
                continue
            # Late, since it takes seconds to import: a study without work to do is done by then.
            from search.console import AUTO, JSON, PLAIN
            from search.run.run_and_report import run_and_report
            from search.screen.run_log import RunLog

            mode = JSON if as_json else PLAIN if plain else AUTO
            # The start of Python and of this process counts for the first data set alone.
            log = RunLog(STARTED if number == 0 else None)
            may_be_stale = answer != StaleAnswer.ASK
            ends.append(run_and_report(opened, how, may_be_stale=may_be_stale, log=log, mode=mode))
            if ends[-1] == RunEnd.INTERRUPTED:
                sys.exit(ExitCode.INTERRUPTED)
    # Of several data sets the worst end decides.
    if RunEnd.BUDGET_LIMIT in ends:
        sys.exit(ExitCode.STOPPED)
    sys.exit(ExitCode.INCOMPLETE if RunEnd.INCOMPLETE in ends else ExitCode.COMPLETE)


def _fetch_copy(folder: Path, uri: str | None) -> None:
    if uri is not None:
        from search.submit.mirror import Mirror

        Mirror(folder, uri).fetch_copy()
