"""The process of micro-runs: it trains a little of a study as a worker would, and measures that.

`python -m search.estimates.probe_worker`, started by `probe`: a pickled task in, results out.
Nothing of what is trained here is kept. Seconds are those of the processor: wall time was wrong
by up to ten times while other programs ran. A core that does not time its epochs itself may wait
for a device or for another process, which takes no processor time: its seconds are wall time.
"""

import dataclasses
import os
import pickle
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import torch

from search.estimates.probe import EpochTiming, ProbeResults, ProbeTask
from search.ledger.ledger import read_ledger
from search.ledger.record import CellRecord
from search.schedule.arm_schedule import ArmSchedule
from search.schedule.pack import Pack
from search.schedule.pack_sizes import UNMEASURED
from search.schedule.schedule import Schedule
from search.worker.pack_work import PackWork, cells_of
from search.worker.worker import Worker
from spaces.abilities import TimedEpochs
from spaces.core import Core, Member, Status
from spaces.fields.paths import default_of, replace

TIMING_SECONDS = 20.0  # of timing arms; those that come later are not timed
FIRST_EPOCHS_SECONDS = 3.0  # of a training whose core does not time epochs itself
STRUCTURES = 3  # architectures of an arm that are timed, at most
BUSY = 2.0  # wall time over processor time, at most
LEAST_EPOCHS = 12  # epochs that a pack should reach in its seconds


def probe_arms(task: ProbeTask) -> ProbeResults:
    """Time an epoch of each arm, and train the cheapest ones."""
    torch.set_num_threads(1)  # as in a worker
    core = task.plan.study.core
    dataset = core.open(task.source)
    worker = Worker.for_data(core, dataset)
    schedule = Schedule(task.plan, read_ledger(task.folder).values())
    thinned = core.thin(dataset) if isinstance(core, TimedEpochs) else None
    clock = time.process_time if thinned else time.perf_counter
    opening = time.process_time()

    timings: dict[str, EpochTiming] = {}
    time_is_up = start_clock(TIMING_SECONDS, clock)
    for key in task.arms:
        if not time_is_up():
            with suppress(Exception):  # whatever a module or a plugin raises: the run reports it
                timings[key] = time_epoch(core, schedule.arms[key], worker, thinned)

    trained: dict[str, list[CellRecord]] = {}
    started, began = time.process_time(), time.perf_counter()
    time_is_up = start_clock(task.seconds, clock)
    for key in sorted(timings, key=lambda key: timings[key].member):
        if not time_is_up():
            affordable = affordable_cells(timings[key], task.seconds)
            with suppress(Exception):
                trained[key] = train_first_pack(
                    schedule.arms[key], worker, affordable, time_is_up, task.seconds
                )
    wall, processor = time.perf_counter() - began, time.process_time() - started
    return ProbeResults(
        opening=opening,
        timings=timings,
        trained={key: cells for key, cells in trained.items() if cells},
        # In wall time other programs are part of what an epoch takes.
        busy=max(1.0, wall / max(processor, 1e-9)) if thinned else 1.0,
    )


def time_epoch(
    core: Core, arm: ArmSchedule, worker: Worker, thinned: tuple[Any, float] | None
) -> EpochTiming:
    """Time an epoch of an arm's candidates.

    Args:
        core: Core of the study.
        arm: Arm, with its first candidates.
        worker: Worker with the whole data.
        thinned: Part of the data, and its share, where the core can time an epoch on it; None =
            an epoch of one training is timed.
    """
    default = default_of(core.config_class)
    configs = [replace(default, cell.config) for cell in arm.waiting_cells()] or [arm.arm.config]
    by_key: dict[str, list[Any]] = {}
    for config in configs:
        # On a GPU, where all kinds pack, the key tells apart what costs differently.
        by_key.setdefault(core.pack_key(config, "cuda"), []).append(config)
    common = sorted(by_key.values(), key=len, reverse=True)[:STRUCTURES]
    cells = sum(len(alike) for alike in common)
    share = thinned[1] if thinned else 1.0
    fixed, member = 0.0, 0.0
    for alike in common:
        seconds = (
            core.epoch_seconds(alike[0], thinned[0])
            if thinned and isinstance(core, TimedEpochs)
            else (0.0, _trained_seconds(core, alike[0], worker))
        )
        fixed += seconds[0] * len(alike) / cells
        member += seconds[1] * len(alike) / cells
    return EpochTiming(fixed=fixed / share, member=member / share)


