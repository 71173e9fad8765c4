"""Groups of members that train in one step, and their halving when a step fails."""

import gc
import time
from collections.abc import Mapping, Sequence

import torch

from msa_core.data.dataset import FloatArray
from msa_core.data.prepared import PreparedSplits
from msa_core.training.member_run import MemberRun
from msa_core.training.time_limit import limit_time
from msa_core.vectorised.checkpoint import Checkpoint, CheckpointError
from msa_core.vectorised.pack_key import pack_key, sequential_reason
from msa_core.vectorised.stack import Stack
from spaces.failures import describe_failure


def group_runs(
    runs: Sequence[MemberRun], device: torch.device, size: int | None = None
) -> list[list[MemberRun]]:
    """Group runs that train together: those of one pack key after the same number of epochs.

    Args:
        runs: Runs of the members, at their start or where they resume.
        device: Device of the tensors.
        size: Largest number of members in one step; None for all.
    """
    by_key: dict[str, list[MemberRun]] = {}
    for place, run in enumerate(runs):
        config = run.member.config
        alone = sequential_reason(config, device.type)
        key = f"alone {place}" if alone else f"{pack_key(config)} from {run.epochs}"
        by_key.setdefault(key, []).append(run)
    found = []
    for group in by_key.values():
        most = size or len(group)
        found += [group[start : start + most] for start in range(0, len(group), most)]
    return found


class Group:
    """Runs that train in one step, while their stack lives in memory."""

    def __init__(
        self,
        runs: Sequence[MemberRun],
        data: PreparedSplits,
        device: torch.device,
        epoch_limit: float | None = None,
    ) -> None:
        """Create the group; its stack is built when it first trains.

        Args:
            runs: Runs of one pack key, after the same number of epochs.
            data: Splits train and valid.
            device: Device of the tensors.
            epoch_limit: Longest time of an epoch, in seconds; None for no limit.
        """
        self.runs = list(runs)
        self.data = data
        self.device = device
        self.epoch_limit = epoch_limit
        self._stack: Stack | None = None

    @property
    def epochs(self) -> int:
        """Number of epochs trained."""
        return self.runs[0].epochs

    def advance_epoch(self) -> "list[Group]":
        """Train one more epoch and validate; return the halves of the group if that failed.

        Half a pack needs half the memory and, in the end, half the time, and a member that raises
        or hangs is found by halving. The halves train their epochs since the start, or since
        their checkpoints, again, to the same numbers. A single member fails; one whose checkpoint
        does not fit it starts over.
        """
        starts_over = False
        try:
            self._train_epoch()
            return []
        except Exception as error:  # one bad member must not take the pack with it
            starts_over = isinstance(error, CheckpointError)
            failure = describe_failure(error)
        # Outside the handler, since the exception's traceback holds the memory of the failed step.
        self._free_memory()
        if len(self.runs) > 1:
            middle = len(self.runs) // 2
            return [self._group_of(self.runs[:middle]), self._group_of(self.runs[middle:])]
        if starts_over:
            self.runs[0].start_over()
            return [self._group_of(self.runs)]
        self.runs[0].fail(*failure)
        return []

    def keep_running(self) -> bool:
        """Drop runs that have ended; return whether any is left."""
        rows = [row for row, run in enumerate(self.runs) if run.running]
        if self._stack is not None and 0 < len(rows) < len(self.runs):
            self._stack.keep_members(rows)
        self.runs = [self.runs[row] for row in rows]
        return bool(rows)

    def run_checkpoints(self) -> list[tuple[MemberRun, Checkpoint]]:
        """Make a checkpoint of every run; none while nothing is in memory."""
        if self._stack is None:
            return []
        states = self._stack.member_states()
        return [
            (run, run.make_checkpoint(state)) for run, state in zip(self.runs, states, strict=True)
        ]

    def _group_of(self, runs: Sequence[MemberRun]) -> "Group":
        return Group(runs, self.data, self.device, self.epoch_limit)

    def _free_memory(self) -> None:
        self._stack = None
        if self.device.type == "cuda":
            gc.collect()  # a step that raised leaves cycles
            torch.cuda.empty_cache()

    def _train_epoch(self) -> None:
        started = time.perf_counter()
        stack = self._current_stack()
        with limit_time(self.epoch_limit):
            losses = stack.train_epoch(self.epochs + 1)
            predictions = stack.predict_valid()
        self._record_epoch(stack, losses, predictions, time.perf_counter() - started)

    def _current_stack(self) -> Stack:
        """Return the stack after the epochs so far, trained again where it is not in memory."""
        if self._stack is None:
            members = [run.member for run in self.runs]
            vmapped = not sequential_reason(members[0].config, self.device.type)
            with limit_time(self.epoch_limit):
                stack = Stack(members, self.data, self.device, vmapped=vmapped)
            starts = [run.resumed_from for run in self.runs]
            first = starts[0].epochs if starts[0] else 0
            if first:
                stack.restore_states([start.state for start in starts if start])
            for epoch in range(first + 1, self.epochs + 1):
                with limit_time(self.epoch_limit):
                    stack.train_epoch(epoch)
            self._stack = stack
        return self._stack

    def _record_epoch(
        self,
        stack: Stack,
        losses: Sequence[Mapping[str, float]],
        predictions: FloatArray,
        seconds: float,
    ) -> None:
        labels, epoch = self.data.splits.valid.labels, self.epochs + 1
        for row, run in enumerate(self.runs):
            run.seconds += seconds / len(self.runs)
            run.company = len(self.runs)
            try:
                with limit_time(self.epoch_limit):
                    watched = stack.procedure.validation_metrics(
                        epoch, predictions[row], labels, run.curve
                    )
                    if run.add_epoch({**losses[row], **watched}, predictions[row], labels):
                        flat_P = stack.parameters.flat[row].to("cpu", copy=True)
                        run.best = flat_P, stack.parameters.layout
            except Exception as error:  # of the metrics: this member's alone
                run.fail(*describe_failure(error))
