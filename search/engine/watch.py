"""The watch of the driver while Tune runs: lost and hung workers, nodes, requests to stop."""

import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import ray
from ray import cloudpickle
from ray.exceptions import OutOfMemoryError, RayTaskError
from ray.tune import Callback

from search.engine.dispatch import Dispatch
from search.engine.nodes import ClusterNode, NodeWatch, ray_nodes
from search.engine.ray_patches import drop_finished, empty_trial
from search.engine.searcher import BULK, PackSearcher
from search.schedule.in_flight import InFlightPack
from search.worker.recorded_output import log_of_process
from spaces.failures import FailureKind, kind_of, last_lines

POLL_SECONDS = 2.0  # between two polls of nodes and workers
# A worker hangs if it reports nothing for an epoch, a quarter more, and these: first the alarm in
# the worker itself has its chance, which knows the cell.
PATIENCE_SECONDS = 60.0
NODE_SECONDS = 8.0  # Ray reports the workers of a dead node first, and the node a little later
LAST_SECONDS = 20.0  # after the grace of a stop: a worker may finish the epoch that it is in
PROCESS = r"{actor}.*?\bpid[:=] ?(\d+)"  # one text of Ray's may name several workers
NODE = re.compile(r"\bip: ?([\d.]+)", re.IGNORECASE)
OF_MEMORY = (OutOfMemoryError.__name__, "running low on memory")  # in Ray's texts of such ends
MEASURED = ("Memory on the node", "OOM kill reason")  # in the lines with the amounts
# In Ray's texts of workers that ended before they could train.
BEFORE_THE_START = ("failed to import on the worker", "creation task")
IMPORT_ERROR = re.compile(r"^\S*(?:ModuleNotFoundError|ImportError): .*$", re.MULTILINE)
OF_NODES = "node has died"
REASONS = {
    FailureKind.OUT_OF_MEMORY: "the system ended the worker process for the memory that it needed",
    FailureKind.TIMEOUT: "the worker process was silent for {silent:.0f} s and was ended",
    FailureKind.LOST_NODE: "the node {node} was lost",
    FailureKind.LOST_WORKER: "the worker process ended without an answer (killed, or crashed)",
}


