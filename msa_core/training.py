"""Training: members in, one result a member out. Never sees the test split."""

import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from msa_core.config import Config
from msa_core.config_kinds import options_of
from msa_core.data.batching import Scaler
from msa_core.data.dataset import FloatArray, Splits
from msa_core.data.prepared import PreparedSplits
from msa_core.metrics import SCHEMES, score
from msa_core.packing import Member, in_turn, pack_key
from msa_core.stack import Stack


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    """A model that can predict: what `evaluate` needs.

    Attributes:
        config: how to build the network.
        features: modality -> features a frame.
        scaler: fitted on train.
        state: parameters of the best epoch, on the CPU.
        scheme: the label scheme it was trained for.
    """

    config: Config
    features: Mapping[str, int]
    scaler: Scaler
    state: Mapping[str, Tensor]
    scheme: str


@dataclass(frozen=True, kw_only=True, slots=True)
class MemberResult:
    """How one training ended.

    Attributes:
        member: what was trained.
        status: `complete`, `pruned` (stopped by `on_epoch`) or `failed`.
        reason: why it is not complete; empty if it is.
        epochs: epochs trained.
        best_epoch: the epoch restored, from 1; 0 if there is none. The last one of a procedure
            that keeps it.
        valid: validation metrics of the best epoch; an undefined metric is absent.
        curve: name -> one value an epoch (NaN where undefined): `train.loss`, for every term
            `train.<term>` (raw) and `train.<term>.weighted`, and `valid.<metric>`.
        seconds: wall time of this member: its share of each step that it trained in.
        company: members that trained in the same step at the end, itself included.
        trained: the model of the best epoch; None if failed, or pruned before there was one.
    """

    member: Member
    status: str
    reason: str = ""
    epochs: int
    best_epoch: int
    valid: Mapping[str, float]
    curve: Mapping[str, Sequence[float]]
    seconds: float
    company: int
    trained: Trained | None = field(repr=False)


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
    (`msa_core.packing.in_turn`), one after another: each to its end, or, where `on_epoch` watches,
    each for one epoch. The numbers of a member depend on its configuration, its seed and the data
    alone, not on its company. A member that raises or turns non-finite is returned as failed, a
    pack that does not fit in memory is halved; the others go on.

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
    """`train_pack`, one epoch at a time."""

    def __init__(
        self,
        members: Sequence[Member],
        splits: Splits | PreparedSplits,
        *,
        device: torch.device | str = "cpu",
        size: int | None = None,
    ) -> None:
        """Start at epoch 0; arguments as for `train_pack`."""
        data = splits if isinstance(splits, PreparedSplits) else PreparedSplits(splits)
        place = torch.device(device)
        self.epoch = 0
        self._runs = [_Run(member, data.scheme) for member in members]
        self._groups = [_Group(runs, data, place) for runs in _together(self._runs, place, size)]

    @property
    def finished(self) -> bool:
        """Whether no member is left to train."""
        return not self._groups

    @property
    def seconds(self) -> float:
        """Wall time that all members have trained so far."""
        return sum(run.seconds for run in self._runs)

    @property
    def places(self) -> range:
        """The members' places in the pack."""
        return range(len(self._runs))

    def advance(self) -> tuple[int, dict[int, Mapping[str, float]]]:
        """Train one more epoch.

        Returns:
            The epoch, from 1, and by the members' places the validation metrics after it.
        """
        self.epoch += 1
        waiting, self._groups = self._groups, []
        while waiting:
            group = waiting.pop(0)
            halves = group.advance(self.epoch)
            waiting[:0] = halves
            self._groups += [] if halves else [group]
        seen = {
            place: run.valid for place, run in enumerate(self._runs) if run.validated(self.epoch)
        }
        for run in self._runs:
            run.finish_if_due()
        self._go_on()
        return self.epoch, seen

    def finish(self) -> None:
        """Train to the end what needs nobody to watch: one step's members after the other's.

        Only those that train together are in memory at a time.
        """
        waiting = [(group, self.epoch + 1) for group in self._groups]
        self._groups = []
        while waiting:
            group, epoch = waiting.pop(0)
            halves = group.advance(epoch)
            for run in group.runs:
                run.finish_if_due()
            if halves:
                waiting[:0] = [(half, epoch) for half in halves]
            elif group.keep_running():
                waiting.insert(0, (group, epoch + 1))

    def stop(self, places: Collection[int]) -> None:
        """Stop these members, unless they have come to their end already."""
        for place in places:
            if self._runs[place].running:
                self._runs[place].end("pruned", f"stopped after epoch {self.epoch}")
        self._go_on()

    def results(self) -> list[MemberResult]:
        """How every member ended; one that is still running counts as stopped now."""
        return [run.result() for run in self._runs]

    def _go_on(self) -> None:
        self._groups = [group for group in self._groups if group.keep_running()]


