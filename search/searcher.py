"""Ray Tune's view of a schedule: a Searcher that hands out packs and takes in cells."""

from collections.abc import Callable, Mapping
from typing import Any

from ray.tune import Callback
from ray.tune.search import Searcher

from msa_core.packing import PackSize
from search.ledger import CellRecord
from search.pack import Pack
from search.schedule import Schedule
from search.trainable import cells_of, lost_cells, measured_of

LOST = "the worker process ended without an answer (killed, out of memory, or its node was lost)"


class PackSearcher(Searcher):  # type: ignore[misc]  # Ray ships no types for it
    """Serves packs until the schedule is finished.

    Its state is the ledger's, so Tune's own snapshots of it are empty.
    """

    def __init__(
        self,
        schedule: Schedule,
        keep: Callable[[list[CellRecord], PackSize | None], None],
        announce: Callable[[list[CellRecord]], None],
        workers: int = 1,
    ) -> None:
        """Serve a schedule.

        Args:
            schedule: what is to be trained.
            keep: makes finished cells, and a measured pack size, durable; called before anything
                else learns of them.
            announce: tells of them, once they are durable and the schedule knows.
            workers: that train at once; what waits is shared out among those without a pack.
        """
        super().__init__(metric=None, mode=None)
        self.schedule = schedule
        self.keep = keep
        self.announce = announce
        self.workers = workers
        self.failure: BaseException | None = None
        self._flying: dict[str, Pack] = {}

    def set_search_properties(self, *args: Any, **kwargs: Any) -> bool:
        """Accept whatever Tune was told: metric, mode and space come from the study."""
        return True

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next pack, None while results are awaited, FINISHED at the end."""
        if self.failure is not None or self.schedule.finished:
            finished: str = Searcher.FINISHED
            return finished
        pack = self.schedule.next_pack(idle=self.workers - len(self._flying))
        if pack is None:
            return None
        self._flying[trial_id] = pack
        return {"pack": pack}

    def on_trial_complete(
        self, trial_id: str, result: Mapping[str, Any] | None = None, error: bool = False
    ) -> None:
        """Keep the cells of a finished trial.

        Tune swallows what is raised here, so a failure is remembered for `run_study` to raise.
        """
        pack = self._flying.pop(trial_id)
        try:
            answer = None if error else result
            records = cells_of(answer) if answer else lost_cells(pack, LOST)
            measured = measured_of(answer) if answer else None
            self.keep(records, measured)
            self.schedule.receive(records, measured)
            self.announce(records)
        except BaseException as failure:  # the whole run must end with it
            self.failure = failure

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the ledger knows."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: the ledger knows."""

    def __getstate__(self) -> dict[str, Any]:
        """Empty: Tune pickles its searcher, and ours holds open files."""
        return {}


class LostWorkers(Callback):  # type: ignore[misc]  # Ray ships no types for it
    """Says in one line when a worker was lost and its pack is trained again."""

    def __init__(self, say: Callable[[str], None]) -> None:
        """Say it with this."""
        self.say = say

    def on_trial_recover(self, *, trial: Any, **info: Any) -> None:
        """Called by Tune after a failure that it retries."""
        pack: Pack = trial.config["pack"]
        self.say(
            f"a worker was lost; training again: {pack.arm}, {pack.phase}, {len(pack.cells)} cells"
        )

    def __getstate__(self) -> dict[str, Any]:
        """Empty: Tune pickles its callbacks, and a console is none of its business."""
        return {}
