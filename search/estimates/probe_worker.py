"""The process of micro-runs: it trains a little of a study as a worker would, and measures that.

`python -m search.estimates.probe_worker`, started by `probe`: a pickled task in, results out.
Nothing of what is trained here is kept. Seconds are those of the processor: wall time was wrong
by up to ten times while other programs ran.
"""

import dataclasses
import os
import pickle
import sys
import time
from collections.abc import Callable
from contextlib import suppress

import numpy as np
import torch

from msa_core.config.paths import replace
from msa_core.config.schema import Config
from msa_core.data.dataset import Split, Splits
from msa_core.data.load import load_dataset
from msa_core.data.prepared import PreparedSplits
from msa_core.plugins import use_plugins
from msa_core.vectorised.pack_key import Member, pack_key, sequential_reason
from msa_core.vectorised.stack import Stack
from search.estimates.probe import EpochTiming, ProbeResults, ProbeTask
from search.ledger.ledger import read_ledger
from search.ledger.record import CellRecord
from search.schedule.arm_schedule import ArmSchedule
from search.schedule.pack_sizes import UNMEASURED
from search.schedule.schedule import Schedule
from search.worker.pack_work import PackWork, cells_of
from search.worker.worker import Worker

TIMED_BATCHES = 8  # of 32 utterances: the part of the train split that epochs are timed on
TIMING_SECONDS = 20.0  # of timing arms; those that come later are not timed
STRUCTURES = 3  # architectures of an arm that are timed, at most
FEW, MANY = 4, UNMEASURED // 2  # members of the two packs that are timed
AGAIN_SECONDS = 0.3  # an epoch shorter than this is timed three times
BUSY = 2.0  # wall time over processor time, at most
LEAST_EPOCHS = 12  # epochs that a pack should reach in its seconds


def probe_arms(task: ProbeTask) -> ProbeResults:
    """Time an epoch of each arm, and train the cheapest ones."""
    torch.set_num_threads(1)  # as in a worker
    use_plugins(task.plan.study.plugins)
    data = task.plan.study.data
    dataset = load_dataset(task.source, data.scheme, data.text_model)
    worker = Worker.for_dataset(dataset)
    schedule = Schedule(task.plan, read_ledger(task.folder).values())
    part, share = thin_splits(dataset.splits)
    opening = time.process_time()

    timings: dict[str, EpochTiming] = {}
    time_is_up = start_clock(TIMING_SECONDS)
    for key in task.arms:
        if not time_is_up():
            with suppress(Exception):  # whatever a module or a plugin raises: the run reports it
                timings[key] = time_epoch(schedule.arms[key], part, share)

    trained: dict[str, list[CellRecord]] = {}
    started, began = time.process_time(), time.perf_counter()
    time_is_up = start_clock(task.seconds)
    for key in sorted(timings, key=lambda key: timings[key].member):
        if not time_is_up():
            affordable = affordable_cells(timings[key], task.seconds)
            with suppress(Exception):
                trained[key] = train_first_pack(schedule.arms[key], worker, affordable, time_is_up)
    wall, processor = time.perf_counter() - began, time.process_time() - started
    return ProbeResults(
        opening=opening,
        timings=timings,
        trained={key: cells for key, cells in trained.items() if cells},
        busy=max(1.0, wall / max(processor, 1e-9)),
    )


def time_epoch(arm: ArmSchedule, part: PreparedSplits, share: float) -> EpochTiming:
    """Time an epoch of an arm on a part of the data, for two sizes of pack."""
    configs = [replace(Config(), cell.config) for cell in arm.waiting_cells()] or [arm.arm.config]
    by_key: dict[str, list[Config]] = {}
    for config in configs:
        by_key.setdefault(pack_key(config), []).append(config)
    common = sorted(by_key.values(), key=len, reverse=True)[:STRUCTURES]
    cells = sum(len(alike) for alike in common)
    fixed, member = 0.0, 0.0
    for alike in common:
        seconds = _fixed_and_member_seconds(alike[0], part)
        fixed += seconds[0] * len(alike) / cells
        member += seconds[1] * len(alike) / cells
    return EpochTiming(fixed=fixed / share, member=member / share)


