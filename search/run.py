"""Run a study: plan + ledger -> Ray Tune -> ledger. The only file that starts Ray."""

import importlib
import logging
import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

from msa_core.data.dataset import Dataset
from msa_core.plugins import use_plugins
from search.ceiling import Ceiling
from search.errors import RunError
from search.facts import manifest_of
from search.folder import Manifest, keep_plugins, keep_study, select_cells, write_manifest
from search.history import read_runs
from search.ledger import CellRecord, Ledger
from search.progress import Progress
from search.provenance import code_version
from search.run_log import RunLog
from search.schedule import Schedule
from search.sizes import PackSizes
from search.tracking import BackgroundTracking, Tracker, local_store
from spaces.plan import Plan

# Read by Ray when it is imported or started.
RAY_ENVIRONMENT = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # the ledger and MLflow keep the results
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C is ours: it ends the run at once, resumably
    "TUNE_GLOBAL_CHECKPOINT_S": "86400",  # nothing is ever restored from Tune's snapshots
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    "RAY_AIR_NEW_OUTPUT": "0",  # the new output prints a banner even at verbose=0
    "RAY_USAGE_STATS_ENABLED": "0",
}
LOST_WORKER_RETRIES = 2
GOES_ON = "everything finished is kept, the same command goes on"


@dataclass(frozen=True, kw_only=True, slots=True)
class RunOptions:
    """How a study is executed; none of it changes a number, beyond a GPU's own rounding.

    Attributes:
        address: of a Ray cluster; None = this machine alone.
        workers: packs trained at once on this machine; None = its cores.
        gpus_a_worker: share of a GPU that a worker holds; 0 = train on the CPU.
        pack_size: cells trained in one step; None = as measured. 1 = without packs.
        tracking_uri: an MLflow server; None = a SQLite file in the results folder.
        retry_failed: train the ledger's failed cells again.
    """

    address: str | None = None
    workers: int | None = None
    gpus_a_worker: float = 0.0
    pack_size: int | None = None
    tracking_uri: str | None = None
    retry_failed: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Workers:
    """The worker processes of a run.

    Attributes:
        count: packs trained at once.
        memory: bytes of main memory for each; 0 = unknown.
    """

    count: int
    memory: int


@dataclass(frozen=True, kw_only=True, slots=True)
class RunSummary:
    """What a run did.

    Attributes:
        trained: cells trained now.
        cells: cells of the plan that are finished.
        failed: those of them that failed.
        untested: arms without a single complete confirm cell.
        tracking_failure: why MLflow is behind the ledger; None if it is not.
        stopped: which ceiling ended it before the study was finished; empty if none.
    """

    trained: int
    cells: int
    failed: int
    untested: tuple[str, ...]
    tracking_failure: Exception | None
    stopped: str = ""


def run_study(
    plan: Plan,
    dataset: Dataset,
    folder: Path,
    options: RunOptions,
    progress: Progress,
    log: RunLog | None = None,
) -> RunSummary:
    """Train every cell of the plan that the ledger does not hold.

    Args:
        plan: what to train.
        dataset: the plan's data.
        folder: the results folder.
        options: how.
        progress: shows it.
        log: watches it.

    Raises:
        LedgerError: another driver holds the folder, or it cannot be written.
        RunError: Ray could not start.
        KeyboardInterrupt: Ctrl-C; everything finished is in the ledger.
    """
    use_plugins(plan.study.plugins)
    with Ledger(folder) as ledger:
        keep_plugins(folder, plan.study.plugins)
        keep_study(folder, plan.study)
        manifest = manifest_of(plan, dataset, options.tracking_uri or local_store(folder))
        write_manifest(folder, manifest)
        tracking = BackgroundTracking(
            partial(Tracker, manifest, folder),
            lambda: select_cells(manifest, dict(ledger.records)),
        )
        complete = False
        try:
            trained, stopped = _train(
                plan, dataset, ledger, options, progress, tracking, log or RunLog()
            )
            complete = not stopped
        finally:
            tracking.close(complete)
        cells = select_cells(manifest, ledger.records)
        return _summary(manifest, cells, trained, tracking.failure, stopped)


