"""Ray Tune's view of a run: a Searcher that hands out packs and takes in cells."""

from collections.abc import Callable, Mapping
from typing import Any

import ray
from ray.tune import Stopper
from ray.tune.search import Searcher

from search.engine.dispatch import Dispatch
from search.engine.trainable import RESTING
from search.worker.pack_work import (
    CELLS,
    CHECKPOINTS,
    LEFT,
    MEASURED,
    PROGRESS,
    cells_of,
    measured_of,
)

NAP_SECONDS = 0.05  # times workers, so that Tune hears as many of them a second on any cluster
BULK = (CELLS, CHECKPOINTS, MEASURED, PROGRESS)  # of a result: nobody needs it once it is taken in


class PackSearcher(Searcher):  # type: ignore[misc]  # Ray ships no types for it
    """Serves packs until the run is over.

    Where a pack must wait for the results of others, its worker is given a trial that rests:
    Tune would end the worker's process, and start another one when there is a pack again.

    Its state is the ledger's, so Tune's own snapshots of it are empty.
    """

    def __init__(self, dispatch: Dispatch) -> None:
        """Serve what is dispatched."""
        super().__init__(metric=None, mode=None)
        self.dispatch = dispatch
        self.failure: Exception | None = None  # Tune swallows what is raised here

    def set_search_properties(self, *args: Any, **kwargs: Any) -> bool:
        """Accept whatever Tune was told: metric, mode and space come from the study."""
        return True

    def suggest(self, trial_id: str) -> dict[str, Any] | str:
        """The next pack, a rest while results are awaited, FINISHED at the end."""
        finished: str = Searcher.FINISHED
        if self.failure is not None or self.dispatch.over:
            return finished
        try:
            handout = self.dispatch.next(trial_id)
        except Exception as failure:
            self.failure = failure
            return finished
        if handout is None:
            return {"pack": None, "nap_seconds": NAP_SECONDS * self.dispatch.workers}
        # In a list: Tune looks into dictionaries, and the object is for the worker to get.
        resume = [ray.put(dict(handout.resume))] if handout.resume else None
        return {"pack": handout.pack, "resume": resume}

    def on_trial_result(self, trial_id: str, result: Mapping[str, Any]) -> None:
        """Take in what a worker says while it trains."""
        if PROGRESS in result:
            self.attempt(self._hear, trial_id, result)

    def on_trial_complete(
        self, trial_id: str, result: Mapping[str, Any] | None = None, error: bool = False
    ) -> None:
        """Take in the end of a trial; one that was lost is `Watch`'s, which is told why."""
        if not error:
            self.attempt(self._complete, trial_id, result or {})

    def attempt(self, do: Callable[..., None], *arguments: Any) -> None:
        """Do something; a failure ends the run."""
        try:
            do(*arguments)
        except Exception as failure:
            self.failure = self.failure or failure

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the ledger knows."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: the ledger knows."""

    def __getstate__(self) -> dict[str, Any]:
        """Empty: Tune pickles its searcher, and ours holds open files."""
        return {}

    def _hear(self, trial: str, result: Mapping[str, Any]) -> None:
        said = {"node": result.get("node_ip", ""), "process": result.get("pid", 0)}
        saved = result[CHECKPOINTS][0] if result.get(CHECKPOINTS) else {}
        self.dispatch.hear(trial, {**said, **result[PROGRESS][0]}, saved)
        flight = self.dispatch.flights.get(trial)
        # Under ASHA it says at every rung how its cells would end if they were stopped there.
        if flight is not None and flight.pack.scheduler != "asha":
            self.dispatch.take_in(trial, cells_of(result), measured_of(result))

    def _complete(self, trial: str, result: Mapping[str, Any]) -> None:
        if result.get(PROGRESS):
            self._hear(trial, result)
        flight = self.dispatch.flights.get(trial)
        if flight is not None and not result.get(LEFT) and not flight.finished:
            self.dispatch.take_in(trial, cells_of(result), measured_of(result))
        self.dispatch.end(trial)


class EndOfRest(Stopper):  # type: ignore[misc]  # Ray ships no types for it
    """Ends the rest of a worker when there may be something to train, or nothing ever again."""

    def __init__(self, dispatch: Dispatch) -> None:
        """Rests of this run's workers."""
        self.dispatch = dispatch

    def __call__(self, trial_id: str, result: Mapping[str, Any]) -> bool:
        """Called by Tune after each result of a trial."""
        return RESTING in result and self.dispatch.has_news

    def stop_all(self) -> bool:
        """Never: the searcher says when the run is over."""
        return False

    def __getstate__(self) -> dict[str, Any]:
        """Empty, as the searcher's."""
        return {}
