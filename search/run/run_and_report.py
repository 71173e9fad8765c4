"""`triptych run` of one study that has work to do: train, write the report, print how it ended."""

from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from search.console import AUTO, console_of, print_line
from search.engine.durable import is_full
from search.engine.options import RunOptions
from search.engine.run_study import RunSummary, run_study
from search.errors import RESUME_NOTE
from search.estimates.measure_study import plan_identity
from search.estimates.plan_text import budget_sentence, print_heading
from search.results.folder import ledger_results
from search.results.history import (
    RunEnd,
    append_run,
    estimate_check_line,
    overhead_line,
    read_estimate,
)
from search.results.layout import ANSWER, REPORT
from search.screen.progress import Progress
from search.screen.run_log import RunLog
from search.study.open import OpenedStudy
from search.submit.mirror import Mirror
from spaces.errors import StudyError

MOST_OF_A_REASON = 200  # characters: a server's error can be a page


def run_and_report(
    opened: OpenedStudy, options: RunOptions, *, may_be_stale: bool, log: RunLog, mode: str = AUTO
) -> str:
    """Run a study and write its report.

    Args:
        opened: Study on one data set.
        options: Options of the run.
        may_be_stale: Whether the user has decided what becomes of cells of older versions.
        log: Collector of the run's record.
        mode: Mode of `search.screen.progress.Progress`.

    Returns:
        `complete`; `incomplete` where cells failed; `ceiling` or `interrupted` where it was ended
        before that.

    Raises:
        StudyError: The folder holds cells of another version, and the user has not decided.
    """
    assert opened.dataset is not None
    if opened.stale is not None and not may_be_stale:
        raise StudyError(opened.stale.rerun_question())
    console = console_of(mode)
    progress = Progress(console, mode)
    plan, folder = opened.plan, opened.folder
    print_heading(console, opened.study)
    print_line(console, budget_sentence(plan))
    for line in (*(f"note: {note}" for note in plan.notes),
                 *(f"warning: {warning}" for warning in plan.warnings)):  # fmt: skip
        print_line(console, line)
    # Before the run, which changes the plan's identity by every cell that it finishes.
    planned = read_estimate(folder, plan_identity(plan, folder))
    ended: str = RunEnd.FAILED
    mirror = options.mirror
    # Around all that is written: at its end it copies the report and the run's record too.
    with Mirror(folder, mirror, say=progress.print_line) if mirror else nullcontext():
        try:
            with suppress(OSError):  # a read-only disk, of which the ledger complains
                (folder / REPORT / ANSWER).unlink(missing_ok=True)
            summary = run_study(plan, opened.dataset, folder, options, progress, log)
            ended = summary.ended or RunEnd.COMPLETE
            _report_outcome(console, summary, folder, options)
        except KeyboardInterrupt:
            ended = RunEnd.INTERRUPTED
            raise
        finally:
            taken = log.make_record(ended, planned.wall_seconds if planned else None)
            if isinstance(opened.source, Path):  # so that a cell can be trained again
                taken = replace(taken, data=str(opened.source.resolve()))
            with suppress(OSError):  # where it could not even begin, or the disk is full
                append_run(folder, taken)
    for line in (overhead_line(taken), estimate_check_line(planned, taken)):
        if line:
            print_line(console, line)
    if summary.ended in (RunEnd.BUDGET_LIMIT, RunEnd.INTERRUPTED):
        return summary.ended
    return RunEnd.INCOMPLETE if summary.failed or summary.untested else RunEnd.COMPLETE


def _report_outcome(
    console: Console, summary: RunSummary, folder: Path, options: RunOptions
) -> None:
    """Write the report, unless the run was interrupted; print what was trained and what is left."""
    nothing = "nothing left to train" if not summary.ended else "nothing was trained to its end"
    trained = f"{summary.trained} cells trained" if summary.trained else nothing
    print_line(console, f"{trained}; {summary.cells} in {folder}")
    if summary.tracking_failure is not None:
        print_line(
            console,
            "warning: MLflow is behind the ledger; nothing is lost, `triptych sync` brings it up "
            f"to date ({str(summary.tracking_failure)[:MOST_OF_A_REASON]})",
        )
    if summary.ended == RunEnd.INTERRUPTED:
        print_line(
            console,
            f"stopped by {summary.why}: {RESUME_NOTE}; `triptych report {folder}` writes the "
            "report of what is there",
        )
        return
    _write_report(console, folder)
    if summary.tracking_failure is None:
        _attach_report(console, folder, options)
    if left := _remaining_work(summary):
        print_line(console, left)


def _write_report(console: Console, folder: Path) -> None:
    """Write the report, where the disk has room for it."""
    from search.report.write_and_print import write_and_print_report

    try:
        write_and_print_report(ledger_results(folder), folder, console)
    except OSError as error:
        if not is_full(error):
            raise
        print_line(
            console,
            f"no room for the report ({error.strerror}: {error.filename}); every cell is kept: "
            f"make room, and `triptych report {folder}` writes it",
        )


def _attach_report(console: Console, folder: Path, options: RunOptions) -> None:
    """Attach the report to the study's run."""
    from search.tracking import attach_in_time

    failure = attach_in_time(folder, options.tracking_uri)
    if failure is not None:
        print_line(
            console,
            "warning: the report is not attached to the study's run in MLflow; `triptych sync` "
            f"does it ({str(failure)[:MOST_OF_A_REASON]})",
        )


def _remaining_work(summary: RunSummary) -> str:
    """Return what a run left undone, and how to continue; empty if nothing."""
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