def _together(runs: Sequence["_Run"], device: torch.device, size: int | None) -> list[list["_Run"]]:
    """The runs, by who trains with whom."""
    by_key: dict[str, list[_Run]] = {}
    for place, run in enumerate(runs):
        config = run.member.config
        alone = in_turn(config, device.type)
        by_key.setdefault(f"alone {place}" if alone else pack_key(config), []).append(run)
    together = []
    for group in by_key.values():
        most = size or len(group)
        together += [group[start : start + most] for start in range(0, len(group), most)]
    return together


class _Run:
    """What is known of one member while it trains."""

    def __init__(self, member: Member, scheme: str) -> None:
        self.member = member
        self.scheme = scheme
        self.status = "running"
        self.reason = ""
        self.seconds = 0.0
        self.company = 0
        self.epochs = 0
        self.curve: dict[str, list[float]] = {}
        self.valid: Mapping[str, float] = {}
        self.best_epoch = 0
        self.best_valid: Mapping[str, float] = {}
        self.best: Callable[[], Trained] | None = None

    @property
    def running(self) -> bool:
        return self.status == "running"

    def validated(self, epoch: int) -> bool:
        """Whether it trained this epoch and came out finite."""
        return self.epochs == epoch and self.status != "failed"

    def end(self, status: str, reason: str = "") -> None:
        self.status, self.reason = status, reason

    def add_epoch(
        self, losses: Mapping[str, float], predictions: FloatArray, labels: FloatArray
    ) -> bool:
        """Take in one more epoch; whether it is the best so far."""
        self.epochs += 1
        finite = bool(np.isfinite(predictions).all())
        self.valid = score(self.scheme, predictions, labels) if finite else {}
        self._record({**losses, **{f"valid.{name}": value for name, value in self.valid.items()}})
        if not math.isfinite(losses["train.loss"]):
            self.end("failed", f"the loss is not finite in epoch {self.epochs}")
        elif not finite:
            self.end("failed", f"the predictions on valid are not finite after epoch {self.epochs}")
        elif self._improved():
            self.best_epoch, self.best_valid = self.epochs, self.valid
            return True
        return False

    def finish_if_due(self) -> None:
        """End the training where its epochs or its patience are used up."""
        train = self.member.config.train
        waited = 0 if self._keeps_last else self.epochs - self.best_epoch
        used_up = self.epochs >= train.epochs or waited >= train.patience
        if self.running and used_up:
            if self.best_epoch:
                self.end("complete")
            else:
                self.end("failed", f"valid.{train.monitor} was undefined in every epoch")

    def result(self) -> MemberResult:
        status, reason = self.status, self.reason
        if self.running:
            status, reason = "pruned", f"stopped after epoch {self.epochs}"
        keeps_model = self.status != "failed" and self.best is not None
        return MemberResult(
            member=self.member,
            status=status,
            reason=reason,
            epochs=self.epochs,
            best_epoch=self.best_epoch,
            valid=self.best_valid,
            curve=self.curve,
            seconds=self.seconds,
            company=self.company,
            trained=self.best() if keeps_model and self.best else None,
        )

    def _record(self, values: Mapping[str, float]) -> None:
        """Append to every curve; a value that is undefined in this epoch is NaN."""
        for name in {**self.curve, **values}:
            column = self.curve.setdefault(name, [math.nan] * (self.epochs - 1))
            column.append(values.get(name, math.nan))

    @property
    def _keeps_last(self) -> bool:
        config = self.member.config
        return bool(options_of(config, "procedure", config.procedure.kind).keeps_last)

    def _improved(self) -> bool:
        if self._keeps_last:
            return True
        monitor = self.member.config.train.monitor
        if monitor not in self.valid:
            return False
        if not self.best_epoch:
            return True
        gain = self.valid[monitor] - self.best_valid[monitor]
        return gain > 0 if SCHEMES[self.scheme][monitor].higher_is_better else gain < 0


