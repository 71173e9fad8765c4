"""The time of an epoch, measured on a part of the data.

Seconds are those of the processor: wall time was wrong by up to ten times while other programs ran.
"""

import dataclasses
import time

import numpy as np
import torch

from msa_core.config.schema import Config
from msa_core.data.dataset import Split, Splits
from msa_core.data.prepared import PreparedSplits
from msa_core.vectorised.pack_key import sequential_reason
from msa_core.vectorised.stack import Stack
from spaces.core import Member

TIMED_BATCHES = 8  # of 32 utterances: the part of the train split that epochs are timed on
FEW, MANY = 4, 16  # members of the two packs that are timed
AGAIN_SECONDS = 0.3  # an epoch shorter than this is timed three times


def thin_splits(splits: Splits) -> tuple[PreparedSplits, float]:
    """Return a part of train and valid, spread evenly over both, and its share of train."""
    share = min(1.0, TIMED_BATCHES * 32 / len(splits.train))
    part = Splits(
        train=_thin_split(splits.train, share),
        valid=_thin_split(splits.valid, share),
        scheme=splits.scheme,
    )
    return PreparedSplits(part), len(part.train) / len(splits.train)


def epoch_seconds(config: Config, part: PreparedSplits) -> tuple[float, float]:
    """Time an epoch on a part of the data; return its fixed seconds, and those per member."""
    if sequential_reason(config, "cpu"):
        return 0.0, _seconds_of_pack(config, part, 1, vmapped=False)
    few, many = (_seconds_of_pack(config, part, count, vmapped=True) for count in (FEW, MANY))
    member = max(0.0, (many - few) / (MANY - FEW))
    member = min(member, many / MANY)  # else the fixed part would be negative
    return many - member * MANY, member


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


def _seconds_of_pack(config: Config, part: PreparedSplits, members: int, *, vmapped: bool) -> float:
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
