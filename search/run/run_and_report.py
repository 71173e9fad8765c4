"""What `triptych run` does with one study: run it, write its report, say how it ended."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from search.console import AUTO, console_of, say
from search.engine.dispatch import CEILING, INTERRUPTED
from search.engine.durable import is_full
from search.engine.options import RunOptions
from search.engine.run import RunSummary, run_study
from search.errors import GOES_ON
from search.estimates.measure import plan_identity
from search.estimates.plan_text import budget_sentence, heading
from search.results.folder import ledger_results
from search.results.history import append_run, overhead_line, read_estimate, truth_line
from search.run.unchanged import made_from, remember
from search.screen.progress import Progress
from search.screen.run_log import RunLog
from search.study.open import OpenedStudy
from spaces.errors import StudyError

MOST_OF_A_REASON = 200
COMPLETE, INCOMPLETE = "complete", "incomplete"


def run_and_report(
    opened: OpenedStudy, options: RunOptions, *, may_be_stale: bool, log: RunLog, mode: str = AUTO
) -> str:
    """Run a study and write its report.

    Args:
        opened: on one data set.
        options: how.
        may_be_stale: whether the user has said what becomes of cells of older versions.
        log: watches the run.
        mode: how it is shown, see `search.screen.progress.Progress`.

    Returns:
        `complete`; `incomplete` where cells failed; `ceiling` or `interrupted` where it was ended
        before that.

    Raises:
        StudyError: the folder holds cells of another version, and nobody said what to do.
    """
    assert opened.dataset is not None
    if opened.stale is not None and not may_be_stale:
        raise StudyError(opened.stale.question())
    console = console_of(mode)
    progress = Progress(console, mode)
    plan, folder = opened.plan, opened.folder
    heading(console, opened.study)
    say(console, budget_sentence(plan))
    for line in (*(f"note: {note}" for note in plan.notes),
                 *(f"warning: {warning}" for warning in plan.warnings)):  # fmt: skip
        say(console, line)
    planned = read_estimate(folder, plan_identity(plan, folder))
    ended = "failed"
    with _mirrored(folder, options.mirror, progress):
        try:
            summary = run_study(plan, opened.dataset, folder, options, progress, log)
            ended = summary.ended or COMPLETE
            name = made_from(opened, options)
            left = INCOMPLETE if summary.failed or summary.untested else COMPLETE
            said = _say_how_it_ended(console, summary, folder, options)
            if said is not None:
                remember(
                    folder,
                    name,
                    cells=summary.cells,
                    failed=summary.failed,
                    ended=left,
                    said=said,
                )
        except KeyboardInterrupt:
            ended = INTERRUPTED
            raise
        finally:
            taken = log.record(ended, planned.wall_seconds if planned else None)
            if isinstance(opened.source, Path):  # so that a cell can be trained again
                taken = replace(taken, data=str(opened.source.resolve()))
            with suppress(OSError):  # where it could not even begin, or the disk is full
                append_run(folder, taken)
    for line in (overhead_line(taken), truth_line(planned, taken)):
        if line:
            say(console, line)
    if summary.ended in (CEILING, INTERRUPTED):
        return summary.ended
    return left


def fetch_mirror(folder: Path, uri: str | None) -> None:
    """Bring a results folder here from its copy, if it is not here.

    Raises:
        RunError: the copy can't be read.
    """
    if uri is not None:
        from search.submit.mirror import Mirror

        Mirror(folder, uri).fetch()


@contextmanager
def _mirrored(folder: Path, uri: str | None, progress: Progress) -> Iterator[None]:
    """Keep a copy of the folder up to date, if there is to be one."""
    if uri is None:
        yield
        return
    from search.submit.mirror import Mirror

    mirror = Mirror(folder, uri, say=progress.say)
    mirror.start()
    try:
        yield
    finally:
        mirror.close()


def _say_how_it_ended(
    console: Console, summary: RunSummary, folder: Path, options: RunOptions
) -> list[str] | None:
    """Write the report, unless somebody waits for the end; say what was trained, what is left.

    Returns:
        What is worth saying again when nothing was left undone; None if something was.
    """
    nothing = "nothing left to train" if not summary.ended else "nothing was trained to its end"
    trained = f"{summary.trained} cells trained" if summary.trained else nothing
    say(console, f"{trained}; {summary.cells} in {folder}")
    if summary.tracking_failure is not None:
        say(
            console,
            "warning: MLflow is behind the ledger; nothing is lost, `triptych sync` brings it up "
            f"to date ({str(summary.tracking_failure)[:MOST_OF_A_REASON]})",
        )
    if summary.ended == INTERRUPTED:
        say(
            console,
            f"stopped by {summary.why}: {GOES_ON}; `triptych report {folder}` writes the report "
            "of what is there",
        )
        return None
    said = _write_report(console, folder)
    done = said is not None and not summary.ended and summary.tracking_failure is None
    if summary.tracking_failure is None:
        done = _attach_report(console, folder, options) and done
    if left := _what_is_left(summary):
        say(console, left)
    return [*(said or ()), *([left] if left else [])] if done else None


def _write_report(console: Console, folder: Path) -> list[str] | None:
    """Write it; what it answers, None where there is no room for it."""
    from search.report.write_and_print import report_on

    try:
        return report_on(ledger_results(folder), folder, console)
    except OSError as error:
        if not is_full(error):
            raise
        say(
            console,
            f"no room for the report ({error.strerror}: {error.filename}); every cell is kept: "
            f"make room, and `triptych report {folder}` writes it",
        )
        return None


def _attach_report(console: Console, folder: Path, options: RunOptions) -> bool:
    """Whether it is attached to the study's run."""
    from search.tracking import attach_report

    failure = attach_report(folder, options.tracking_uri)
    if failure is not None:
        say(
            console,
            "warning: the report is not attached to the study's run in MLflow; `triptych sync` "
            f"does it ({str(failure)[:MOST_OF_A_REASON]})",
        )
    return failure is None


def _what_is_left(summary: RunSummary) -> str:
    """What a run left undone, and how to go on; empty if nothing."""
    if summary.ended:
        return f"stopped before the end: {summary.why}"
    if summary.failed:
        return (
            f"{summary.failed} cells failed; the report and `triptych status` say why, "
            "and --retry-failed trains them again"
        )
    if summary.untested:
        arms = ", ".join(f"'{arm}'" for arm in summary.untested)
        return (
            f"no candidate of {arms} was trained to its end, so none could be confirmed; raise "
            "budget.device_seconds and run it again"
        )
    return ""
