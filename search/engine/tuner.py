"""The engine of a run: everything that a `Tuner` of Ray needs, put together and run."""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from search.engine.dispatch import Dispatch
from search.engine.durable import append_durably
from search.engine.options import GIGABYTE, MINUTE, RunOptions
from search.engine.session import RaySession, ray_session
from search.engine.stopping import StopRequest
from search.errors import RESUME_NOTE, RunError
from search.ledger.ledger import Ledger
from search.ledger.record import CellRecord
from search.results.checkpoints import Checkpoints
from search.results.events import Events
from search.results.history import RunEnd, read_runs
from search.schedule.first_failures import FirstFailures
from search.schedule.optuna_journal import OptunaJournal, is_behind
from search.schedule.pack_sizes import PackSizes
from search.schedule.schedule import Schedule
from search.schedule.study_limit import StudyLimit
from search.screen.progress import Progress
from search.screen.run_log import RunLog
from spaces.core import Data, Status
from spaces.plan.plan import Plan


@dataclass(kw_only=True)
class Engine:
    """The training of what a ledger lacks of a plan.

    Attributes:
        plan: Plan of the study.
        dataset: Data of the plan.
        ledger: Open ledger.
        options: Options of the run.
        progress: Display of the run.
        log: Record of the run.
        events: Log of events.
        notify: Function that is called when there are new cells in the ledger.
        trained, failed: Numbers of cells trained so far, and of those that failed.
        ended, why: Reasons as in `Dispatch`; empty unless the run ended before the study.
    """

    plan: Plan
    dataset: Data
    ledger: Ledger
    options: RunOptions
    progress: Progress
    log: RunLog
    events: Events
    notify: Callable[[], None]
    trained: int = 0
    failed: int = 0
    ended: str = ""
    why: str = ""

    def train(self) -> None:
        """Train until the study is finished or the run is to end.

        Raises:
            RunError: Ray could not start, or ended.
            LedgerError: what was trained can't be kept.
            KeyboardInterrupt: stopped at once.
        """
        options = self.options
        kept = [
            record
            for record in self.ledger.records.values()
            if not (options.retry_failed and record.status == Status.FAILED)
        ]
        sizes = PackSizes(
            self.ledger.pack_sizes,
            data=self.dataset.fingerprint,
            fixed=options.pack_size,
        )
        schedule = Schedule(self.plan, kept, sizes)
        if schedule.is_finished:
            if is_behind(self.ledger.folder):
                OptunaJournal(self.ledger.folder, schedule).close()
            return
        self._journal = OptunaJournal(self.ledger.folder, schedule)
        began = time.monotonic()
        stop = StopRequest(self.progress.print_line, options.grace_seconds)
        with stop.on_signals():
            self.events.emit("run started", study=self.plan.study.name, cells_done=len(kept))
            self.progress.print_line("starting Ray")
            with ray_session(options.address, options.workers, options.gpus_a_worker) as session:
                stop.install_handlers()
                sizes.use_device(session.resources.device)
                dispatch = self._make_dispatch(schedule, session, stop)
                try:
                    self._run_tuner(dispatch, session, sizes)
                finally:
                    self.progress.stop()
                    self._journal.close()
        if not schedule.is_finished:  # it may have come to its end within the grace
            self.ended, self.why = dispatch.ended, dispatch.why
        self.events.emit(
            "run ended",
            ended=self.ended or RunEnd.COMPLETE,
            trained=self.trained,
            failed=self.failed,
            seconds=round(time.monotonic() - began, 1),
        )
        if not schedule.is_finished and not dispatch.ended:
            raise RunError(f"Ray ended before the study did; {RESUME_NOTE}")

    def _make_dispatch(
        self, schedule: Schedule, session: RaySession, stop: StopRequest
    ) -> Dispatch:
        """Make the dispatch of this run, with its limits, checkpoints and listeners."""
        options = self.options
        workers = session.resources.workers
        self.log.workers = workers
        ceiling = StudyLimit(
            self.plan.study.budget,
            sum(run.wall_seconds for run in read_runs(self.ledger.folder)),
            self.ledger.records.values(),
        )
        checkpoints = None
        if options.checkpoint_minutes:
            checkpoints = Checkpoints(
                self.ledger.folder, int(options.checkpoint_gigabytes * GIGABYTE)
            )
            checkpoints.clean_up(self.ledger.records)
        in_flight = self.log.flights
        self.progress.start(schedule, in_flight, workers, self.ledger.folder)
        self.events.emit(
            "ray ready",
            nodes=session.nodes,
            workers=workers,
            device=session.resources.device,
            resources=session.resources.describe(),
        )
        return Dispatch(
            schedule=schedule,
            write_cells=partial(append_durably, self.ledger, self.events, stop),
            announce=self._announce_cells,
            workers=workers,
            study_limit=ceiling,
            stop=stop,
            first_failures=FirstFailures(options.give_up_after),
            checkpoints=checkpoints,
            events=self.events,
            in_flight=in_flight,
        )

    def _announce_cells(self, records: list[CellRecord]) -> None:
        self.trained += len(records)
        self.failed += sum(record.status == Status.FAILED for record in records)
        self.log.add_cells(records)
        self.progress.update(records)
        self._journal.add_cells(records)
        self.notify()

    def _make_worker(self, session: RaySession, sizes: PackSizes) -> Any:
        from search.worker.worker import Worker

        options = self.options
        return Worker.for_data(
            self.plan.study.core,
            self.dataset,
            self.plan,
            device=sizes.device,
            gpu_share=session.resources.gpus_a_worker,
            memory=session.resources.memory,
            codes=self.plan.codes,
            epoch_seconds=options.epoch_seconds,
            checkpoint_seconds=options.checkpoint_minutes * MINUTE or float("inf"),
        )

    def _run_tuner(self, dispatch: Dispatch, session: RaySession, sizes: PackSizes) -> None:
        """Train the whole study by one `Tuner.fit`."""
        from ray.exceptions import RayError
        from ray.tune import TuneError

        from search.engine.ray_patches import repair_tune
        from search.engine.searcher import PackSearcher
        from search.engine.watch import WorkerWatch

        repair_tune()
        searcher = PackSearcher(dispatch)
        watch = WorkerWatch(
            searcher,
            epoch_seconds=self.options.epoch_seconds,
            poll=self.progress.refresh,
            logs=session.logs,
        )
        worker = self._make_worker(session, sizes)
        with tempfile.TemporaryDirectory(prefix="triptych-") as scratch:
            try:
                self._make_tuner(searcher, watch, worker, session, Path(scratch)).fit()
            except (RayError, TuneError) as error:
                reason = str(error).strip().splitlines()[0]
                raise RunError(f"Ray stopped ({reason}); {RESUME_NOTE}") from error
        if searcher.failure is not None:
            raise searcher.failure

    def _make_tuner(
        self, searcher: Any, watch: Any, worker: Any, session: RaySession, scratch: Path
    ) -> Any:
        from ray import tune

        from search.engine.asha import ArmsAsha
        from search.engine.searcher import IdleStopper
        from search.engine.trainable import PackTrainable

        trainable = tune.with_parameters(PackTrainable, worker=worker)
        asha = self.plan.study.budget.scheduler == "asha"
        return tune.Tuner(
            tune.with_resources(trainable, {"cpu": 1, "gpu": session.resources.gpus_a_worker}),
            tune_config=tune.TuneConfig(
                search_alg=searcher,
                scheduler=ArmsAsha(self.plan) if asha else None,
                num_samples=-1,
                max_concurrent_trials=session.resources.workers,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                name="study",
                storage_path=str(scratch),
                verbose=0,
                stop=IdleStopper(searcher.dispatch),
                callbacks=[watch],
                # What is lost is requeued by `Dispatch`, perhaps in parts.
                failure_config=tune.FailureConfig(max_failures=0),
                checkpoint_config=tune.CheckpointConfig(
                    checkpoint_at_end=False, checkpoint_frequency=0
                ),
            ),
        )
