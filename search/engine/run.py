"""Run a study: plan + ledger -> Ray Tune -> ledger."""

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from msa_core.data.dataset import Dataset
from msa_core.plugins import use_plugins
from reports.results import ResultsError
from search.engine.dispatch import INTERRUPTED
from search.engine.options import RunOptions
from search.engine.tuner import Engine
from search.ledger.ledger import Ledger
from search.ledger.record import CellRecord
from search.results.events import Events
from search.results.facts import manifest_of, with_tags
from search.results.folder import (
    Manifest,
    keep_plugins,
    keep_study,
    read_manifest,
    select_cells,
    standing_of,
    write_manifest,
)
from search.results.history import record_killed
from search.results.shared_information import Estimation
from search.results.unblinding_log import note_seen
from search.screen.progress import Progress
from search.screen.run_log import RunLog
from search.tracking import BackgroundTracking, local_store
from spaces.plan.plan import Plan

IN_A_HURRY = 10.0  # seconds for MLflow when somebody waits for the end; `triptych sync` does it


@dataclass(frozen=True, kw_only=True, slots=True)
class RunSummary:
    """What a run did.

    Attributes:
        trained: cells trained now.
        cells: cells of the plan that are finished.
        failed: those of them that failed.
        untested: arms without a single complete confirm cell.
        tracking_failure: why MLflow is behind the ledger; None if it is not.
        ended: why it ended before the study was finished: empty, or as in `search.engine.dispatch`.
        why: the same, for a person.
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
    dataset: Dataset,
    folder: Path,
    options: RunOptions,
    progress: Progress,
    log: RunLog | None = None,
    trainable: type | None = None,
) -> RunSummary:
    """Train every cell of the plan that the ledger does not hold.

    Args:
        plan: what to train.
        dataset: the plan's data.
        folder: the results folder.
        options: how.
        progress: shows it.
        log: watches it.
        trainable: what runs on the workers; None = `search.engine.trainable.PackTrainable`.

    Raises:
        LedgerError: another driver holds the folder, or it cannot be written.
        RunError: Ray could not start.
        KeyboardInterrupt: stopped at once; everything finished is in the ledger.
    """
    use_plugins(plan.study.plugins)
    with Ledger(folder) as ledger:
        watcher = log or RunLog()
        events = Events(folder, [progress.hear, watcher.hear])
        _tell_of_the_past(ledger, progress)
        keep_plugins(folder, plan.study.plugins)
        keep_study(folder, plan.study)
        manifest = manifest_for(plan, dataset, ledger, options)
        write_manifest(folder, manifest)
        estimation = Estimation(folder, dataset, progress.say)
        tracking = BackgroundTracking(manifest, folder)
        engine = Engine(
            plan,
            dataset,
            ledger,
            options,
            progress=progress,
            log=watcher,
            events=events,
            notify=tracking.notify,
            trainable=trainable,
        )
        complete = False
        patience: float | None = IN_A_HURRY
        try:
            engine.train()
            complete = not engine.ended
            patience = IN_A_HURRY if engine.ended == INTERRUPTED else None
            if complete and not manifest.finished:
                manifest = replace(manifest, finished=True)
                with suppress(OSError):  # a full disk; the next run says it
                    write_manifest(folder, manifest)
            estimation.wait(patience)
        finally:
            tracking.close(complete, patience)
        cells = select_cells(manifest, ledger.records)
        return _summary(manifest, cells, engine, tracking.failure)


def manifest_for(plan: Plan, dataset: Dataset, ledger: Ledger, options: RunOptions) -> Manifest:
    """What the results folder of an open ledger is to remember of a plan.

    Where it remembers another plan, which was finished, it is written down that its test metrics
    were there to be seen before this one began.
    """
    folder = ledger.folder
    uri = options.tracking_uri or local_store(folder)
    manifest = with_tags(manifest_of(plan, dataset, uri), dataset)
    with suppress(ResultsError):  # there is none, or a damaged one
        before = read_manifest(folder)
        if before.digest == manifest.digest:
            return replace(manifest, finished=before.finished)
        if standing_of(before, ledger.records).complete:
            note_seen(folder, before.size)
    return manifest


def _tell_of_the_past(ledger: Ledger, progress: Progress) -> None:
    """What opening the ledger has found, and the record of a run that was killed."""
    for line in (ledger.took_over, *ledger.quarantined):
        if line:
            progress.say(line)
    if ledger.killed is not None:
        with suppress(OSError):  # a full disk
            record_killed(ledger.folder, ledger.killed)


def _summary(
    manifest: Manifest, cells: list[CellRecord], engine: Engine, failure: Exception | None
) -> RunSummary:
    tested = {cell.arm for cell in cells if cell.phase == "confirm" and cell.status == "complete"}
    return RunSummary(
        trained=engine.trained,
        cells=len(cells),
        failed=sum(cell.status == "failed" for cell in cells),
        untested=tuple(arm for arm in manifest.facts.arms if arm not in tested),
        tracking_failure=failure,
        ended=engine.ended,
        why=engine.why,
    )
