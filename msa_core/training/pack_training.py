"""Training: members in, one result a member out. Never sees the test split."""

import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress

import torch

from msa_core.data.dataset import Splits
from msa_core.data.prepared import PreparedSplits
from msa_core.training.groups import Group, together
from msa_core.training.member_run import MemberResult, Run, Trained
from msa_core.vectorised.checkpoint import CheckpointError, from_bytes, identity_of, to_bytes
from msa_core.vectorised.pack_key import Member

__all__ = ["MemberResult", "OnEpoch", "PackTraining", "Trained", "train_pack"]

# Called after each epoch with the epoch (from 1) and, by the member's place in the pack, its
# validation metrics; returns the places to stop, which end as `pruned` unless it was the last one.
OnEpoch = Callable[[int, Mapping[int, Mapping[str, float]]], Collection[int]]


def train_pack(
    members: Sequence[Member],
    splits: Splits | PreparedSplits,
    on_epoch: OnEpoch | None = None,
    *,
    device: torch.device | str = "cpu",
    size: int | None = None,
) -> list[MemberResult]:
    """Train every member with early stopping and restore its best epoch.

    Members of one pack key train in one step, side by side; where that would be slower
    (`vectorised.pack_key.in_turn`), one after another: each to its end, or, where `on_epoch`
    watches, each for one epoch. The numbers of a member depend on its configuration, its seed and
    the data alone, not on its company. A member that raises or turns non-finite is returned as
    failed, a pack that does not fit in memory is halved; the others go on.

    Args:
        members: what to train.
        splits: train and valid; prepared ones if more than one pack is trained on them.
        on_epoch: sees validation metrics and may stop members.
        device: where the tensors live.
        size: most members in one step; None = all of a pack key.
    """
    training = PackTraining(members, splits, device=device, size=size)
    if on_epoch is None:
        training.finish()
    while not training.finished:
        epoch, seen = training.advance()
        if on_epoch is not None and seen:
            training.stop(on_epoch(epoch, seen))
    return training.results()


