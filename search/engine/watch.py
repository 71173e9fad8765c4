"""What the driver looks after while Tune runs: lost and hung workers, nodes, a wish to stop."""

import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import ray
from ray import cloudpickle
from ray.exceptions import OutOfMemoryError, RayTaskError
from ray.tune import Callback

from msa_core.training.failures import OUT_OF_MEMORY, TIMEOUT, kind_of, last_lines
from search.engine.dispatch import Dispatch
from search.engine.nodes import Node, NodeWatch, ray_nodes
from search.engine.ray_patches import drop_finished, lighten
from search.engine.searcher import BULK, PackSearcher
from search.schedule.failures import LOST_NODE, LOST_WORKER
from search.schedule.in_flight import Flight
from search.worker.last_lines import log_of_process

LOOK_SECONDS = 2.0  # between two looks at nodes and workers
PATIENCE_SECONDS = 60.0  # a worker may say nothing for an epoch, a quarter more, and these
NODE_SECONDS = 8.0  # of a node that died its workers are missed first, the node a little later
LAST_SECONDS = 20.0  # after the grace of a stop: a worker may finish the epoch that it is in
PROCESS = r"{actor}.*?\bpid[:=] ?(\d+)"  # Ray may tell of several workers that it ended at once
NODE = re.compile(r"\bip: ?([\d.]+)", re.IGNORECASE)
OF_MEMORY = (OutOfMemoryError.__name__, "running low on memory")  # what Ray says of such ends
MEASURED = ("Memory on the node", "OOM kill reason")  # the lines that say how much there was
OF_NODES = "node has died"
REASONS = {
    OUT_OF_MEMORY: "the system ended the worker process for the memory that it needed",
    TIMEOUT: "the worker process said nothing for {silent:.0f} s and was ended",
    LOST_NODE: "the node {node} was lost",
    LOST_WORKER: "the worker process ended without an answer (killed, or crashed)",
}


