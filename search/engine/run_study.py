"""The run of a study: plan + ledger -> Ray Tune -> ledger."""

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from reports.results import ResultsError
from search.engine.options import RunOptions
from search.engine.tuner import Engine
from search.ledger.ledger import Ledger
from search.ledger.record import CellRecord
from search.results.events import Events
from search.results.folder import (
    Manifest,
    keep_files,
    keep_study,
    measure_completion,
    read_manifest,
    select_cells,
    write_manifest,
)
from search.results.history import RunEnd, record_killed
from search.results.plan_facts import manifest_of, with_tags
from search.results.shared_information import InformationEstimation
from search.results.unblinding_log import record_seen_plan
from search.screen.progress import Progress
from search.screen.run_log import RunLog
from search.tracking import BackgroundTracking, local_store
from spaces.core import Data, Status
from spaces.plan.plan import Phase, Plan

IN_A_HURRY = 10.0  # seconds for MLflow after Ctrl-C; `triptych sync` does the rest


@dataclass(frozen=True, kw_only=True, slots=True)
class RunSummary:
    """The outcome of a run.

    Attributes:
        trained: Number of cells trained by it.
        cells: Number of the plan's cells that are finished.
        failed: Number of those that failed.
        untested: Names of arms without a single complete confirm cell.
        tracking_failure: Error by which MLflow is behind the ledger; None if it is not.
        ended: why it ended before the study was finished: empty, or as in `search.engine.dispatch`.
        why: The same as a sentence.
    """

    trained: int
    cells: int
    failed: int
    untested: tuple[str, ...]
    tracking_failure: Exception | None
    ended: str = ""
    why: str = ""


def run_study(
    plan: Plan,
    dataset: Data,
    folder: Path,
    options: RunOptions,
    progress: Progress,
    log: RunLog | None = None,
) -> RunSummary:
    """Train every cell of the plan that the ledger does not hold.

    Args:
        plan: Plan of the study.
        dataset: Data of the plan.
        folder: Results folder.
        options: Options of the run.
        progress: Display of the run.
        log: Record of the run; None = none is kept.

    Raises:
        LedgerError: another driver holds the folder, or it cannot be written.
        RunError: Ray could not start.
        KeyboardInterrupt: stopped at once; everything finished is in the ledger.
    """
    with Ledger(folder) as ledger:
        watcher = log or RunLog()
        events = Events(folder, [progress.on_event, watcher.on_event])
        _report_previous_run(ledger, progress)
        keep_files(folder, plan.study.core)
        keep_study(folder, plan.study)
        manifest = manifest_for(plan, dataset, ledger, options)
        write_manifest(folder, manifest)
        estimation = InformationEstimation(folder, plan.study.core, dataset, progress.print_line)
        tracking = BackgroundTracking(manifest, folder)
        engine = Engine(
            plan=plan,
            dataset=dataset,
            ledger=ledger,
            options=options,
            progress=progress,
            log=watcher,
            events=events,
            notify=tracking.notify_new_cells,
        )
        complete = False
        patience: float | None = IN_A_HURRY
        try:
            engine.train()
            complete = not engine.ended
            patience = IN_A_HURRY if engine.ended == RunEnd.INTERRUPTED else None
            if complete and not manifest.finished:
                manifest = replace(manifest, finished=True)
                # On a full disk the study is finished all the same; the next run writes it.
                with suppress(OSError):
                    write_manifest(folder, manifest)
            estimation.wait(patience)
        finally:
            tracking.close(complete, patience)
        cells = select_cells(manifest, ledger.records)
        return _make_summary(manifest, cells, engine, tracking.failure)


def manifest_for(plan: Plan, dataset: Data, ledger: Ledger, options: RunOptions) -> Manifest:
    """Make the manifest of a plan for the results folder of an open ledger.

    Where the folder has the manifest of another plan, which was finished, the unblinding log notes
    that its test metrics could be seen before this one began.
    """
    folder = ledger.folder
    uri = options.tracking_uri or local_store(folder)
    manifest = with_tags(manifest_of(plan, dataset, uri), plan.study.core, dataset)
    with suppress(ResultsError):  # there is none, or a damaged one
        before = read_manifest(folder)
        if before.digest == manifest.digest:
            return replace(manifest, finished=before.finished)
        if measure_completion(before, ledger.records).complete:
            record_seen_plan(folder, before.size)
    return manifest


def _report_previous_run(ledger: Ledger, progress: Progress) -> None:
    """Report what opening the ledger has found, and record a run that was killed."""
    for line in (ledger.took_over, *ledger.quarantined):
        if line:
            progress.print_line(line)
    if ledger.killed is not None:
        with suppress(OSError):  # a full disk
            record_killed(ledger.folder, ledger.killed)


def _make_summary(
    manifest: Manifest, cells: list[CellRecord], engine: Engine, failure: Exception | None
) -> RunSummary:
    tested = {
        cell.arm for cell in cells if cell.phase == Phase.CONFIRM and cell.status == Status.COMPLETE
    }
    return RunSummary(
        trained=engine.trained,
        cells=len(cells),
        failed=sum(cell.status == Status.FAILED for cell in cells),
        untested=tuple(arm for arm in manifest.facts.arms if arm not in tested),
        tracking_failure=failure,
        ended=engine.ended,
        why=engine.why,
    )
