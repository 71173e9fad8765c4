"""Micro-runs before a study: the processes that make them, and the messages to and from them.

Every process (`probe_worker`) opens the study as a worker does. First each arm's epoch is
timed on a part of the data; then the cheapest and the dearest arm are trained for some seconds, as
many at once as the run would have workers. This process imports no torch, and no result is kept.
"""

import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from msa_core.config.schema import PlantedConfig
from spaces.plan.plan import Plan

TRAIN_SECONDS = 8.0  # of training per arm
TIMING_SECONDS = 20.0  # of timing per process; arms that come later are not timed
MOST_AT_ONCE = 8  # processes
PATIENCE_SECONDS = 60.0  # beyond its limit, before a process is ended
LEAST_EPOCHS = 12  # epochs that a pack should reach in its seconds


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenStudyTask:
    """The first message to a process: open the study.

    Attributes:
        source: Source of the data, for `load_dataset`.
        folder: Results folder; cells that its ledger holds are not trained.
        memory: Memory that a worker may use, in bytes; 0 = unknown.
    """

    plan: Plan
    source: Path | PlantedConfig
    folder: Path
    memory: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyOpened:
    """The answer to `OpenStudyTask`: seconds of start, imports and opening of the data."""

    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class TimingTask:
    """The message to time an arm's epoch on a part of the data, up to `most` members a pack."""

    arm_key: str
    most: int


@dataclass(frozen=True, kw_only=True, slots=True)
class EpochTiming:
    """The time of an epoch, extrapolated to all of the data.

    Attributes:
        fixed: Seconds of an epoch, whatever the number of members.
        member: Further seconds per member.
        in_turn: Whether members train sequentially.
    """

    fixed: float
    member: float
    in_turn: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainTask:
    """The message to train an arm's next pack for a while.

    Attributes:
        fair: Cells of a worker's share, as for `ArmSchedule.next_pack`.
        most: Most cells of the pack that are trained.
        seconds: Time after which it is stopped, in seconds.
    """

    arm_key: str
    fair: int
    most: int
    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class ProbedPack:
    """Measurements of a pack that was trained for a while; seconds are processor time.

    Attributes:
        cells: Number of cells that were trained.
        drawn: Cells of the pack as the run would draw it.
        waiting: Cells that it was drawn from.
        fair: Cells of a worker's share, by which it was drawn.
        measuring: Seconds of measuring the size of packs; 0 = it was not measured.
        size: Members in one step, as measured; 0 = it was not measured.
        log: Number of members and seconds of every epoch.
        wall: Wall time of all epochs; longer than their seconds where other programs run.
        epochs: Epochs that each cell trained.
        expected: Epochs that each cell would have trained.
        device_seconds: Wall time of all cells.
        values: Candidate and validation value of each cell.
        extra: Seconds per cell beside its epochs.
        record_bytes: Mean size of a line of the ledger.
        fields, metrics, curve_values: Mean numbers of configuration fields, metrics and values
            of curves in a cell's record.
        parameters: Number of trained parameters; 0 = unknown.
    """

    cells: int
    drawn: int
    waiting: int
    fair: int
    measuring: float
    size: int
    log: Sequence[tuple[int, float]]
    wall: float
    epochs: Sequence[int]
    expected: Sequence[float]
    device_seconds: float
    values: Sequence[tuple[int, float | None]]
    extra: float
    record_bytes: float
    fields: float
    metrics: float
    curve_values: float
    parameters: int


@dataclass(frozen=True, slots=True)
class ProbeFailure:
    """The answer of a process that has no other, with the reason."""

    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ProbeResults:
    """Measurements of all micro-runs, by arm key.

    Attributes:
        opening: Seconds of a process's start, imports and opening of the data.
        seconds: Wall time of all micro-runs.
    """

    steps: dict[str, EpochTiming]
    trained: dict[str, list[ProbedPack]]
    opening: float
    seconds: float


