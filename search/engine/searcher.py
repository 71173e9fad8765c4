"""Ray Tune's view of a run: a searcher that assigns packs and records finished cells."""

from collections.abc import Callable, Mapping
from typing import Any

import ray
from ray.tune import Stopper
from ray.tune.search import Searcher

from search.engine.dispatch import Dispatch
from search.engine.trainable import IDLE
from search.worker.pack_work import (
    CELLS,
    CHECKPOINTS,
    LEFT,
    MEASURED,
    PROGRESS,
    REFUSED,
    cells_of,
    measured_of,
)

IDLE_SECONDS = (
    0.05  # times workers, so that Tune gets as many idle results per second on any cluster
)
BULK = (CELLS, CHECKPOINTS, MEASURED, PROGRESS)  # of a result, not needed once it is recorded


class PackSearcher(Searcher):  # type: ignore[misc]  # Ray ships no types for it
    """A searcher that serves packs until the run is over.

    Where a pack must wait for the results of others, its worker is given an idle trial: Tune would
    end the worker's process, and start another one, in 4 to 5 s, when there is a pack again.

    Its state is the ledger's, so Tune's own snapshots of it are empty.
    """

    def __init__(self, dispatch: Dispatch) -> None:
        """Serve the packs of a dispatch."""
        super().__init__(metric=None, mode=None)
        self.dispatch = dispatch
        self.failure: Exception | None = None  # Tune swallows what is raised here

    def set_search_properties(self, *args: Any, **kwargs: Any) -> bool:
        """Accept whatever Tune passes: metric, mode and space come from the study."""
        return True

    def suggest(self, trial_id: str) -> dict[str, Any] | str:
        """Return the next pack, an idle trial while results are awaited, FINISHED at the end."""
        finished: str = Searcher.FINISHED
        if self.failure is not None or self.dispatch.is_over:
            return finished
        try:
            assignment = self.dispatch.next_pack(trial_id)
        except Exception as failure:
            self.failure = failure
            return finished
        if assignment is None:
            return {"pack": None, "idle_seconds": IDLE_SECONDS * self.dispatch.workers}
        # In a list: Tune looks into dictionaries, and the object is for the worker to get.
        resume = [ray.put(dict(assignment.resume))] if assignment.resume else None
        return {"pack": assignment.pack, "resume": resume}

    def on_trial_result(self, trial_id: str, result: Mapping[str, Any]) -> None:
        """Record what a worker reports while it trains."""
        if PROGRESS in result:
            self.run_guarded(self._record_progress, trial_id, result)

    def on_trial_complete(
        self, trial_id: str, result: Mapping[str, Any] | None = None, error: bool = False
    ) -> None:
        """Record the end of a trial; a lost one is left to `WorkerWatch`, which knows the error."""
        if not error:
            self.run_guarded(self._record_end, trial_id, result or {})

    def run_guarded(self, do: Callable[..., None], *arguments: Any) -> None:
        """Call a function; if it raises, the run ends with that error."""
        try:
            do(*arguments)
        except Exception as failure:
            self.failure = self.failure or failure

    def save(self, checkpoint_path: str) -> None:
        """Do nothing: the state is the ledger's."""

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing: the state is the ledger's."""

    def __getstate__(self) -> dict[str, Any]:
        """Empty: Tune pickles its searcher, and ours holds open files."""
        return {}

    def _record_progress(self, trial: str, result: Mapping[str, Any]) -> None:
        worker = {"node": result.get("node_ip", ""), "process": result.get("pid", 0)}
        saved = result[CHECKPOINTS][0] if result.get(CHECKPOINTS) else {}
        self.dispatch.add_progress(trial, {**worker, **result[PROGRESS][0]}, saved)
        assigned = self.dispatch.in_flight.get(trial)
        # Under ASHA it reports at every rung how its cells would end if they were stopped there.
        if assigned is not None and assigned.pack.scheduler != "asha":
            self.dispatch.add_cells(trial, cells_of(result), measured_of(result))

    def _record_end(self, trial: str, result: Mapping[str, Any]) -> None:
        if REFUSED in result:
            self.dispatch.refuse(trial, result[REFUSED])
            return
        if result.get(PROGRESS):
            self._record_progress(trial, result)
        assigned = self.dispatch.in_flight.get(trial)
        if assigned is not None and not result.get(LEFT) and not assigned.finished:
            self.dispatch.add_cells(trial, cells_of(result), measured_of(result))
        self.dispatch.end_trial(trial)


class IdleStopper(Stopper):  # type: ignore[misc]  # Ray ships no types for it
    """A stopper that ends idle trials once there may be a pack, or never one again."""

    def __init__(self, dispatch: Dispatch) -> None:
        """End the idle trials of a dispatch."""
        self.dispatch = dispatch

    def __call__(self, trial_id: str, result: Mapping[str, Any]) -> bool:
        """Decide, after each result of a trial, whether to end it."""
        return IDLE in result and self.dispatch.has_new_results

    def stop_all(self) -> bool:
        """Return False: the searcher decides when the run is over."""
        return False

    def __getstate__(self) -> dict[str, Any]:
        """Empty, as the searcher's."""
        return {}
