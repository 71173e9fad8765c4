"""Ray Tune's view of a schedule: a Searcher that hands out packs and takes in cells."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from ray.tune import Callback, Stopper
from ray.tune.search import Searcher

from msa_core.packing import PackSize
from search.ceiling import Ceiling
from search.ledger import CellRecord
from search.pack import Pack
from search.schedule import Schedule
from search.trainable import RESTING, cells_of, lost_cells, measured_of

NAP_SECONDS = 0.05  # times workers, so that Tune hears as many of them a second on any cluster
LOST = "the worker process ended without an answer (killed, out of memory, or its node was lost)"


class PackSearcher(Searcher):  # type: ignore[misc]  # Ray ships no types for it
    """Serves packs until the schedule is finished.

    Where a pack must wait for the results of others, its worker is given a trial that rests:
    Tune would end the worker's process, and start another one when there is a pack again.

    Its state is the ledger's, so Tune's own snapshots of it are empty.
    """

    def __init__(
        self,
        schedule: Schedule,
        keep: Callable[[list[CellRecord], PackSize | None], None],
        announce: Callable[[list[CellRecord]], None],
        workers: int = 1,
        ceiling: Ceiling | None = None,
        handed_out: Callable[[], None] = lambda: None,
    ) -> None:
        """Serve a schedule.

        Args:
            schedule: what is to be trained.
            keep: makes finished cells, and a measured pack size, durable; called before anything
                else learns of them.
            announce: tells of them, once they are durable and the schedule knows.
            workers: that train at once; what waits is shared out among those without a pack.
            ceiling: of the study; None = it has none.
            handed_out: hears of every pack that goes to a worker.
        """
        super().__init__(metric=None, mode=None)
        self.schedule = schedule
        self.keep = keep
        self.announce = announce
        self.workers = workers
        self.ceiling = ceiling
        self.handed_out = handed_out
        self.stopped = ""  # which ceiling ended the run before the study was finished
        self.failure: BaseException | None = None
        self.has_news = False  # results came in, and nobody has seen yet what to train after them
        self._flying: dict[str, Pack] = {}

    def set_search_properties(self, *args: Any, **kwargs: Any) -> bool:
        """Accept whatever Tune was told: metric, mode and space come from the study."""
        return True

    def suggest(self, trial_id: str) -> dict[str, Any] | str:
        """The next pack, a rest while results are awaited, FINISHED at the end."""
        if not self.stopped and self.ceiling is not None and not self.schedule.finished:
            self.stopped = self.ceiling.reached()
        if self.failure is not None or self.stopped or self.schedule.finished:
            finished: str = Searcher.FINISHED
            return finished
        pack = self.schedule.next_pack(idle=self.workers - len(self._flying))
        if pack is None:
            self.has_news = False
            return {"pack": None, "nap_seconds": NAP_SECONDS * self.workers}
        self._flying[trial_id] = pack
        self.handed_out()
        return {"pack": pack}

    def on_trial_complete(
        self, trial_id: str, result: Mapping[str, Any] | None = None, error: bool = False
    ) -> None:
        """Keep the cells of a finished trial.

        Tune swallows what is raised here, so a failure is remembered for `run_study` to raise.
        """
        pack = self._flying.pop(trial_id, None)
        if pack is None:
            return  # it rested
        try:
            answer = None if error else result
            records = cells_of(answer) if answer else lost_cells(pack, LOST)
            measured = measured_of(answer) if answer else None
            self.keep(records, measured)
            if self.ceiling is not None:
                self.ceiling.take_in(records)
            self.schedule.receive(records, measured)
            self.announce(records)
        except BaseException as failure:  # the whole run must end with it
            self.failure = failure
        self.has_news = True

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the ledger knows."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: the ledger knows."""

    def __getstate__(self) -> dict[str, Any]:
        """Empty: Tune pickles its searcher, and ours holds open files."""
        return {}


class EndOfRest(Stopper):  # type: ignore[misc]  # Ray ships no types for it
    """Ends the rest of a worker when there may be something to train, or nothing ever again."""

    def __init__(self, searcher: PackSearcher) -> None:
        """Rests of this searcher's."""
        self.searcher = searcher

    def __call__(self, trial_id: str, result: Mapping[str, Any]) -> bool:
        """Called by Tune after each result of a trial."""
        return RESTING in result and self.searcher.has_news

    def stop_all(self) -> bool:
        """Never: the searcher says when the study is finished."""
        return False

    def __getstate__(self) -> dict[str, Any]:
        """Empty, as the searcher's."""
        return {}


class LostWorkers(Callback):  # type: ignore[misc]  # Ray ships no types for it
    """Says in one line when a worker was lost, and has its pack trained again in smaller steps.

    The system may have killed it for its memory; the numbers are the same.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        """Say it with this."""
        self.say = say

    def on_trial_recover(self, *, trial: Any, **info: Any) -> None:
        """Called by Tune after a failure that it retries."""
        pack: Pack | None = trial.config["pack"]
        if pack is not None:
            size = max(1, (pack.size or len(pack.cells)) // 2)
            trial.config["pack"] = replace(pack, size=size)
            cells = f"{pack.arm}, {pack.phase}, {len(pack.cells)} cells"
            step = f", at most {size} in one step" if pack.pack_key else ""
            self.say(f"a worker was lost; training again: {cells}{step}")

    def __getstate__(self) -> dict[str, Any]:
        """Empty: Tune pickles its callbacks, and a console is none of its business."""
        return {}