def _trained_seconds(core: Core, config: Any, worker: Worker) -> float:
    """Return the wall time of an epoch of a training, from its first ones.

    Raises:
        TimeoutError: Not even one has ended in the time.
    """
    training = core.train(
        [Member(config, 0)],
        worker.prepared,
        device="cpu",
        size=None,
        epoch_limit=None,
        resume={},
        identity="",
        tested=False,
        compared="",
    )
    started = time.perf_counter()
    training.train_for(FIRST_EPOCHS_SECONDS)
    seconds = time.perf_counter() - started
    epochs = training.epochs_trained()[0]
    training.stop_members(training.positions)
    if not epochs:
        raise TimeoutError(f"no epoch in {FIRST_EPOCHS_SECONDS:g} seconds")
    return seconds / epochs


def affordable_cells(timing: EpochTiming, seconds: float) -> int:
    """Return how many cells of a pack reach some epochs in the time."""
    each = seconds / LEAST_EPOCHS
    return min(UNMEASURED, int((each - timing.fixed) / max(timing.member, 1e-9)))


def train_first_pack(
    arm: ArmSchedule,
    worker: Worker,
    affordable: int,
    time_is_up: Callable[[], bool],
    seconds: float,
) -> list[CellRecord]:
    """Train the arm's first pack, or as many cells of it as the time is enough for.

    Args:
        arm: Arm, with its first candidates.
        worker: Worker with the whole data.
        affordable: Number of cells that the time is enough for.
        time_is_up: Check between two epochs.
        seconds: Time for a core that does not time its epochs itself.
    """
    waiting = arm.waiting_cells()
    if not waiting:
        return []  # a frozen arm waits for the one whose values it takes
    count = max(len(arm.plan.tune_seeds), affordable)
    pack = arm.next_pack(waiting, count)
    pack = dataclasses.replace(
        pack, cells=pack.cells[:count], size=UNMEASURED, scheduler="none", seconds=None
    )
    work = PackWork(pack, worker)
    if not isinstance(work.core, TimedEpochs):
        work.training.train_for(seconds)
    else:
        work.training.advance_epoch()  # one epoch in any case, or there would be no estimate
        while not work.training.finished and not time_is_up():
            work.training.advance_epoch()
    work.training.stop_members(work.training.positions)
    # Of how many epochs a stopped training would have had, a core may know nothing.
    counted = core_counts_epochs(work.core, pack)
    return [
        record
        for record in cells_of(work.step())
        if record.epochs and (counted or record.status == Status.COMPLETE)
    ]


def core_counts_epochs(core: Core, pack: Pack) -> bool:
    """Check whether a core knows how many epochs a training has."""
    default = default_of(core.config_class)
    return all(core.epochs(replace(default, cell.config)) for cell in pack.cells)


def start_clock(seconds: float, clock: Callable[[], float]) -> Callable[[], bool]:
    """Return a check whether so many seconds are over, or too many of them by the wall clock."""
    until, wall_until = clock() + seconds, time.perf_counter() + BUSY * seconds
    return lambda: clock() >= until or time.perf_counter() >= wall_until


def main() -> None:
    """Answer the task on standard input."""
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not mix with the pickled answer
    sys.stdout = sys.stderr
    pickle.dump(probe_arms(pickle.load(sys.stdin.buffer)), answer)
    answer.flush()


if __name__ == "__main__":
    main()
