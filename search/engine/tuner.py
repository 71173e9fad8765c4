"""The engine of a run: everything that a Tuner needs, put together and let go."""

import tempfile
import time
from pathlib import Path
from typing import Any

from msa_core.data.dataset import Dataset
from search.engine.dispatch import Dispatch
from search.engine.durable import Keeper
from search.engine.options import GIGABYTE, MINUTE, RunOptions
from search.engine.session import Session, ray_session
from search.engine.stopping import Stop
from search.errors import GOES_ON, RunError
from search.ledger.ledger import Ledger
from search.ledger.record import CellRecord
from search.provenance import code_version
from search.results.checkpoints import Checkpoints
from search.results.events import Events
from search.results.history import read_runs
from search.schedule.failures import FirstFailures
from search.schedule.optuna_journal import Journal, is_behind
from search.schedule.pack_sizes import PackSizes
from search.schedule.schedule import Schedule
from search.schedule.study_limit import Ceiling
from search.screen.progress import Progress
from search.screen.run_log import RunLog
from spaces.plan.plan import Plan


class Engine:
    """Trains what a ledger does not hold of a plan.

    Attributes:
        trained: cells trained so far.
        ended, why: as in `Dispatch`; empty unless the run ended before the study.
    """

    def __init__(
        self,
        plan: Plan,
        dataset: Dataset,
        ledger: Ledger,
        options: RunOptions,
        *,
        progress: Progress,
        log: RunLog,
        events: Events,
        notify: Any,
        trainable: type | None = None,
    ) -> None:
        """Put a run together.

        Args:
            plan: what to train.
            dataset: the plan's data.
            ledger: open.
            options: how.
            progress: shows it.
            log: watches it.
            events: what happens.
            notify: called when there are new cells in the ledger.
            trainable: what runs on the workers; None = `search.engine.trainable.PackTrainable`.
        """
        self._plan, self._dataset, self._ledger, self._options = plan, dataset, ledger, options
        self._progress, self._log, self._events = progress, log, events
        self._notify, self._trainable = notify, trainable
        self.trained = 0
        self._failed = 0
        self.ended = ""
        self.why = ""

    def train(self) -> None:
        """Train until the study is finished or the run is to end.

        Raises:
            RunError: Ray could not start, or ended.
            LedgerError: what was trained can't be kept.
            KeyboardInterrupt: stopped at once.
        """
        options = self._options
        kept = [
            record
            for record in self._ledger.records.values()
            if not (options.retry_failed and record.status == "failed")
        ]
        sizes = PackSizes(
            self._ledger.pack_sizes,
            data=self._dataset.fingerprint,
            fixed=options.pack_size,
        )
        schedule = Schedule(self._plan, kept, sizes)
        if schedule.finished:
            if is_behind(self._ledger.folder):
                Journal(self._ledger.folder, schedule).close()
            return
        self._journal = Journal(self._ledger.folder, schedule)
        began = time.monotonic()
        stop = Stop(self._progress.say, options.grace_seconds)
        with stop.on_signals():
            self._events.tell("run started", study=self._plan.study.name, cells_done=len(kept))
            self._progress.say("starting Ray")
            with ray_session(options.address, options.workers, options.gpus_a_worker) as session:
                stop.listen()
                sizes.use(session.resources.device)
                dispatch = self._dispatch(schedule, session, stop)
                try:
                    self._fit(dispatch, session, sizes)
                finally:
                    self._progress.stop()
                    self._journal.close()
        if not schedule.finished:  # it may have come to its end within the grace
            self.ended, self.why = dispatch.ended, dispatch.why
        self._events.tell(
            "run ended",
            ended=self.ended or "complete",
            trained=self.trained,
            failed=self._failed,
            seconds=round(time.monotonic() - began, 1),
        )
        if not schedule.finished and not dispatch.ended:
            raise RunError(f"Ray ended before the study did; {GOES_ON}")

    def _dispatch(self, schedule: Schedule, session: Session, stop: Stop) -> Dispatch:
        """What is handed out in this run, and who hears of what comes back."""
        options = self._options
        workers = session.resources.workers
        self._log.workers = workers
        ceiling = Ceiling(
            self._plan.study.budget,
            sum(run.wall_seconds for run in read_runs(self._ledger.folder)),
            self._ledger.records.values(),
        )
        checkpoints = None
        if options.checkpoint_minutes:
            checkpoints = Checkpoints(
                self._ledger.folder, int(options.checkpoint_gigabytes * GIGABYTE)
            )
            checkpoints.sweep(self._ledger.records)
        flights = self._log.flights
        self._progress.start(schedule, flights, workers, self._ledger.folder)
        self._events.tell(
            "ray ready",
            nodes=session.nodes,
            workers=workers,
            device=session.resources.device,
            resources=session.resources.sentence(),
        )
        return Dispatch(
            schedule=schedule,
            keep=Keeper(self._ledger, self._events, stop),
            announce=self._announce,
            workers=workers,
            ceiling=ceiling,
            stop=stop,
            first=FirstFailures(options.give_up_after),
            checkpoints=checkpoints,
            events=self._events,
            flights=flights,
        )

    def _announce(self, records: list[CellRecord]) -> None:
        self.trained += len(records)
        self._failed += sum(record.status == "failed" for record in records)
        self._log.take_in(records)
        self._progress.update(records)
        self._journal.take_in(records)
        self._notify()

    def _worker(self, session: Session, sizes: PackSizes) -> Any:
        from search.worker.worker import Worker

        options = self._options
        worker = Worker.of(
            self._dataset,
            device=sizes.device,
            gpu_share=session.resources.gpus_a_worker,
            memory=session.resources.memory,
            code=code_version(),
            plugins=self._plan.study.plugins,
            epoch_seconds=options.epoch_seconds,
            checkpoint_seconds=options.checkpoint_minutes * MINUTE or float("inf"),
        )
        worker.warm(self._plan)
        return worker

    def _fit(self, dispatch: Dispatch, session: Session, sizes: PackSizes) -> None:
        """One `Tuner.fit` over the whole study."""
        from ray.exceptions import RayError
        from ray.tune import TuneError

        from search.engine.ray_patches import repair_tune
        from search.engine.searcher import PackSearcher
        from search.engine.watch import Watch

        repair_tune()
        searcher = PackSearcher(dispatch)
        watch = Watch(
            searcher,
            epoch_seconds=self._options.epoch_seconds,
            look=self._progress.look,
            logs=session.logs,
        )
        worker = self._worker(session, sizes)
        with tempfile.TemporaryDirectory(prefix="triptych-") as scratch:
            try:
                self._tuner(searcher, watch, worker, session, Path(scratch)).fit()
            except (RayError, TuneError) as error:
                reason = str(error).strip().splitlines()[0]
                raise RunError(f"Ray stopped ({reason}); {GOES_ON}") from error
        if searcher.failure is not None:
            raise searcher.failure

    def _tuner(
        self, searcher: Any, watch: Any, worker: Any, session: Session, scratch: Path
    ) -> Any:
        from ray import tune

        from search.engine.asha import ArmsAsha
        from search.engine.searcher import EndOfRest
        from search.engine.trainable import PackTrainable

        trainable = tune.with_parameters(self._trainable or PackTrainable, worker=worker)
        asha = self._plan.study.budget.scheduler == "asha"
        return tune.Tuner(
            tune.with_resources(trainable, {"cpu": 1, "gpu": session.resources.gpus_a_worker}),
            tune_config=tune.TuneConfig(
                search_alg=searcher,
                scheduler=ArmsAsha(self._plan) if asha else None,
                num_samples=-1,
                max_concurrent_trials=session.resources.workers,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                name="study",
                storage_path=str(scratch),
                verbose=0,
                stop=EndOfRest(searcher.dispatch),
                callbacks=[watch],
                # What is lost is handed out again by `Dispatch`, perhaps in parts.
                failure_config=tune.FailureConfig(max_failures=0),
                checkpoint_config=tune.CheckpointConfig(
                    checkpoint_at_end=False, checkpoint_frequency=0
                ),
            ),
        )
