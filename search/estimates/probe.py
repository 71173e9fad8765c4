"""Micro-runs before a study: which processes make them, and what they answer.

Every process (`probe_worker`) opens the study as a worker does. First each arm's epoch is
timed on a part of the data; then the cheapest and the dearest arm are trained for some seconds, as
many at once as the run would have workers. This process imports no torch, and nothing is kept.
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

TRAIN_SECONDS = 8.0  # an arm
STEPS_SECONDS = 20.0  # all arms, a process; arms that come later are not timed
MOST_AT_ONCE = 8
PATIENCE_SECONDS = 60.0  # beyond its limit, before a process is given up
LEAST_EPOCHS = 12  # that a pack trained for some seconds should come to


@dataclass(frozen=True, kw_only=True, slots=True)
class Opening:
    """The study: what a process is sent first.

    Attributes:
        source: of the data, for `load_dataset`.
        folder: of the results; what its ledger holds is not trained.
        memory: bytes that a worker may use; 0 = unknown.
    """

    plan: Plan
    source: Path | PlantedConfig
    folder: Path
    memory: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Opened:
    """The answer to an opening: seconds of its start, the imports and the opening of the data."""

    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class StepsTask:
    """Time an arm's epoch on a part of the data, in packs of up to `most` members."""

    arm_key: str
    most: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Steps:
    """Seconds of an epoch, as extrapolated to all of the data.

    Attributes:
        fixed: whatever the number of members.
        member: for each member.
        in_turn: whether members train one after another.
    """

    fixed: float
    member: float
    in_turn: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainTask:
    """Train an arm's next pack for a while.

    Attributes:
        fair: as for `ArmSchedule.next_pack`.
        most: cells of it that are trained.
        seconds: after which it is stopped.
    """

    arm_key: str
    fair: int
    most: int
    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    """What training a pack for a while showed; seconds are a processor's, where not said otherwise.

    Attributes:
        cells: trained.
        drawn: cells of the pack as the run would draw it.
        waiting: cells that it was drawn from.
        fair: a worker's share, by which it was drawn.
        measuring: seconds of measuring the size of packs; 0 = it was not.
        size: members in one step, as measured; 0 = not.
        log: for every epoch how many members trained, and its seconds.
        wall: wall time of all epochs; more than their seconds where the machine does other things.
        epochs: that each cell trained.
        expected: epochs that it would have trained.
        device_seconds: wall time of all cells.
        values: candidate and validation value of each cell.
        extra: seconds a cell beside its epochs.
        record_bytes: of a ledger's line.
        fields, metrics, curve_values: of a cell's record.
        parameters: trained numbers; 0 = unknown.
    """

    phase: str
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
class Failure:
    """Why a process has no answer."""

    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Probed:
    """What all micro-runs showed, by arm key.

    Attributes:
        opening: seconds of a process's start, imports and opening of the data.
        seconds: wall time of all.
    """

    steps: dict[str, Steps]
    trained: dict[str, list[Trained]]
    opening: float
    seconds: float
    failures: tuple[str, ...]


def probe(
    opening: Opening,
    arms: Sequence[str],
    *,
    workers: int,
    fair: int,
    most: int,
    seconds: float = TRAIN_SECONDS,
) -> Probed | None:
    """Make the micro-runs; None if no process could open the study.

    Args:
        opening: the study.
        arms: keys of those that have something to train; the first ones are timed first.
        workers: that the run would have on this machine.
        fair: cells of a worker's share.
        most: cells of a pack.
        seconds: of training for each of the arms that are trained.
    """
    started = time.perf_counter()
    children = [_Child() for _ in range(max(1, min(workers, MOST_AT_ONCE)))]
    free: SimpleQueue[_Child] = SimpleQueue()
    for child in children:
        free.put(child)

    def ask(task: StepsTask | TrainTask) -> Any:
        child = free.get()
        try:
            if isinstance(task, StepsTask) and child.steps_seconds > STEPS_SECONDS:
                return Failure("not timed: there are too many arms")
            return child.ask(task, seconds)
        finally:
            free.put(child)

    try:
        with ThreadPoolExecutor(len(children)) as pool:
            opened = list(pool.map(lambda child: child.ask(opening, 0.0), children))
            openings = [answer.seconds for answer in opened if isinstance(answer, Opened)]
            if not openings:
                return None
            timed = list(pool.map(ask, [StepsTask(arm_key=key, most=most) for key in arms]))
            steps = {
                key: answer
                for key, answer in zip(arms, timed, strict=True)
                if isinstance(answer, Steps)
            }
            chosen = [
                TrainTask(arm_key=key, fair=fair, most=_members(steps.get(key), most, seconds),
                          seconds=seconds)
                for key in to_train(arms, steps, len(children))
            ]  # fmt: skip
            answers = list(pool.map(ask, chosen))
    finally:
        for child in children:
            child.end()
    trained: dict[str, list[Trained]] = {}
    for task, answer in zip(chosen, answers, strict=True):
        if isinstance(answer, Trained):
            trained.setdefault(task.arm_key, []).append(answer)
    return Probed(
        steps=steps,
        trained=trained,
        opening=sum(openings) / len(openings),
        seconds=time.perf_counter() - started,
        failures=tuple(a.reason for a in [*timed, *answers] if isinstance(a, Failure)),
    )


def to_train(arms: Sequence[str], steps: dict[str, Steps], at_once: int) -> list[str]:
    """The cheapest and the dearest arm of those that train together, and of those in turn.

    An arm is there twice where a process would have nothing to do otherwise: workers slow each
    other down, and so must micro-runs.
    """
    chosen: list[str] = []
    for in_turn in (False, True):
        alike = [key for key in arms if key in steps and steps[key].in_turn == in_turn]
        alike.sort(key=lambda key: steps[key].member)
        chosen += dict.fromkeys([*alike[:1], *alike[-1:]])
    chosen = chosen or list(arms[:1])
    missing = -len(chosen) % at_once
    return chosen + (chosen * missing)[:missing]


def _members(steps: Steps | None, most: int, seconds: float) -> int:
    """Cells of a pack that come to some epochs in the time."""
    if steps is None or steps.member <= 0:
        return most
    an_epoch = seconds / LEAST_EPOCHS
    return max(1, min(most, int((an_epoch - steps.fixed) / steps.member)))


class _Child:
    """A process that makes micro-runs."""

    def __init__(self) -> None:
        self.steps_seconds = 0.0
        self._dead = ""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "search.estimates.probe_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def ask(self, task: object, seconds: float) -> Any:
        """Send a message and wait for its answer; a `Failure` if none comes."""
        if self._dead:
            return Failure(self._dead)
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
            return Failure(self._dead)
        finally:
            alarm.cancel()
            if isinstance(task, StepsTask):
                self.steps_seconds += time.perf_counter() - started

    def end(self) -> None:
        """Stop the process."""
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.wait()
