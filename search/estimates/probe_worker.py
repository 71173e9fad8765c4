"""The process of micro-runs: it trains a little of an arm as a worker would, and measures that.

`python -m search.estimates.probe_worker`, started by `probe`: pickled messages in, answers out.
Nothing of what is trained here is kept.
"""

# Times are those of the processor: what else this machine does for the moment is no part of what a
# study costs. Wall time was wrong by up to ten times while other programs ran.

import dataclasses
import os
import pickle
import sys
import time
from collections.abc import Sequence
from statistics import fmean
from typing import Any

import numpy as np
import torch

from msa_core.config.kinds import options_of
from msa_core.config.paths import replace
from msa_core.config.schema import Config
from msa_core.data.dataset import Split, Splits
from msa_core.data.load import load_dataset
from msa_core.data.prepared import PreparedSplits
from msa_core.plugins import use_plugins
from msa_core.training.outcomes import Status
from msa_core.vectorised.pack_key import Member, pack_key, sequential_reason
from msa_core.vectorised.stack import Stack
from search.estimates.probe import (
    EpochTiming,
    OpenStudyTask,
    ProbedPack,
    ProbeFailure,
    StudyOpened,
    TimingTask,
    TrainTask,
)
from search.ledger.ledger import read_ledger
from search.ledger.record import CellRecord, encode_record
from search.schedule.pack import PackCell
from search.schedule.pack_sizes import UNMEASURED, PackSizes
from search.schedule.schedule import Schedule
from search.worker.pack_work import PackWork, cells_of
from search.worker.worker import Worker

TIMED_BATCHES = 8  # of 32 utterances: the part of the train split that epochs are timed on
STRUCTURES = 3  # architectures of an arm that are timed, at most
DISTURBED = 1.25  # wall time over processor time from which on a measurement is no use
BUSY = 1.5  # wall time of a training over its processor time, at most
AGAIN_SECONDS = 0.3  # an epoch shorter than this is timed three times