def run_probes(
    opening: OpenStudyTask,
    arms: Sequence[str],
    *,
    workers: int,
    fair: int,
    most: int,
    seconds: float = TRAIN_SECONDS,
) -> ProbeResults | None:
    """Make the micro-runs; None if no process could open the study.

    Args:
        opening: Message that opens the study.
        arms: Keys of the arms that have something to train; the first ones are timed first.
        workers: Number of workers that the run would have on this machine.
        fair: Cells of a worker's share.
        most: Most cells of a pack.
        seconds: Time of training for each arm that is trained, in seconds.
    """
    started = time.perf_counter()
    children = [_ProbeProcess() for _ in range(max(1, min(workers, MOST_AT_ONCE)))]
    free: SimpleQueue[_ProbeProcess] = SimpleQueue()
    for child in children:
        free.put(child)

    def run_task(task: TimingTask | TrainTask) -> Any:
        child = free.get()
        try:
            if isinstance(task, TimingTask) and child.steps_seconds > TIMING_SECONDS:
                return ProbeFailure("not timed: there are too many arms")
            return child.send_task(task, seconds)
        finally:
            free.put(child)

    try:
        with ThreadPoolExecutor(len(children)) as pool:
            opened = list(pool.map(lambda child: child.send_task(opening, 0.0), children))
            openings = [answer.seconds for answer in opened if isinstance(answer, StudyOpened)]
            if not openings:
                return None
            timed = list(pool.map(run_task, [TimingTask(arm_key=key, most=most) for key in arms]))
            steps = {
                key: answer
                for key, answer in zip(arms, timed, strict=True)
                if isinstance(answer, EpochTiming)
            }
            chosen = [
                TrainTask(
                    arm_key=key,
                    fair=fair,
                    most=_affordable_cells(steps.get(key), most, seconds),
                    seconds=seconds,
                )
                for key in choose_arms_to_train(arms, steps, len(children))
            ]
            answers = list(pool.map(run_task, chosen))
    finally:
        for child in children:
            child.kill_process()
    trained: dict[str, list[ProbedPack]] = {}
    for task, answer in zip(chosen, answers, strict=True):
        if isinstance(answer, ProbedPack):
            trained.setdefault(task.arm_key, []).append(answer)
    return ProbeResults(
        steps=steps,
        trained=trained,
        opening=sum(openings) / len(openings),
        seconds=time.perf_counter() - started,
    )


def choose_arms_to_train(
    arms: Sequence[str], steps: dict[str, EpochTiming], at_once: int
) -> list[str]:
    """Choose the cheapest and the dearest arm, of those vectorised and of those sequential each."""
    chosen: list[str] = []
    for in_turn in (False, True):
        alike = [key for key in arms if key in steps and steps[key].in_turn == in_turn]
        alike.sort(key=lambda key: steps[key].member)
        chosen += dict.fromkeys([*alike[:1], *alike[-1:]])
    chosen = chosen or list(arms[:1])
    # Some arms twice where a process would be idle: workers slow each other down, and so must
    # micro-runs.
    missing = -len(chosen) % at_once
    return chosen + (chosen * missing)[:missing]


def _affordable_cells(steps: EpochTiming | None, most: int, seconds: float) -> int:
    """Return how many cells of a pack reach some epochs in the time."""
    if steps is None or steps.member <= 0:
        return most
    an_epoch = seconds / LEAST_EPOCHS
    return max(1, min(most, int((an_epoch - steps.fixed) / steps.member)))


class _ProbeProcess:
    """A process that makes micro-runs, seen from here."""

    def __init__(self) -> None:
        self.steps_seconds = 0.0
        self._dead = ""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "search.estimates.probe_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def send_task(self, task: object, seconds: float) -> Any:
        """Send a message and wait for its answer; a `ProbeFailure` if none comes."""
        if self._dead:
            return ProbeFailure(self._dead)
        assert self._process.stdin is not None and self._process.stdout is not None
        started = time.perf_counter()
        alarm = threading.Timer(seconds + PATIENCE_SECONDS, self._process.kill)
        alarm.start()
        try:
            pickle.dump(task, self._process.stdin)
            self._process.stdin.flush()
            return pickle.load(self._process.stdout)
        except (EOFError, OSError, pickle.PickleError):
            self._dead = "a micro-run ended without an answer"
            return ProbeFailure(self._dead)
        finally:
            alarm.cancel()
            if isinstance(task, TimingTask):
                self.steps_seconds += time.perf_counter() - started

    def kill_process(self) -> None:
        """Stop the process."""
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.wait()
