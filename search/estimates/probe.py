"""Micro-runs before a study: processes that train a little of it, as many as it will have workers.

Each of them (`probe_worker`) opens the study as a worker does, times an epoch of its arms on a part
of the data, and trains the first packs of the cheapest ones for some seconds. This process imports
no torch, and no result is kept.
"""

import pickle
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

from search.child_python import python_command, python_environment
from search.ledger.record import CellRecord
from spaces.core import DataSource
from spaces.plan.plan import Plan

TRAIN_SECONDS = 8.0  # of training per process
MOST_AT_ONCE = 8  # processes
PATIENCE_SECONDS = 180.0  # beyond its training, before a process is ended


@dataclass(frozen=True, kw_only=True, slots=True)
class ProbeTask:
    """The task of a process.

    Attributes:
        source: Source of the data.
        folder: Results folder; cells that its ledger holds are not trained.
        arms: Keys of the arms to time and to train.
        seconds: Time of training of all of them, in seconds.
    """

    plan: Plan
    source: DataSource
    folder: Path
    arms: tuple[str, ...] = ()
    seconds: float = TRAIN_SECONDS


@dataclass(frozen=True, kw_only=True, slots=True)
class EpochTiming:
    """The time of an epoch, extrapolated to all of the data.

    Attributes:
        fixed: Seconds of an epoch, whatever the number of members; 0 where they train sequentially.
        member: Further seconds per member.
    """

    fixed: float
    member: float


@dataclass(frozen=True, kw_only=True, slots=True)
class ProbeResults:
    """Measurements of one process, or of all.

    Attributes:
        opening: Seconds of a process's start, imports and opening of the data.
        timings: Arm key -> time of its epoch: processor time, or wall time of a core that does
            not time its epochs itself.
        trained: Arm key -> cells of its first pack, most of them stopped before their end.
        busy: Wall time of their training over its processor time: 1 = no other program runs, or
            it cannot be told.
        seconds: Wall time of all micro-runs.
    """

    opening: float
    timings: dict[str, EpochTiming]
    trained: dict[str, list[CellRecord]]
    busy: float
    seconds: float = 0.0


def run_probes(task: ProbeTask, workers: int) -> ProbeResults | None:
    """Make the micro-runs; None if no process trained anything.

    Args:
        task: Task of all processes together, which share its arms.
        workers: Number of workers that the run would have on this machine.
    """
    started = time.perf_counter()
    count = max(1, min(workers, MOST_AT_ONCE))
    # Some arms twice where a process would be idle: workers slow each other down, and so must
    # micro-runs.
    arms = task.arms * -(-count // len(task.arms)) if len(task.arms) < count else task.arms
    tasks = [replace(task, arms=arms[place::count]) for place in range(count)]
    with ThreadPoolExecutor(count) as pool:
        found = [one for one in pool.map(_run_process, tasks) if one is not None and one.trained]
    if not found:
        return None
    return ProbeResults(
        opening=fmean(one.opening for one in found),
        timings={key: timing for one in found for key, timing in one.timings.items()},
        trained={key: cells for one in found for key, cells in one.trained.items()},
        busy=fmean(one.busy for one in found),
        seconds=time.perf_counter() - started,
    )


def _run_process(task: ProbeTask) -> ProbeResults | None:
    """Run a process; None if it ends, or has to be ended, without an answer."""
    try:
        done = subprocess.run(
            python_command("search.estimates.probe_worker"),
            env=python_environment(),
            input=pickle.dumps(task),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=task.seconds + PATIENCE_SECONDS,
            check=True,
        )
        found = pickle.loads(done.stdout)
    except (subprocess.SubprocessError, OSError, EOFError, pickle.PickleError):
        return None
    return found if isinstance(found, ProbeResults) else None