class Probe:
    """A study, opened as a worker would to train a little of it."""

    def __init__(self, opening: OpenStudyTask) -> None:
        torch.set_num_threads(1)  # as in a worker
        self.plan = opening.plan
        use_plugins(self.plan.study.plugins)
        data = self.plan.study.data
        self.dataset = load_dataset(opening.source, data.scheme, data.text_model)
        self.worker = Worker.for_dataset(self.dataset, memory=opening.memory)
        self.part, self.share = thin_splits(self.dataset.splits)
        records = read_ledger(opening.folder).values()
        self.schedule = Schedule(self.plan, records, sizes=PackSizes(data=self.dataset.fingerprint))

    def time_epoch(self, task: TimingTask) -> EpochTiming:
        """Time an epoch of an arm on a part of the data, for two sizes of pack."""
        waiting = self.schedule.arms[task.arm_key].waiting_cells()
        configs = [replace(Config(), cell.config) for cell in waiting]
        configs = configs or [self._find_arm(task.arm_key).config]
        by_key: dict[str, list[Config]] = {}
        for config in configs:
            by_key.setdefault(pack_key(config), []).append(config)
        common = sorted(by_key.values(), key=len, reverse=True)[:STRUCTURES]
        cells = sum(len(alike) for alike in common)
        fixed, member = 0.0, 0.0
        for alike in common:
            seconds = self._time_epochs(alike[0], task.most)
            fixed += seconds[0] * len(alike) / cells
            member += seconds[1] * len(alike) / cells
        return EpochTiming(
            fixed=fixed / self.share,
            member=member / self.share,
            in_turn=bool(sequential_reason(configs[0], "cpu")),
        )

    def train_pack(self, task: TrainTask) -> ProbedPack:
        """Train the arm's next pack, or some of its cells, for a while."""
        schedule = self.schedule.arms[task.arm_key]
        waiting = schedule.waiting_cells()
        if not waiting:
            raise LookupError("nothing of this arm can be trained yet")
        drawn = schedule.next_pack(waiting, task.fair)
        # What trains sequentially has small packs; more cells tell more of how long they train.
        cells = drawn.cells if drawn.pack_key else tuple(waiting)
        pack = dataclasses.replace(drawn, cells=cells[: task.most], scheduler="none", seconds=None)
        started, wall_start = time.process_time(), time.perf_counter()
        work = PackWork(pack, self.worker)
        measuring = time.process_time() - started
        size = work.measured.size if work.measured else 0
        # A size that was measured on a shared core is no use: train as if none were known.
        if 0 < size < len(pack.cells) and _was_disturbed(measuring, wall_start):
            size = UNMEASURED
            work = PackWork(dataclasses.replace(pack, size=size), self.worker)
        wall_start = time.perf_counter()
        log = _train_for(work, task.seconds)
        wall, at_end = time.perf_counter() - wall_start, time.process_time()
        work.training.stop_members(range(len(pack.cells)))
        records = cells_of(work.step())
        kept = sum(len(encode_record(record)) for record in records)
        extra = (time.process_time() - at_end) / len(records)
        metric = f"valid.{pack.metric}"
        return ProbedPack(
            cells=len(records),
            drawn=len(drawn.cells),
            waiting=len(waiting),
            fair=task.fair,
            device_seconds=sum(record.metrics.get("seconds", 0.0) for record in records),
            measuring=measuring if size else 0.0,
            size=size,
            log=log,
            wall=wall,
            epochs=[record.epochs for record in records],
            expected=[
                _expected_epochs(record, cell)
                for record, cell in zip(records, pack.cells, strict=True)
            ],
            values=[
                (record.candidate, record.metrics.get(metric) if record.best_epoch else None)
                for record in records
            ],
            extra=extra,
            record_bytes=kept / len(records),
            fields=fmean([len(record.config) for record in records]),
            metrics=fmean([len(record.metrics) for record in records]),
            curve_values=fmean([_curve_values(record) for record in records]),
            parameters=_most_parameters(records),
        )

    def _find_arm(self, key: str) -> Any:
        return next(arm for arm in self.plan.arms if arm.key == key)

    def _time_epochs(self, config: Config, most: int) -> tuple[float, float]:
        """Time an epoch on the part of the data; return its fixed seconds, and those per member."""
        if sequential_reason(config, "cpu"):
            return 0.0, self._epoch_seconds(config, 1, vmapped=False)
        few, many = 4, max(8, most // 2)
        seconds = self._epoch_seconds(config, few), self._epoch_seconds(config, many)
        member = max(0.0, (seconds[1] - seconds[0]) / (many - few))
        member = min(member, seconds[1] / many)  # else the fixed part would be negative
        return seconds[1] - member * many, member

    def _epoch_seconds(self, config: Config, members: int, vmapped: bool = True) -> float:
        stack = Stack(
            [Member(config, seed) for seed in range(members)],
            self.part,
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


def thin_splits(splits: Splits) -> tuple[PreparedSplits, float]:
    """Return a part of train and valid, spread evenly over both, and its share of train."""
    rows = TIMED_BATCHES * 32
    share = min(1.0, rows / len(splits.train))
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


def _train_for(work: PackWork, seconds: float) -> list[tuple[int, float]]:
    """Train epoch by epoch; return the number of members and the seconds of each epoch."""
    log: list[tuple[int, float]] = []
    cpu_end, wall_end = time.process_time() + seconds, time.perf_counter() + BUSY * seconds
    while (
        not work.training.finished
        and time.process_time() < cpu_end
        and time.perf_counter() < wall_end
    ):
        before = time.process_time()
        _, seen = work.training.advance_epoch()
        log.append((len(seen), time.process_time() - before))
    return log


def _was_disturbed(seconds: float, wall_start: float) -> bool:
    """Check whether a measurement had to share its core, and so is no use."""
    return time.perf_counter() - wall_start > DISTURBED * seconds


def _expected_epochs(record: CellRecord, cell: PackCell) -> float:
    """Return the epochs of a cell: as trained, or as expected where the micro-run stopped it."""
    if record.status != Status.PRUNED:
        return record.epochs
    config = replace(Config(), cell.config)
    train = config.train
    if options_of(config, "procedure", config.procedure.kind).keeps_last:
        return train.epochs
    # It would train for its patience from its best epoch at least. Measured on 560 trainings of
    # MOSI (patience 8), the mean of all epochs is about twice the patience, and a cell that
    # trains beyond that improves once more in every other case or less.
    least = record.best_epoch + train.patience + 0.5
    return min(float(train.epochs), max(least, 2.0 * train.patience))


def _curve_values(record: CellRecord) -> int:
    return sum(len(values) for values in record.curve.values())


def _most_parameters(records: Sequence[CellRecord]) -> int:
    return int(max((record.metrics.get("parameters", 0.0) for record in records), default=0.0))


def main() -> None:
    """Answer messages until their pipe ends."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not mix with the pickled answers
    sys.stdout = sys.stderr
    probe: Probe | None = None
    while True:
        try:
            task = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            answer: Any
            if isinstance(task, OpenStudyTask):
                probe = Probe(task)
                answer = StudyOpened(seconds=time.process_time())
            else:
                assert probe is not None
                answer = (
                    probe.train_pack(task)
                    if isinstance(task, TrainTask)
                    else probe.time_epoch(task)
                )
        except Exception as error:  # whatever a module or a plugin raises
            answer = ProbeFailure(f"{type(error).__name__}: {error}")
        pickle.dump(answer, answers)
        answers.flush()


if __name__ == "__main__":
    main()