class Watch(Callback):  # type: ignore[misc]  # Ray ships no types for it
    """Called by Tune between its steps and when a trial fails."""

    def __init__(
        self,
        searcher: PackSearcher,
        *,
        epoch_seconds: float | None,
        look: Callable[[], None] = lambda: None,
        logs: Path | None = None,
        read_nodes: Callable[[], Sequence[Node]] = ray_nodes,
    ) -> None:
        """Watch a run.

        Args:
            searcher: of the run.
            epoch_seconds: that an epoch may take; None = any.
            look: called every `LOOK_SECONDS`, for whoever shows the run.
            logs: folder of the workers' logs on this machine; None = unknown.
            read_nodes: the nodes as they are.
        """
        self._searcher = searcher
        self._dispatch: Dispatch = searcher.dispatch
        self._epoch_seconds = epoch_seconds
        self._look = look
        self._logs = logs
        self._read_nodes = read_nodes
        self._nodes = NodeWatch(read_nodes)
        self._looked = 0.0
        self._node_lost = 0.0  # when one was, last
        self._hung: dict[str, float] = {}  # trial -> seconds that its worker said nothing
        self._asked: set[str] = set()  # trials whose worker was told to leave
        # Trial -> its flight, what Ray said of the worker, until when its node may be lost too.
        self._doubtful: dict[str, tuple[Flight, str, float]] = {}

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Called by Tune several times a second.

        Raises:
            KeyboardInterrupt: the run is to stop, and its workers do not leave in time.
        """
        drop_finished(trials)
        if self._dispatch.stop and self._dispatch.over:
            self._let_go(trials)
        if time.monotonic() - self._looked >= LOOK_SECONDS:
            self._looked = time.monotonic()
            self._searcher.attempt(self._look_around, trials)

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Called by Tune when a worker, new or not, begins a trial."""
        flight = self._dispatch.flights.get(trial.trial_id)
        if flight is not None:
            flight.actor = trial.temporary_state.ray_actor._actor_id.hex()

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Called by Tune after the searcher: forget what was taken in."""
        if not result.get("done"):
            _forget(result)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Called by Tune after the searcher: forget what was taken in."""
        _forget(trial.last_result)
        lighten(trial)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Called by Tune when a trial raised or its worker is gone."""
        self._searcher.attempt(self._lost, trial)

    def __getstate__(self) -> dict[str, Any]:
        """Empty: Tune pickles its callbacks, and these hold open files."""
        return {}

    def _look_around(self, trials: list[Any]) -> None:
        joined, lost = self._nodes.poll()
        for node in joined:
            self._dispatch.events.tell("node joined", node=node)
        for node in lost:
            self._node_lost = time.monotonic()
            self._dispatch.events.tell("node lost", node=node)
        self._end_doubts()
        self._end_hung(trials)
        self._look()

    def _end_hung(self, trials: list[Any]) -> None:
        """End the workers that have said nothing for so long that they can't be training."""
        if self._epoch_seconds is None:
            return
        patience = 1.25 * self._epoch_seconds + PATIENCE_SECONDS
        for trial in trials:
            flight = self._dispatch.flights.get(trial.trial_id)
            actor = trial.temporary_state.ray_actor
            if flight is None or actor is None or trial.trial_id in self._hung:
                continue
            silent = time.monotonic() - flight.heard
            if silent > patience:
                self._hung[trial.trial_id] = silent
                self._dispatch.events.tell(
                    "worker hangs", pack=flight.number, arm=flight.pack.arm, seconds=round(silent)
                )
                ray.kill(actor)

    def _let_go(self, trials: list[Any]) -> None:
        """Tell the workers to leave that are not nearly done."""
        left = self._dispatch.stop.until - time.monotonic()
        if left < -LAST_SECONDS:
            raise KeyboardInterrupt
        for trial in trials:
            flight = self._dispatch.flights.get(trial.trial_id)
            actor = trial.temporary_state.ray_actor
            if flight is None or actor is None or trial.trial_id in self._asked:
                continue
            needs = flight.seconds_left
            if needs is None or needs > left:
                self._asked.add(trial.trial_id)
                actor.leave.remote()

    def _lost(self, trial: Any) -> None:
        flight = self._dispatch.flights.get(trial.trial_id)
        if flight is None:
            return  # it rested
        error, said = _error_of(trial)
        silent = self._hung.pop(trial.trial_id, None)
        if isinstance(error, RayTaskError) and silent is None:
            cause = error.cause if isinstance(error.cause, BaseException) else error
            reason = f"{type(cause).__name__}: {cause}"
            self._dispatch.lost(
                trial.trial_id, kind_of(cause), reason.splitlines()[0], last_lines(str(error))
            )
            return
        _place(flight, said)
        kind = TIMEOUT if silent is not None else self._kind(said, flight)
        if kind == LOST_WORKER and len(self._read_nodes()) > 1:
            self._doubtful[trial.trial_id] = flight, said, time.monotonic() + NODE_SECONDS
        else:
            self._tell(trial.trial_id, flight, kind, said, silent or 0)

    def _end_doubts(self) -> None:
        """Decide, of workers that are gone, whether their node is too."""
        for trial, (flight, said, until) in list(self._doubtful.items()):
            kind = self._kind(said, flight)
            if kind != LOST_WORKER or time.monotonic() > until:
                del self._doubtful[trial]
                self._tell(trial, flight, kind, said)

    def _tell(self, trial: str, flight: Flight, kind: str, said: str, silent: float = 0) -> None:
        """Give up a worker that ended without an answer."""
        reason = REASONS[kind].format(silent=silent, node=flight.node or "of the worker")
        log = log_of_process(self._logs, flight.process) if self._logs and flight.process else ""
        if kind == OUT_OF_MEMORY:
            measured = (line for line in said.splitlines() if any(of in line for of in MEASURED))
            log = "\n".join([log, *measured]).strip()
        self._dispatch.lost(trial, kind, reason, last_lines(log or said))

    def _kind(self, said: str, flight: Flight) -> str:
        """What ended a worker process, by what Ray says of it."""
        if any(words in said for words in OF_MEMORY):
            return OUT_OF_MEMORY
        alive = {node.name for node in self._read_nodes() if node.alive}
        # Of a process that was only starting nobody may know where.
        gone = flight.node not in alive if flight.node else self._node_lost > flight.started
        return LOST_NODE if gone or OF_NODES in said else LOST_WORKER


def _error_of(trial: Any) -> tuple[Exception | None, str]:
    """What Tune wrote of a trial's error: the error, if it has kept it, and its text."""
    error, said = None, ""
    if trial.pickled_error_file is not None and Path(trial.pickled_error_file).is_file():
        error = cloudpickle.loads(Path(trial.pickled_error_file).read_bytes())
    if trial.error_file is not None and Path(trial.error_file).is_file():
        said = Path(trial.error_file).read_text(encoding="utf-8", errors="replace")
    return error, said


def _place(flight: Flight, said: str) -> None:
    """Where the worker was, of what Ray says of its end, if it had said nothing itself."""
    process = re.search(PROCESS.format(actor=flight.actor), said, re.DOTALL)
    node = NODE.search(said)
    flight.process = flight.process or (int(process[1]) if process else 0)
    flight.node = flight.node or (node[1] if node else "")


def _forget(result: dict[str, Any] | None) -> None:
    for name in BULK:
        if result:
            result.pop(name, None)