class WorkerWatch(Callback):  # type: ignore[misc]  # Ray ships no types for it
    """A callback of Tune, called between its steps and at the end of trials."""

    def __init__(
        self,
        searcher: PackSearcher,
        *,
        epoch_seconds: float | None,
        poll: Callable[[], None] = lambda: None,
        logs: Path | None = None,
        read_nodes: Callable[[], Sequence[ClusterNode]] = ray_nodes,
    ) -> None:
        """Watch a run.

        Args:
            searcher: Searcher of the run.
            epoch_seconds: Seconds after which an epoch counts as hung; None = never.
            poll: Function that is called every `POLL_SECONDS`, for the display.
            logs: Folder of the workers' logs on this machine; None = unknown.
            read_nodes: Function that reads the nodes.
        """
        self._searcher = searcher
        self._dispatch: Dispatch = searcher.dispatch
        self._epoch_seconds = epoch_seconds
        self._poll = poll
        self._logs = logs
        self._read_nodes = read_nodes
        self._nodes = NodeWatch(read_nodes)
        self._polled = 0.0
        self._node_lost = 0.0  # `time.monotonic()` of the last lost node
        self._hung: dict[str, float] = {}  # trial -> seconds without a result
        self._asked: set[str] = set()  # trials whose worker was asked to stop
        # Trial -> its pack, Ray's text of the loss, time until which its node may be lost, too.
        self._doubtful: dict[str, tuple[InFlightPack, str, float]] = {}

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Stop and poll when due; Tune calls it several times per second.

        Raises:
            KeyboardInterrupt: the run is to stop, and its workers do not leave in time.
        """
        drop_finished(trials)
        if self._dispatch.stop and self._dispatch.is_over:
            self._stop_workers(trials)
        if time.monotonic() - self._polled >= POLL_SECONDS:
            self._polled = time.monotonic()
            self._searcher.run_guarded(self._poll_cluster, trials)

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Note the actor of a trial that begins."""
        assigned = self._dispatch.in_flight.get(trial.trial_id)
        if assigned is not None:
            assigned.actor = trial.temporary_state.ray_actor._actor_id.hex()

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Drop what is large of a result; the searcher, which comes first, has recorded it."""
        if not result.get("done"):
            _drop_bulk(result)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Empty a trial that is over; the searcher, which comes first, has recorded it."""
        _drop_bulk(trial.last_result)
        empty_trial(trial)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Handle a trial that raised, or whose worker is gone."""
        self._searcher.run_guarded(self._handle_error, trial)

    def __getstate__(self) -> dict[str, Any]:
        """Empty: Tune pickles its callbacks, and these hold open files."""
        return {}

    def _poll_cluster(self, trials: list[Any]) -> None:
        joined, lost = self._nodes.poll()
        for node in joined:
            self._dispatch.events.emit("node joined", node=node)
        for node in lost:
            self._node_lost = time.monotonic()
            self._dispatch.events.emit("node lost", node=node)
        self._end_doubts()
        self._end_hung(trials)
        self._poll()

    def _end_hung(self, trials: list[Any]) -> None:
        """Kill the workers that have reported nothing for too long to be training."""
        if self._epoch_seconds is None:
            return
        patience = 1.25 * self._epoch_seconds + PATIENCE_SECONDS
        for trial in trials:
            assigned = self._dispatch.in_flight.get(trial.trial_id)
            actor = trial.temporary_state.ray_actor
            if assigned is None or actor is None or trial.trial_id in self._hung:
                continue
            silent = time.monotonic() - assigned.last_report
            if silent > patience:
                self._hung[trial.trial_id] = silent
                self._dispatch.events.emit(
                    "worker hangs",
                    pack=assigned.number,
                    arm=assigned.pack.arm,
                    seconds=round(silent),
                )
                ray.kill(actor)

    def _stop_workers(self, trials: list[Any]) -> None:
        """Ask the workers to stop that are not nearly done."""
        left = self._dispatch.stop.until - time.monotonic()
        if left < -LAST_SECONDS:
            raise KeyboardInterrupt
        for trial in trials:
            assigned = self._dispatch.in_flight.get(trial.trial_id)
            actor = trial.temporary_state.ray_actor
            if assigned is None or actor is None or trial.trial_id in self._asked:
                continue
            needs = assigned.seconds_left
            if needs is None or needs > left:
                self._asked.add(trial.trial_id)
                actor.stop_early.remote()

    def _handle_error(self, trial: Any) -> None:
        assigned = self._dispatch.in_flight.get(trial.trial_id)
        if assigned is None:
            return  # it was idle
        error, text = _error_of(trial)
        silent = self._hung.pop(trial.trial_id, None)
        if failure := _import_failure(error, text):
            self._dispatch.refuse(trial.trial_id, failure)
            return
        if isinstance(error, RayTaskError) and silent is None:
            cause = error.cause if isinstance(error.cause, BaseException) else error
            reason = f"{type(cause).__name__}: {cause}"
            self._dispatch.handle_loss(
                trial.trial_id, kind_of(cause), reason.splitlines()[0], last_lines(str(error))
            )
            return
        _locate_worker(assigned, text)
        kind = FailureKind.TIMEOUT if silent is not None else self._kind_of_end(text, assigned)
        if kind == FailureKind.LOST_WORKER and len(self._read_nodes()) > 1:
            self._doubtful[trial.trial_id] = assigned, text, time.monotonic() + NODE_SECONDS
        else:
            self._report_loss(trial.trial_id, assigned, kind, text, silent or 0)

    def _end_doubts(self) -> None:
        """Decide whether lost workers were lost with their node."""
        for trial, (assigned, text, until) in list(self._doubtful.items()):
            kind = self._kind_of_end(text, assigned)
            if kind != FailureKind.LOST_WORKER or time.monotonic() > until:
                del self._doubtful[trial]
                self._report_loss(trial, assigned, kind, text)

    def _report_loss(
        self, trial: str, assigned: InFlightPack, kind: FailureKind, text: str, silent: float = 0
    ) -> None:
        """Report a worker that ended without an answer to the dispatch."""
        reason = REASONS[kind].format(silent=silent, node=assigned.node or "of the worker")
        log = (
            log_of_process(self._logs, assigned.process) if self._logs and assigned.process else ""
        )
        if kind == FailureKind.OUT_OF_MEMORY:
            measured = (line for line in text.splitlines() if any(of in line for of in MEASURED))
            log = "\n".join([log, *measured]).strip()
        self._dispatch.handle_loss(trial, kind, reason, last_lines(log or text))

    def _kind_of_end(self, text: str, assigned: InFlightPack) -> FailureKind:
        """Return what ended a worker process, by Ray's text."""
        if any(words in text for words in OF_MEMORY):
            return FailureKind.OUT_OF_MEMORY
        alive = {node.name for node in self._read_nodes() if node.alive}
        # The node of a process that was still starting may be unknown.
        gone = assigned.node not in alive if assigned.node else self._node_lost > assigned.started
        return FailureKind.LOST_NODE if gone or OF_NODES in text else FailureKind.LOST_WORKER


def _error_of(trial: Any) -> tuple[Exception | None, str]:
    """Read a trial's error from Tune's files: the error itself, if there is one, and its text."""
    error, text = None, ""
    if trial.pickled_error_file is not None and Path(trial.pickled_error_file).is_file():
        error = cloudpickle.loads(Path(trial.pickled_error_file).read_bytes())
    if trial.error_file is not None and Path(trial.error_file).is_file():
        text = Path(trial.error_file).read_text(encoding="utf-8", errors="replace")
    return error, text


def _import_failure(error: Exception | None, text: str) -> str:
    """Return the line of the import that failed in a worker; empty if that is not what ended it."""
    cause = getattr(error, "cause", None)
    if isinstance(cause, ImportError):
        return f"{type(cause).__name__}: {cause}".splitlines()[0]
    # Before a worker's code runs there is no exception of its own, only Ray's text with the trace.
    if isinstance(error, RayTaskError) or not any(words in text for words in BEFORE_THE_START):
        return ""
    lines = IMPORT_ERROR.findall(text)
    return str(lines[-1]).strip() if lines else ""


def _locate_worker(assigned: InFlightPack, text: str) -> None:
    """Fill in where a worker ran from Ray's text, if it had not reported that itself."""
    process = re.search(PROCESS.format(actor=assigned.actor), text, re.DOTALL)
    node = NODE.search(text)
    assigned.process = assigned.process or (int(process[1]) if process else 0)
    assigned.node = assigned.node or (node[1] if node else "")


def _drop_bulk(result: dict[str, Any] | None) -> None:
    for name in BULK:
        if result:
            result.pop(name, None)