class PackTraining:
    """`train_pack`, a piece at a time, with checkpoints to go on from.

    Attributes:
        epoch: that all members who still train have behind them.
    """

    def __init__(
        self,
        members: Sequence[Member],
        splits: Splits | PreparedSplits,
        *,
        device: torch.device | str = "cpu",
        size: int | None = None,
        epoch_limit: float | None = None,
        resume: Mapping[int, bytes] | None = None,
        identity: str = "",
    ) -> None:
        """Start at epoch 0, or where checkpoints are; the rest as for `train_pack`.

        A member that goes on from a checkpoint ends with the numbers that it would have had
        without the interruption, whatever its company before and after. One whose checkpoint
        can't be used starts at epoch 0; `resumed` says which do not.

        Args:
            members: what to train.
            splits: train and valid.
            device: where the tensors live; a checkpoint may come from another one.
            size: most members in one step.
            epoch_limit: seconds that an epoch of the members of one step may take, see
                `training.time_limit`; the member that still takes longer alone fails as a timeout.
            resume: place in the pack -> what `checkpoints` gave for it.
            identity: what decides the numbers beside configuration, seed and what `splits` shows
                of itself, such as the fingerprint of the data and the version of the code; a
                checkpoint made with another one is refused.
        """
        data = splits if isinstance(splits, PreparedSplits) else PreparedSplits(splits)
        place = torch.device(device)
        self._identity = identity
        self._data = data
        self._runs = [Run(member, data) for member in members]
        for number, content in (resume or {}).items():
            self._resume(self._runs[number], content)
        groups = together(self._runs, place, size)
        self._groups = [Group(runs, data, place, epoch_limit) for runs in groups]
        self.epoch = min((group.epochs for group in self._groups), default=0)

    @property
    def finished(self) -> bool:
        """Whether no member is left to train."""
        return not self._groups

    @property
    def seconds(self) -> float:
        """Wall time that all members have trained so far, before an interruption too."""
        return sum(run.seconds for run in self._runs)

    @property
    def places(self) -> range:
        """The members' places in the pack."""
        return range(len(self._runs))

    @property
    def resumed(self) -> list[int]:
        """The places whose members have gone on from a checkpoint."""
        return [place for place, run in enumerate(self._runs) if run.resumed_from is not None]

    def ended(self) -> list[int]:
        """The places whose members have come to their end."""
        return [place for place, run in enumerate(self._runs) if not run.running]

    def progress(self) -> list[int]:
        """The epochs that every member has behind it."""
        return [run.epochs for run in self._runs]

    def advance(self) -> tuple[int, dict[int, Mapping[str, float]]]:
        """Train one more epoch, of the members that are the least far.

        Returns:
            The epoch, from 1, and by the members' places the validation metrics after it.
        """
        self.epoch = 1 + min((group.epochs for group in self._groups), default=self.epoch)
        waiting = [group for group in self._groups if group.epochs < self.epoch]
        trained = [group for group in self._groups if group.epochs >= self.epoch]
        while waiting:
            group = waiting.pop(0)
            halves = group.advance()
            waiting[:0] = halves
            trained += [] if halves else [group]
        self._groups = trained
        seen = self.seen_after(self.epoch)
        for run in self._runs:
            run.finish_if_due()
        self._go_on()
        return self.epoch, seen

    def seen_after(self, epoch: int) -> dict[int, Mapping[str, float]]:
        """The validation metrics after an epoch (from 1), of who came out of it, by place."""
        found = {place: run.seen_after(epoch) for place, run in enumerate(self._runs)}
        return {place: metrics for place, metrics in found.items() if metrics is not None}

    def work(self, seconds: float) -> None:
        """Train towards the end what needs nobody to watch, for about so long.

        One step's members after the other's, so that only those that train together are in memory
        at a time. It comes back after the epoch in which the time is used up, and goes on from
        there when it is called again.
        """
        until = time.perf_counter() + seconds
        while self._groups:
            group, *others = self._groups
            halves = group.advance()
            for run in group.runs:
                run.finish_if_due()
            if halves:
                self._groups = [*halves, *others]
            else:
                self._groups = [group, *others] if group.keep_running() else others
                if time.perf_counter() >= until:
                    break

    def finish(self) -> None:
        """Train to the end what needs nobody to watch."""
        self.work(math.inf)

    def stop(self, places: Collection[int]) -> None:
        """Stop these members, unless they have come to their end already."""
        for place in places:
            run = self._runs[place]
            if run.running:
                run.end("pruned", f"stopped after epoch {run.epochs}")
        self._go_on()

    def result(self, place: int) -> MemberResult:
        """How a member ended; one that is still running counts as stopped now."""
        return self._runs[place].result()

    def results(self) -> list[MemberResult]:
        """How every member ended."""
        return [self.result(place) for place in self.places]

    def checkpoints(self, places: Collection[int] | None = None) -> dict[int, bytes]:
        """Where every running member is, by its place, for `resume` of another `PackTraining`.

        Those that are not in memory are absent: they wait at epoch 0, or an earlier checkpoint of
        theirs is the newest that there can be.

        Args:
            places: of these members; None = of all.
        """
        wanted = self.places if places is None else places
        place_of = {run: place for place, run in enumerate(self._runs)}
        return {
            place_of[run]: to_bytes(checkpoint, self._identity_of(run))
            for group in self._groups
            for run, checkpoint in group.checkpoints()
            if place_of[run] in wanted
        }

    def _resume(self, run: Run, content: bytes) -> None:
        with suppress(CheckpointError):  # then it starts at epoch 0, as `resumed` says
            run.resume(from_bytes(content, self._identity_of(run)))

    def _identity_of(self, run: Run) -> str:
        return identity_of(run.member, self._data.splits, self._identity)

    def _go_on(self) -> None:
        self._groups = [group for group in self._groups if group.keep_running()]
