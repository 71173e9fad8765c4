"""The run of one member: its curves and best epoch while it trains, and its result."""

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
from msa_core.metrics import SCHEMES, score_predictions
from msa_core.tensors.parameters import Layout
from msa_core.vectorised.checkpoint import Checkpoint, MemberState
from spaces.core import Member, Status
from spaces.failures import FailureKind, last_lines


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainedModel:
    """A trained model, ready to be evaluated.

    Attributes:
        config: Configuration to build the network from.
        features: Modality -> number of features per frame.
        scaler: Scaler fitted on train.
        state: Parameters of the best epoch by name, on the CPU.
        scheme: Label scheme that it was trained for.
    """

    config: Config
    features: Mapping[str, int]
    scaler: Scaler
    state: Mapping[str, Tensor]
    scheme: str


@dataclass(frozen=True, kw_only=True, slots=True)
class MemberResult:
    """The result of one training.

    Attributes:
        member: Configuration and seed that were trained.
        status: Status; pruned if `on_epoch` stopped it.
        reason: Reason why it is not complete; empty if it is.
        kind: Kind of a failure, empty if it did not fail. A monitored metric that was undefined in
            every epoch counts as not finite (0 / 0), not as an exception.
        log: Last log lines of a failed training: the traceback or, where numbers were not finite,
            the numbers of the last epochs.
        epochs: Number of epochs trained.
        best_epoch: Number of the restored epoch, from 1; 0 if there is none. The last epoch where
            the training algorithm keeps that.
        valid: Validation metrics of the best epoch; an undefined metric is absent.
        curve: Name -> one value per epoch (NaN where undefined): `train.loss`, for every term
            `train.<term>` (raw) and `train.<term>.weighted`, and `valid.<metric>`.
        seconds: Wall time of this member, in seconds: its share of each step that it trained in,
            those before an interruption included.
        company: Number of members in the same step at the end, itself included.
        trained: Model of the best epoch; None if failed, or pruned before there was one.
    """

    member: Member
    status: Status
    reason: str = ""
    kind: str = ""
    log: str = field(default="", repr=False)
    epochs: int
    best_epoch: int
    valid: Mapping[str, float]
    curve: Mapping[str, Sequence[float]]
    seconds: float
    company: int
    trained: TrainedModel | None = field(repr=False)

    @property
    def parameters(self) -> int | None:
        """Number of trained parameters; None if there is no model."""
        if self.trained is None:
            return None
        return sum(tensor.numel() for tensor in self.trained.state.values())


class MemberRun:
    """The run of one member while it trains."""

    def __init__(self, member: Member, data: PreparedSplits) -> None:
        """Start at epoch 0."""
        self.member = member
        self.data = data
        self.seconds = 0.0
        self.company = 0
        self.start_over()

    def start_over(self) -> None:
        """Go back to epoch 0; the wall time so far still counts."""
        self.status: Status | None = None  # while it trains
        self.reason = self.log = ""
        self.kind: FailureKind | str = ""
        self.epochs = 0
        self.curve: dict[str, list[float]] = {}
        self.valid: Mapping[str, float] = {}
        self.best_epoch = 0
        self.best_valid: Mapping[str, float] = {}
        # Row of the best epoch's parameters on the CPU, and its layout. Taken apart into parameters
        # only when the run ends: epochs improve often, and copying one row is cheap.
        self.best: tuple[Tensor, Layout] | None = None
        self.resumed_from: Checkpoint | None = None

    def make_checkpoint(self, state: MemberState) -> Checkpoint:
        """Make a checkpoint between two epochs, with the member's part of the stack."""
        # Where the last epoch is the best one, its parameters are in the state already.
        apart = self.best is not None and self.best_epoch != self.epochs
        return Checkpoint(
            epochs=self.epochs,
            seconds=self.seconds,
            curve=self.curve,
            valid=self.valid,
            best_epoch=self.best_epoch,
            best_valid=self.best_valid,
            best=state.layout.convert_row(*self.best) if self.best and apart else None,
            state=state,
        )

    def resume_from(self, checkpoint: Checkpoint) -> None:
        """Resume from a checkpoint; the group's stack restores the tensors."""
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
        """Whether it has not ended."""
        return self.status is None

    def metrics_after(self, epoch: int) -> Mapping[str, float] | None:
        """Return the validation metrics after an epoch; None if it failed or never ran it."""
        if self.epochs == epoch:
            return self.valid if self.status != Status.FAILED else None
        if self.epochs < epoch:
            return None
        columns = {name: self.curve.get(f"valid.{name}") for name in SCHEMES[self.data.scheme]}
        after = {name: values[epoch - 1] for name, values in columns.items() if values}
        return {name: value for name, value in after.items() if not math.isnan(value)}

    def end_as(self, status: Status, reason: str = "") -> None:
        """End without a failure."""
        self.status, self.reason = status, reason

    def fail(self, kind: FailureKind, reason: str, log: str) -> None:
        """End with a failure."""
        self.status, self.reason, self.kind, self.log = Status.FAILED, reason, kind, log

    def add_epoch(
        self, losses: Mapping[str, float], predictions: FloatArray, labels: FloatArray
    ) -> bool:
        """Record one more epoch; return whether it is the best so far."""
        self.epochs += 1
        # Checked before scoring: metrics of NaN would be NaN or raise, and hide the reason.
        finite = bool(np.isfinite(predictions).all())
        self.valid = score_predictions(self.data.scheme, predictions, labels) if finite else {}
        self._append_values(
            {**losses, **{f"valid.{name}": value for name, value in self.valid.items()}}
        )
        if not math.isfinite(losses["train.loss"]):
            self._fail_by_numbers(f"the loss is not finite in epoch {self.epochs}")
        elif not finite:
            self._fail_by_numbers(
                f"the predictions on valid are not finite after epoch {self.epochs}"
            )
        elif self._has_improved():
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
                self.end_as(Status.COMPLETE)
            else:
                self._fail_by_numbers(f"valid.{train.monitor} was undefined in every epoch")

    def result(self) -> MemberResult:
        """Return the result; a run that has not ended counts as stopped now."""
        status, reason = self.status, self.reason
        if status is None:
            status, reason = Status.PRUNED, f"stopped after epoch {self.epochs}"
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
            trained=self._trained_model() if self.status != Status.FAILED else None,
        )

    def _trained_model(self) -> TrainedModel | None:
        """Build the model of the best epoch; None if there is none."""
        if self.best is None:
            return None
        flat_P, layout = self.best
        scaler = self.data.scaler(self.member.config)
        return TrainedModel(
            config=self.member.config,
            features={name: len(mean_D) for name, mean_D in scaler.mean.items()},
            scaler=scaler,
            state=layout.member_parameters(flat_P),
            scheme=self.data.scheme,
        )

    def _append_values(self, values: Mapping[str, float]) -> None:
        """Append to every curve; a value that is undefined in this epoch is NaN."""
        # A curve that begins late, such as a metric that was undefined, is filled up from epoch 1.
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
        self.fail(FailureKind.NOT_FINITE, reason, last_lines("\n".join([*lines, reason])))

    @property
    def _keeps_last(self) -> bool:
        config = self.member.config
        return bool(options_of(config, "procedure", config.procedure.kind).keeps_last)

    def _has_improved(self) -> bool:
        if self._keeps_last:
            return True
        monitor = self.member.config.train.monitor
        if monitor not in self.valid:
            return False
        if not self.best_epoch:
            return True
        gain = self.valid[monitor] - self.best_valid[monitor]
        return gain > 0 if SCHEMES[self.data.scheme][monitor].higher_is_better else gain < 0