class _Group:
    """Runs that train in one step."""

    def __init__(self, runs: Sequence[_Run], data: PreparedSplits, device: torch.device) -> None:
        self.runs = list(runs)
        self.data = data
        self.device = device
        self._stack: Stack | None = None

    def advance(self, epoch: int) -> "list[_Group]":
        """Train one epoch and validate; returns its halves if it could not.

        Half a pack needs half the memory, and a member that raises is found by halving. The
        halves train their earlier epochs again, to the same numbers. A single member fails.
        """
        try:
            self._train(epoch)
            return []
        except Exception as error:  # one bad member must not take the pack with it
            failure = f"{type(error).__name__}: {error}"
        # Here, outside the handler, nothing holds the memory of the failed step any more.
        self._stack = None
        if len(self.runs) == 1:
            self.runs[0].end("failed", failure)
            return []
        middle = len(self.runs) // 2
        return [
            _Group(half, self.data, self.device)
            for half in (self.runs[:middle], self.runs[middle:])
        ]

    def keep_running(self) -> bool:
        """Let the runs that have ended leave; whether any is left."""
        rows = [row for row, run in enumerate(self.runs) if run.running]
        if self._stack is not None and 0 < len(rows) < len(self.runs):
            self._stack.keep(rows)
        self.runs = [self.runs[row] for row in rows]
        return bool(rows)

    def _stack_at(self, epoch: int) -> Stack:
        if self._stack is None:
            members = [run.member for run in self.runs]
            vmapped = not in_turn(members[0].config, self.device.type)
            self._stack = Stack(members, self.data, self.device, vmapped=vmapped)
            for earlier in range(1, epoch):
                self._stack.train_epoch(earlier)
        return self._stack

    def _train(self, epoch: int) -> None:
        started = time.perf_counter()
        stack = self._stack_at(epoch)
        losses = stack.train_epoch(epoch)
        predictions = stack.predict_valid()
        self._take_in(stack, losses, predictions, time.perf_counter() - started)

    def _take_in(
        self,
        stack: Stack,
        losses: Sequence[Mapping[str, float]],
        predictions: FloatArray,
        seconds: float,
    ) -> None:
        labels, epoch = self.data.splits.valid.labels, self.runs[0].epochs + 1
        for row, run in enumerate(self.runs):
            run.seconds += seconds / len(self.runs)
            run.company = len(self.runs)
            try:
                watched = stack.procedure.watched(epoch, predictions[row], labels, run.curve)
                if run.add_epoch({**losses[row], **watched}, predictions[row], labels):
                    run.best = self._snapshot(stack, row)
            except Exception as error:  # of the metrics: this member's alone
                run.end("failed", f"{type(error).__name__}: {error}")

    def _snapshot(self, stack: Stack, row: int) -> Callable[[], Trained]:
        """A member as it is now, taken apart into its parameters only when asked for."""
        flat_P = stack.parameters.flat[row].to("cpu", copy=True)
        layout, features, scaler = stack.parameters.layout, stack.features, stack.scaler
        config, scheme = self.runs[row].member.config, self.data.scheme

        def trained() -> Trained:
            return Trained(
                config=config,
                features=features,
                scaler=scaler,
                state=layout.member(flat_P),
                scheme=scheme,
            )

        return trained