def _train(
    plan: Plan,
    dataset: Dataset,
    ledger: Ledger,
    options: RunOptions,
    progress: Progress,
    tracking: BackgroundTracking,
    log: RunLog,
) -> tuple[int, str]:
    """Cells trained, and which ceiling ended it before all were."""
    kept = [
        record
        for record in ledger.records.values()
        if not (options.retry_failed and record.status == "failed")
    ]
    sizes = PackSizes(
        ledger.pack_sizes,
        device="cuda" if options.gpus_a_worker else "cpu",
        data=dataset.fingerprint,
        fixed=options.pack_size,
    )
    schedule = Schedule(plan, kept, sizes)
    if schedule.finished:
        return 0, ""
    trained = 0
    ceiling = Ceiling(
        plan.study.budget,
        sum(run.wall_seconds for run in read_runs(ledger.folder)),
        ledger.records.values(),
    )

    def announce(records: list[CellRecord]) -> None:
        nonlocal trained
        trained += len(records)
        log.take_in(records)
        progress.update(records)
        tracking.notify()

    progress.say("starting Ray")
    with _ray(options) as workers:
        from search.searcher import LostWorkers, PackSearcher
        from search.trainable import Worker

        progress.start(schedule)
        log.workers = workers.count
        worker = Worker.of(
            dataset,
            device=sizes.device,
            gpu_share=options.gpus_a_worker,
            memory=workers.memory,
            code=code_version(),
            plugins=plan.study.plugins,
        )
        worker.warm(plan)
        try:
            searcher = PackSearcher(
                schedule, ledger.append, announce, workers.count, ceiling, log.hand_out
            )
            _fit(searcher, LostWorkers(progress.say), worker, plan, options, workers.count)
        finally:
            progress.stop()
        if searcher.failure is not None:
            raise searcher.failure
        if not schedule.finished and not searcher.stopped:
            raise RunError(f"Ray ended before the study did; {GOES_ON}")
    return trained, searcher.stopped


def _fit(
    searcher: Any,
    lost_workers: Any,
    worker: Any,
    plan: Plan,
    options: RunOptions,
    workers: int,
) -> None:
    """One `Tuner.fit` over the whole study."""
    from ray import tune
    from ray.exceptions import RayError
    from ray.tune import TuneError

    from search.asha import ArmsAsha
    from search.searcher import EndOfRest
    from search.trainable import PackTrainable

    resources = {"cpu": 1, "gpu": options.gpus_a_worker}
    with tempfile.TemporaryDirectory(prefix="triptych-") as scratch:
        tuner = tune.Tuner(
            tune.with_resources(tune.with_parameters(PackTrainable, worker=worker), resources),
            tune_config=tune.TuneConfig(
                search_alg=searcher,
                scheduler=ArmsAsha(plan) if plan.study.budget.scheduler == "asha" else None,
                num_samples=-1,
                max_concurrent_trials=workers,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                name="study",
                storage_path=scratch,
                verbose=0,
                stop=EndOfRest(searcher),
                callbacks=[lost_workers],
                failure_config=tune.FailureConfig(max_failures=LOST_WORKER_RETRIES),
                checkpoint_config=tune.CheckpointConfig(
                    checkpoint_at_end=False, checkpoint_frequency=0
                ),
            ),
        )
        try:
            tuner.fit()
        except (RayError, TuneError) as error:
            reason = str(error).strip().splitlines()[0]
            raise RunError(f"Ray stopped ({reason}); {GOES_ON}") from error


@contextmanager
def _ray(options: RunOptions) -> Iterator[Workers]:
    """A running Ray; yields the workers that it has room for."""
    os.environ.update({**RAY_ENVIRONMENT, **os.environ})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import ray

    # A lost worker is ours to tell, in one line; Tune would print its traceback.
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    # A second of imports, done while Ray's processes come up.
    torch_too = Thread(target=importlib.import_module, args=("msa_core.training",))
    torch_too.start()
    try:
        # Without "local", ray.init attaches to any cluster that happens to run here.
        ray.init(
            address=options.address or "local",
            num_cpus=None if options.address else options.workers,
            include_dashboard=None if options.address else False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except Exception as error:
        raise RunError(f"Ray could not start: {error}") from error
    finally:
        torch_too.join()
    try:
        have = ray.cluster_resources()
        slots = int(have.get("CPU", 1))
        if options.gpus_a_worker:
            by_gpu = int(have.get("GPU", 0) / options.gpus_a_worker)
            if not by_gpu:
                raise RunError(
                    f"a worker was to hold {options.gpus_a_worker:g} GPU, but Ray sees none"
                )
            slots = min(slots, by_gpu)
        count = max(1, slots)
        yield Workers(count=count, memory=int(have.get("memory", 0) / count))
    finally:
        ray.shutdown()


def _summary(
    manifest: Manifest,
    cells: list[CellRecord],
    trained: int,
    failure: Exception | None,
    stopped: str,
) -> RunSummary:
    tested = {cell.arm for cell in cells if cell.phase == "confirm" and cell.status == "complete"}
    return RunSummary(
        trained=trained,
        cells=len(cells),
        failed=sum(cell.status == "failed" for cell in cells),
        untested=tuple(arm for arm in manifest.facts.arms if arm not in tested),
        tracking_failure=failure,
        stopped=stopped,
    )
