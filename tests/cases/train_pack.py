"""A whole training in one call."""

from collections.abc import Callable, Collection, Mapping, Sequence

import torch

from msa_core.data.dataset import Splits
from msa_core.data.prepared import PreparedSplits
from msa_core.training.member_run import MemberResult
from msa_core.training.pack_training import PackTraining
from spaces.core import Member

# Called after each epoch with its number (from 1) and the validation metrics by position; returns
# the positions to stop.
OnEpoch = Callable[[int, Mapping[int, Mapping[str, float]]], Collection[int]]


def train_pack(
    members: Sequence[Member],
    splits: Splits | PreparedSplits,
    on_epoch: OnEpoch | None = None,
    *,
    device: torch.device | str = "cpu",
    size: int | None = None,
) -> list[MemberResult]:
    """Train every member to its end; a callback watches every epoch and may stop members."""
    training = PackTraining(members, splits, device=device, size=size)
    if on_epoch is None:
        training.train_for()
    while not training.finished:
        epoch, seen = training.advance_epoch()
        if on_epoch is not None and seen:
            training.stop_members(on_epoch(epoch, seen))
    return training.results()


def resumed_positions(training: PackTraining) -> list[int]:
    """List the members of a training that has just been created that resume from a checkpoint."""
    return [place for place, epochs in enumerate(training.epochs_trained()) if epochs]
