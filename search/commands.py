"""What the commands of `triptych` do, one function a command."""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from reports.results import StudyFacts
from search.errors import RunError
from search.estimates.estimate import Estimate
from search.estimates.estimating import (
    estimate_for,
    estimate_json,
    estimate_lines,
    kept,
    plan_identity,
    workers_at_hand,
)
from search.folder import (
    PLAN,
    ledger_results,
    read_manifest,
    select_cells,
)
from search.history import append_run, keep_estimate, read_estimate, truth_line
from search.ledger import CellRecord, is_locked, read_ledger
from search.opening import RUNS, OpenedStudy
from search.plan_view import budget_sentence, heading, plan_json, show_plan
from search.progress import Progress, failure_line, say
from search.run import RunOptions, RunSummary, run_study
from search.run_log import RunLog
from search.selection import seconds_of
from spaces.errors import StudyError
from spaces.plan import TUNE
from spaces.study import find_study, load_study

MOST_OF_A_REASON = 200
NO_ESTIMATE = "no estimate: the ledger knows nothing of these cells, and none was tried (--probe)"


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanOptions:
    """What `triptych plan` measures, and for which machine.

    Attributes:
        as_json: print JSON.
        probe: make micro-runs; None = where the ledger does not know enough.
        address, workers, gpus_a_worker: as for a run.
    """

    as_json: bool = False
    probe: bool | None = None
    address: str | None = None
    workers: int | None = None
    gpus_a_worker: float = 0.0


def show_plans(plans: Sequence[OpenedStudy], options: PlanOptions) -> None:
    """Print what would run on each data set, and what it would take.

    Raises:
        RunError: no cluster at the address.
    """
    console = Console()
    if options.as_json:
        shown = []
        for opened in plans:
            found = _estimate(opened, options)
            shown.append(plan_json(opened, estimate_json(found, opened.plan) if found else None))
        click.echo(json.dumps(shown[0] if len(shown) == 1 else shown, indent=1, ensure_ascii=False))
        return
    for opened in plans:
        show_plan(opened, console)
        if opened.dataset is not None:
            found = _estimate(opened, options)
            for line in estimate_lines(found, opened.plan) if found else (NO_ESTIMATE,):
                say(console, line)


