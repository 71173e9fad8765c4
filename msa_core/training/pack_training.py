"""Training of a pack: members in, one result per member out. Never reads the test split."""

import math
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress

import torch

from msa_core.data.dataset import Splits
from msa_core.data.prepared import PreparedSplits
from msa_core.training.groups import Group, group_runs
from msa_core.training.member_run import MemberResult, MemberRun
from msa_core.vectorised.checkpoint import CheckpointError, from_bytes, identity_of, to_bytes
from spaces.core import Member, Status


class PackTraining:
    """The training of a pack in pieces, with checkpoints to resume from.

    Members are trained with early stopping, and their best epochs restored. Members of one pack key
    train in one step, side by side; where that would be slower (`vectorised.pack_key`),
    sequentially. The numbers of a member depend on its configuration, its seed and the data alone,
    not on its pack. A member that raises or turns non-finite fails, a pack that does not fit in
    memory is halved; the others go on.

    Attributes:
        epoch: Number of epochs that all running members have trained.
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
        """Start at epoch 0, or where checkpoints are.

        A member that resumes from a checkpoint ends with the numbers that it would have had
        without the interruption, whatever its pack before and after. One whose checkpoint cannot be
        used starts at epoch 0.

        Args:
            members: Members to train.
            splits: Splits train and valid; prepared ones if more than one pack trains on them.
            device: Device of the tensors; a checkpoint may come from another one.
            size: Largest number of members in one step; None for all of a pack key.
            epoch_limit: Longest time of an epoch of one step's members, in seconds, see
                `training.time_limit`; a member that exceeds it alone fails as a timeout.
            resume: Position in the pack -> bytes of its checkpoint.
            identity: Text of what decides the numbers beside configuration, seed and splits, such
                as the fingerprint of the data and the version of the code; a checkpoint made with
                another one is refused.
        """
        data = splits if isinstance(splits, PreparedSplits) else PreparedSplits(splits)
        place = torch.device(device)
        self._identity = identity
        self._data = data
        self._runs = [MemberRun(member, data) for member in members]
        for number, content in (resume or {}).items():
            run = self._runs[number]
            with suppress(CheckpointError):  # then it starts at epoch 0
                run.resume_from(from_bytes(content, self._identity_of(run)))
        groups = group_runs(self._runs, place, size)
        self._groups = [Group(runs, data, place, epoch_limit) for runs in groups]
        self.epoch = min((group.epochs for group in self._groups), default=0)

    @property
    def finished(self) -> bool:
        """Whether no member is left to train."""
        return not self._groups

    @property
    def seconds(self) -> float:
        """Wall time of all members so far in seconds, those before an interruption included."""
        return sum(run.seconds for run in self._runs)

    @property
    def positions(self) -> range:
        """Positions of the members in the pack."""
        return range(len(self._runs))

    def ended_positions(self) -> list[int]:
        """List the positions of members that have ended."""
        return [place for place, run in enumerate(self._runs) if not run.running]

    def epochs_trained(self) -> list[int]:
        """List the number of epochs trained by each member."""
        return [run.epochs for run in self._runs]

    def advance_epoch(self) -> tuple[int, dict[int, Mapping[str, float]]]:
        """Train one more epoch of the members with the fewest epochs.

        Returns:
            The epoch's number, from 1, and the validation metrics after it by position.
        """
        self.epoch = 1 + min((group.epochs for group in self._groups), default=self.epoch)
        waiting = [group for group in self._groups if group.epochs < self.epoch]
        trained = [group for group in self._groups if group.epochs >= self.epoch]
        while waiting:
            group = waiting.pop(0)
            halves = group.advance_epoch()
            waiting[:0] = halves
            trained += [] if halves else [group]
        self._groups = trained
        seen = self.metrics_after(self.epoch)
        for run in self._runs:
            run.finish_if_due()
        self._drop_ended()
        return self.epoch, seen

    def metrics_after(self, epoch: int) -> dict[int, Mapping[str, float]]:
        """Collect the validation metrics after an epoch (from 1) by position; none of failures."""
        found = {place: run.metrics_after(epoch) for place, run in enumerate(self._runs)}
        return {place: metrics for place, metrics in found.items() if metrics is not None}

    def train_for(self, seconds: float = math.inf) -> None:
        """Train all members to their ends, or for about so many seconds.

        It returns after the epoch in which the time is used up, and resumes there when it is called
        again.
        """
        # Group after group, not epoch after epoch: only one stack is in memory at a time.
        until = time.perf_counter() + seconds
        while self._groups:
            group, *others = self._groups
            halves = group.advance_epoch()
            for run in group.runs:
                run.finish_if_due()
            if halves:
                self._groups = [*halves, *others]
            else:
                self._groups = [group, *others] if group.keep_running() else others
                if time.perf_counter() >= until:
                    break

    def stop_members(self, places: Collection[int]) -> None:
        """Stop the members at these positions, unless they have ended already."""
        for place in places:
            run = self._runs[place]
            if run.running:
                run.end_as(Status.PRUNED, f"stopped after epoch {run.epochs}")
        self._drop_ended()

    def result(self, place: int) -> MemberResult:
        """Return a member's result; one that is still running counts as stopped now."""
        return self._runs[place].result()

    def results(self) -> list[MemberResult]:
        """Return the results of all members."""
        return [self.result(place) for place in self.positions]

    def member_checkpoints(self, places: Collection[int] | None = None) -> dict[int, bytes]:
        """Make checkpoints of running members by position, for `resume` of another training.

        Members that are not in memory are absent: they are at epoch 0, or an earlier checkpoint of
        theirs is the newest that there can be.

        Args:
            places: Positions to make checkpoints of; None for all.
        """
        wanted = self.positions if places is None else places
        place_of = {run: place for place, run in enumerate(self._runs)}
        return {
            place_of[run]: to_bytes(checkpoint, self._identity_of(run))
            for group in self._groups
            for run, checkpoint in group.run_checkpoints()
            if place_of[run] in wanted
        }

    def _identity_of(self, run: MemberRun) -> str:
        return identity_of(run.member, self._data.splits, self._identity)

    def _drop_ended(self) -> None:
        self._groups = [group for group in self._groups if group.keep_running()]