def affordable_cells(timing: EpochTiming, seconds: float) -> int:
    """Return how many cells of a pack reach some epochs in the time."""
    each = seconds / LEAST_EPOCHS
    return min(UNMEASURED, int((each - timing.fixed) / max(timing.member, 1e-9)))


def train_first_pack(
    arm: ArmSchedule, worker: Worker, affordable: int, time_is_up: Callable[[], bool]
) -> list[CellRecord]:
    """Train the arm's first pack, or as many cells of it as the time is enough for."""
    waiting = arm.waiting_cells()
    if not waiting:
        return []  # a frozen arm waits for the one whose values it takes
    count = max(len(arm.plan.tune_seeds), affordable)
    pack = arm.next_pack(waiting, count)
    pack = dataclasses.replace(
        pack, cells=pack.cells[:count], size=UNMEASURED, scheduler="none", seconds=None
    )
    work = PackWork(pack, worker)
    work.training.advance_epoch()  # one epoch in any case, or there would be no estimate
    while not work.training.finished and not time_is_up():
        work.training.advance_epoch()
    work.training.stop_members(work.training.positions)
    return [record for record in cells_of(work.step()) if record.epochs]


def start_clock(seconds: float) -> Callable[[], bool]:
    """Return a check whether so many seconds are over, or too many of them by the wall clock."""
    until, wall_until = time.process_time() + seconds, time.perf_counter() + BUSY * seconds
    return lambda: time.process_time() >= until or time.perf_counter() >= wall_until


def thin_splits(splits: Splits) -> tuple[PreparedSplits, float]:
    """Return a part of train and valid, spread evenly over both, and its share of train."""
    share = min(1.0, TIMED_BATCHES * 32 / len(splits.train))
    part = Splits(
        train=_thin_split(splits.train, share),
        valid=_thin_split(splits.valid, share),
        scheme=splits.scheme,
    )
    return PreparedSplits(part), len(part.train) / len(splits.train)


def _thin_split(split: Split, share: float) -> Split:
    count = max(2, round(share * len(split)))
    rows = np.unique(np.linspace(0, len(split) - 1, count).astype(np.int64))
    return dataclasses.replace(
        split,
        ids=tuple(split.ids[row] for row in rows),
        features={name: array[rows] for name, array in split.features.items()},
        lengths={name: array[rows] for name, array in split.lengths.items()},
        labels=split.labels[rows],
        unimodal_labels={name: array[rows] for name, array in split.unimodal_labels.items()},
    )


def _fixed_and_member_seconds(config: Config, part: PreparedSplits) -> tuple[float, float]:
    """Time an epoch on the part of the data; return its fixed seconds, and those per member."""
    if sequential_reason(config, "cpu"):
        return 0.0, _epoch_seconds(config, part, 1, vmapped=False)
    few, many = (_epoch_seconds(config, part, count, vmapped=True) for count in (FEW, MANY))
    member = max(0.0, (many - few) / (MANY - FEW))
    member = min(member, many / MANY)  # else the fixed part would be negative
    return many - member * MANY, member


def _epoch_seconds(config: Config, part: PreparedSplits, members: int, *, vmapped: bool) -> float:
    """Return the time of an epoch of some members on the part of the data."""
    stack = Stack(
        [Member(config, seed) for seed in range(members)],
        part,
        torch.device("cpu"),
        vmapped=vmapped,
    )
    times: list[float] = []
    while len(times) < 2 or (len(times) < 4 and min(times[1:]) < AGAIN_SECONDS):
        started = time.process_time()
        stack.train_epoch(len(times) + 1)
        stack.predict_valid()
        times.append(time.process_time() - started)
    return min(times[1:])  # without the first, which allocates and warms up


def main() -> None:
    """Answer the task on standard input."""
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not mix with the pickled answer
    sys.stdout = sys.stderr
    pickle.dump(probe_arms(pickle.load(sys.stdin.buffer)), answer)
    answer.flush()


if __name__ == "__main__":
    main()