def _estimate(opened: OpenedStudy, options: PlanOptions) -> Estimate | None:
    """What the study will take; the folder remembers it, to be compared with the truth."""
    if opened.dataset is None:
        return None
    try:
        workers = options.workers or workers_at_hand(options.address, options.gpus_a_worker)
    except (ConnectionError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise RunError(f"no Ray cluster answers at {options.address}: {reason}") from error
    found = estimate_for(
        opened.plan,
        opened.dataset,
        opened.folder,
        source=opened.source,
        workers=workers,
        local=options.address is None,
        device="cuda" if options.gpus_a_worker else "cpu",
        probe_first=options.probe,
    )
    if found is not None:
        with suppress(OSError):  # a plan may be made where nothing can be written
            keep_estimate(opened.folder, kept(found))
    return found


def run_and_report(
    opened: OpenedStudy, options: RunOptions, *, may_be_stale: bool, log: RunLog
) -> str:
    """Run a study and write its report.

    Args:
        opened: on one data set.
        options: how.
        may_be_stale: whether the user has said what becomes of cells of older versions.
        log: watches the run.

    Returns:
        `complete`, `incomplete` where cells failed, or `stopped` at a ceiling.

    Raises:
        StudyError: the folder holds cells of another version, and nobody said what to do.
    """
    assert opened.dataset is not None
    if opened.stale is not None and not may_be_stale:
        raise StudyError(opened.stale.question())
    console = Console()
    progress = Progress(console)
    plan, folder = opened.plan, opened.folder
    heading(console, opened.study)
    say(console, budget_sentence(plan))
    for line in (*(f"note: {note}" for note in plan.notes),
                 *(f"warning: {warning}" for warning in plan.warnings)):  # fmt: skip
        say(console, line)
    planned = read_estimate(folder, plan_identity(plan, folder))
    ended = "failed"
    try:
        summary = run_study(plan, opened.dataset, folder, options, progress, log)
        _say_how_it_ended(console, summary, folder)
        ended = "ceiling" if summary.stopped else "complete"
    except KeyboardInterrupt:
        ended = "interrupted"
        raise
    finally:
        taken = log.record(ended, planned.wall_seconds if planned else None)
        with suppress(OSError):  # where it could not even begin, or the disk is full
            append_run(folder, taken)
    if line := truth_line(planned, taken):
        say(console, line)
    if summary.stopped:
        return "stopped"
    return "incomplete" if summary.failed or summary.untested else "complete"


def _say_how_it_ended(console: Console, summary: RunSummary, folder: Path) -> None:
    """Write the report and say what was trained, what failed and what is left."""
    trained = f"{summary.trained} cells trained" if summary.trained else "nothing left to train"
    say(console, f"{trained}; {summary.cells} in {folder}")
    if summary.tracking_failure is not None:
        say(
            console,
            "warning: MLflow is behind the ledger; nothing is lost, the same command brings it "
            f"up to date ({str(summary.tracking_failure)[:MOST_OF_A_REASON]})",
        )
    from search.reporting import report_on

    report_on(ledger_results(folder), folder, console)
    if summary.stopped:
        say(console, f"stopped before the end: {summary.stopped}")
    elif summary.failed:
        say(
            console,
            f"{summary.failed} cells failed; the report and `triptych status` say why, "
            "and --retry-failed trains them again",
        )
    elif summary.untested:
        arms = ", ".join(f"'{arm}'" for arm in summary.untested)
        say(
            console,
            f"no candidate of {arms} was trained to its end, so none could be confirmed; raise "
            "budget.device_seconds and run it again",
        )


def show_status(name: str | None, workdir: Path) -> None:
    """Print how far one study is, or every study of a work folder.

    Raises:
        ResultsError: no results there.
    """
    console = Console()
    folders = (
        [_results_folder(name, workdir)]
        if name
        else sorted(path.parent for path in (workdir / RUNS).glob(f"*/{PLAN}"))
    )
    if not folders:
        say(console, f"no study has been run in {workdir / RUNS}")
    for folder in folders:
        _show_folder(console, folder)


def write_study_report(name: str, workdir: Path, source: str, tracking_uri: str | None) -> None:
    """Write a study's report again, from its ledger or from MLflow alone.

    Raises:
        ResultsError: no results there.
    """
    from reports.mlflow_source import read_mlflow
    from search.reporting import report_on

    folder = _results_folder(name, workdir)
    if source == "ledger":
        results = ledger_results(folder)
    elif tracking_uri:
        results = read_mlflow(tracking_uri, folder.name)
    else:
        manifest = read_manifest(folder)
        results = read_mlflow(manifest.tracking_uri, manifest.facts.study, plan=manifest.digest)
    report_on(results, folder, Console())


def _results_folder(name: str, workdir: Path) -> Path:
    """The folder of a study that was run, by its name, its file or the folder itself."""
    path = Path(name)
    if (path / PLAN).exists() or path.is_dir():
        return path
    if (workdir / RUNS / name / PLAN).exists():
        return workdir / RUNS / name
    return workdir / RUNS / load_study(find_study(name)).on_sets()[0].name


def _show_folder(console: Console, folder: Path) -> None:
    manifest = read_manifest(folder)
    facts = manifest.facts
    cells = select_cells(manifest, read_ledger(folder))
    state = "running" if is_locked(folder) else "not running"
    say(console, f"{facts.study} ({folder}), {state}")
    table = RichTable(box=None, pad_edge=False)
    for title in ("arm", "tuning", "confirm cells", "failed"):
        table.add_column(title, justify="left" if title == "arm" else "right")
    for arm in facts.arms:
        own = [cell for cell in cells if cell.arm == arm]
        tuning = [cell for cell in own if cell.phase == TUNE]
        table.add_row(
            Text(arm),
            _tuning(facts, arm, tuning),
            f"{len(own) - len(tuning)}/{len(facts.confirm_seeds)}",
            str(sum(cell.status == "failed" for cell in own)),
        )
    console.print(table)
    for cell in cells:
        if cell.status == "failed":
            say(console, failure_line(cell))


def _tuning(facts: StudyFacts, arm: str, cells: Sequence[CellRecord]) -> str:
    """How far the tuning of an arm is, in the unit of its budget."""
    if arm in facts.frozen:
        return f"as {facts.frozen[arm]}"
    if not facts.searched[arm]:
        return "nothing to tune"
    if facts.device_seconds is not None:
        return f"{seconds_of(cells):.0f}/{facts.device_seconds:g} s"
    return f"{len(cells)}/{facts.candidates * len(facts.tune_seeds)} cells"
