"""Groups: members that train in one step, and what is done when that fails."""

import gc
import time
from collections.abc import Mapping, Sequence

import torch

from msa_core.data.dataset import FloatArray
from msa_core.data.prepared import PreparedSplits
from msa_core.training.failures import kind_of, log_of
from msa_core.training.member_run import Run, reason_of
from msa_core.training.time_limit import at_most
from msa_core.vectorised.checkpoint import Checkpoint, CheckpointError
from msa_core.vectorised.pack_key import in_turn, pack_key
from msa_core.vectorised.stack import Stack


def together(runs: Sequence[Run], device: torch.device, size: int | None = None) -> list[list[Run]]:
    """The runs, by who trains with whom: those of one pack key that are equally far.

    Args:
        runs: of the members, at their start or where they resume.
        device: where the tensors live.
        size: most members in one step; None = all.
    """
    by_key: dict[str, list[Run]] = {}
    for place, run in enumerate(runs):
        config = run.member.config
        alone = in_turn(config, device.type)
        key = f"alone {place}" if alone else f"{pack_key(config)} from {run.epochs}"
        by_key.setdefault(key, []).append(run)
    found = []
    for group in by_key.values():
        most = size or len(group)
        found += [group[start : start + most] for start in range(0, len(group), most)]
    return found


class Group:
    """Runs that train in one step."""

    def __init__(
        self,
        runs: Sequence[Run],
        data: PreparedSplits,
        device: torch.device,
        epoch_limit: float | None = None,
    ) -> None:
        """Nothing in memory yet.

        Args:
            runs: of members of one pack key, equally far.
            data: train and valid.
            device: where the tensors live.
            epoch_limit: seconds that an epoch may take; None = any.
        """
        self.runs = list(runs)
        self.data = data
        self.device = device
        self.epoch_limit = epoch_limit
        self._stack: Stack | None = None

    @property
    def epochs(self) -> int:
        """The epochs that it has trained."""
        return self.runs[0].epochs

    def advance(self) -> "list[Group]":
        """Train one more epoch and validate; returns its halves if it could not.

        Half a pack needs half the memory and, in the end, half the time, and a member that raises
        or hangs is found by halving. The halves train their epochs since the start, or since
        their checkpoints, again, to the same numbers. A single member fails; one whose checkpoint
        does not fit it starts over.
        """
        starts_over = False
        try:
            self._train()
            return []
        except Exception as error:  # one bad member must not take the pack with it
            starts_over = isinstance(error, CheckpointError)
            failure = kind_of(error), reason_of(error), log_of(error)
        # Here, outside the handler, nothing holds the memory of the failed step any more.
        self._give_memory_back()
        if len(self.runs) > 1:
            middle = len(self.runs) // 2
            return [self._of(self.runs[:middle]), self._of(self.runs[middle:])]
        if starts_over:
            self.runs[0].start_over()
            return [self._of(self.runs)]
        self.runs[0].fail(*failure)
        return []

    def keep_running(self) -> bool:
        """Let the runs that have ended leave; whether any is left."""
        rows = [row for row, run in enumerate(self.runs) if run.running]
        if self._stack is not None and 0 < len(rows) < len(self.runs):
            self._stack.keep(rows)
        self.runs = [self.runs[row] for row in rows]
        return bool(rows)

    def checkpoints(self) -> list[tuple[Run, Checkpoint]]:
        """Every run as it is between two epochs; none while nothing is in memory."""
        if self._stack is None:
            return []
        states = self._stack.states()
        return [(run, run.checkpoint(state)) for run, state in zip(self.runs, states, strict=True)]

    def _of(self, runs: Sequence[Run]) -> "Group":
        return Group(runs, self.data, self.device, self.epoch_limit)

    def _give_memory_back(self) -> None:
        self._stack = None
        if self.device.type == "cuda":
            gc.collect()  # a step that raised leaves cycles
            torch.cuda.empty_cache()

    def _train(self) -> None:
        started = time.perf_counter()
        stack = self._stack_now()
        with at_most(self.epoch_limit):
            losses = stack.train_epoch(self.epochs + 1)
            predictions = stack.predict_valid()
        self._take_in(stack, losses, predictions, time.perf_counter() - started)

    def _stack_now(self) -> Stack:
        """The stack after the epochs so far."""
        if self._stack is None:
            with at_most(self.epoch_limit):
                stack = self._fresh_stack()
            starts = [run.resumed_from for run in self.runs]
            first = starts[0].epochs if starts[0] else 0
            if first:
                stack.restore([start.state for start in starts if start])
            for epoch in range(first + 1, self.epochs + 1):
                with at_most(self.epoch_limit):
                    stack.train_epoch(epoch)
            self._stack = stack
        return self._stack

    def _fresh_stack(self) -> Stack:
        members = [run.member for run in self.runs]
        vmapped = not in_turn(members[0].config, self.device.type)
        return Stack(members, self.data, self.device, vmapped=vmapped)

    def _take_in(
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
                with at_most(self.epoch_limit):
                    watched = stack.procedure.watched(epoch, predictions[row], labels, run.curve)
                    if run.add_epoch({**losses[row], **watched}, predictions[row], labels):
                        flat_P = stack.parameters.flat[row].to("cpu", copy=True)
                        run.best = flat_P, stack.parameters.layout
            except Exception as error:  # of the metrics: this member's alone
                run.fail_by(error)
