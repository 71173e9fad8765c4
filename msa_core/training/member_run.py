"""What is known of one member while it trains, and how its training ended."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from msa_core.config.kinds import options_of
from msa_core.config.schema import Config
from msa_core.data.batching import Scaler
from msa_core.data.dataset import FloatArray
from msa_core.data.prepared import PreparedSplits
from msa_core.metrics import SCHEMES, score
from msa_core.tensors.parameters import Layout
from msa_core.training.failures import NOT_FINITE, kind_of, last_lines, log_of
from msa_core.vectorised.checkpoint import Checkpoint, State
from msa_core.vectorised.pack_key import Member


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
        kind: of a failure, see `training.failures`; empty if it did not fail. A metric to monitor
            that was undefined in every epoch is a number that is not finite (0 / 0), not an
            exception.
        log: the last lines of what a failed training said: the traceback or, where numbers were
            not finite, those of the last epochs.
        epochs: epochs trained.
        best_epoch: the epoch restored, from 1; 0 if there is none. The last one of a procedure
            that keeps it.
        valid: validation metrics of the best epoch; an undefined metric is absent.
        curve: name -> one value an epoch (NaN where undefined): `train.loss`, for every term
            `train.<term>` (raw) and `train.<term>.weighted`, and `valid.<metric>`.
        seconds: wall time of this member: its share of each step that it trained in, those before
            an interruption included.
        company: members that trained in the same step at the end, itself included.
        trained: the model of the best epoch; None if failed, or pruned before there was one.
    """

    member: Member
    status: str
    reason: str = ""
    kind: str = ""
    log: str = field(default="", repr=False)
    epochs: int
    best_epoch: int
    valid: Mapping[str, float]
    curve: Mapping[str, Sequence[float]]
    seconds: float
    company: int
    trained: Trained | None = field(repr=False)


class Run:
    """What is known of one member while it trains."""

    def __init__(self, member: Member, data: PreparedSplits) -> None:
        """Start at epoch 0."""
        self.member = member
        self.data = data
        self.seconds = 0.0
        self.company = 0
        self.start_over()

    def start_over(self) -> None:
        """Go back to epoch 0; the time that was spent stays spent."""
        self.status = "running"
        self.reason = self.kind = self.log = ""
        self.epochs = 0
        self.curve: dict[str, list[float]] = {}
        self.valid: Mapping[str, float] = {}
        self.best_epoch = 0
        self.best_valid: Mapping[str, float] = {}
        # The row of parameters of the best epoch on the CPU, and how they lie in it.
        self.best: tuple[Tensor, Layout] | None = None
        self.resumed_from: Checkpoint | None = None

    def checkpoint(self, state: State) -> Checkpoint:
        """Where it is between two epochs, with its part of the stack."""
        apart = self.best is not None and self.best_epoch != self.epochs
        return Checkpoint(
            epochs=self.epochs,
            seconds=self.seconds,
            curve=self.curve,
            valid=self.valid,
            best_epoch=self.best_epoch,
            best_valid=self.best_valid,
            best=state.layout.row_of(*self.best) if self.best and apart else None,
            state=state,
        )

    def resume(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint; its group's stack restores the tensors."""
        self.resumed_from = checkpoint
        self.epochs, self.seconds = checkpoint.epochs, checkpoint.seconds
        self.curve = {name: list(values) for name, values in checkpoint.curve.items()}
        self.valid, self.best_valid = dict(checkpoint.valid), dict(checkpoint.best_valid)
        self.best_epoch = checkpoint.best_epoch
        if self.best_epoch:
            state = checkpoint.state
            best_P = state.parameters if checkpoint.best is None else checkpoint.best
            self.best = best_P, state.layout

    @property
    def running(self) -> bool:
        """Whether it has not come to its end."""
        return self.status == "running"

    def seen_after(self, epoch: int) -> Mapping[str, float] | None:
        """The validation metrics after an epoch; None if it did not come out of it finite."""
        if self.epochs == epoch:
            return self.valid if self.status != "failed" else None
        if self.epochs < epoch:
            return None
        columns = {name: self.curve.get(f"valid.{name}") for name in SCHEMES[self.data.scheme]}
        after = {name: values[epoch - 1] for name, values in columns.items() if values}
        return {name: value for name, value in after.items() if not math.isnan(value)}

    def end(self, status: str, reason: str = "") -> None:
        """Come to an end that is no failure."""
        self.status, self.reason = status, reason

    def fail(self, kind: str, reason: str, log: str) -> None:
        """Come to an end that is one."""
        self.status, self.reason, self.kind, self.log = "failed", reason, kind, log

    def fail_by(self, error: Exception) -> None:
        """Fail because of an exception."""
        self.fail(kind_of(error), reason_of(error), log_of(error))

    def add_epoch(
        self, losses: Mapping[str, float], predictions: FloatArray, labels: FloatArray
    ) -> bool:
        """Take in one more epoch; whether it is the best so far."""
        self.epochs += 1
        finite = bool(np.isfinite(predictions).all())
        self.valid = score(self.data.scheme, predictions, labels) if finite else {}
        self._record({**losses, **{f"valid.{name}": value for name, value in self.valid.items()}})
        if not math.isfinite(losses["train.loss"]):
            self._fail_by_numbers(f"the loss is not finite in epoch {self.epochs}")
        elif not finite:
            self._fail_by_numbers(
                f"the predictions on valid are not finite after epoch {self.epochs}"
            )
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
                self._fail_by_numbers(f"valid.{train.monitor} was undefined in every epoch")

    def result(self) -> MemberResult:
        """How it ended; still running it counts as stopped now."""
        status, reason = self.status, self.reason
        if self.running:
            status, reason = "pruned", f"stopped after epoch {self.epochs}"
        return MemberResult(
            member=self.member,
            status=status,
            reason=reason,
            kind=self.kind,
            log=self.log,
            epochs=self.epochs,
            best_epoch=self.best_epoch,
            valid=self.best_valid,
            curve=self.curve,
            seconds=self.seconds,
            company=self.company,
            trained=self._trained() if self.status != "failed" else None,
        )

    def _trained(self) -> Trained | None:
        """The model of the best epoch, taken apart into its parameters only now."""
        if self.best is None:
            return None
        flat_P, layout = self.best
        scaler = self.data.scaler(self.member.config)
        return Trained(
            config=self.member.config,
            features={name: len(mean_D) for name, mean_D in scaler.mean.items()},
            scaler=scaler,
            state=layout.member(flat_P),
            scheme=self.data.scheme,
        )

    def _record(self, values: Mapping[str, float]) -> None:
        """Append to every curve; a value that is undefined in this epoch is NaN."""
        for name in {**self.curve, **values}:
            column = self.curve.setdefault(name, [math.nan] * (self.epochs - 1))
            column.append(values.get(name, math.nan))

    def _fail_by_numbers(self, reason: str) -> None:
        monitored = ("train.loss", f"valid.{self.member.config.train.monitor}")
        terms = [name.removesuffix(".weighted") for name in self.curve if ".weighted" in name]
        shown = [name for name in (*monitored, *terms) if name in self.curve]
        lines = [
            f"epoch {epoch + 1}: "
            + ", ".join(f"{name} {self.curve[name][epoch]:.6g}" for name in shown)
            for epoch in range(self.epochs)
        ]
        self.fail(NOT_FINITE, reason, last_lines("\n".join([*lines, reason])))

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
        return gain > 0 if SCHEMES[self.data.scheme][monitor].higher_is_better else gain < 0


def reason_of(error: Exception) -> str:
    """An exception in a line of a table."""
    return f"{type(error).__name__}: {error}"
