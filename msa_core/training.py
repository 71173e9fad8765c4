"""Training: members in, one result a member out. Never sees the test split."""

import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from msa_core.config import LABEL_SCHEMES, Config
from msa_core.data.batching import Batch, Scaler, prepare, shuffled
from msa_core.data.dataset import FloatArray, Splits
from msa_core.metrics import SCHEMES, score
from msa_core.model import Model, build_model
from msa_core.modules.labels import LabelGenerator
from msa_core.objective import loss_terms, total
from msa_core.streams import Streams

PREDICTION_BATCH = 1024


@dataclass(frozen=True, slots=True)
class Member:
    """One training to be done: a configuration and a seed."""

    config: Config
    seed: int


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
        best_epoch: the epoch restored, from 1; 0 if there is none.
        valid: validation metrics of the best epoch; an undefined metric is absent.
        curve: name -> one value an epoch (NaN where undefined): `train.loss`, for every term
            `train.<term>` (raw) and `train.<term>.weighted`, and `valid.<metric>`.
        seconds: wall time of this member.
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
    trained: Trained | None = field(repr=False)


# Called after each epoch with the epoch (from 1) and, by the member's place in the pack, its
# validation metrics; returns the places to stop, which end as `pruned` unless it was the last one.
OnEpoch = Callable[[int, Mapping[int, Mapping[str, float]]], Collection[int]]


def train_pack(
    members: Sequence[Member],
    splits: Splits,
    on_epoch: OnEpoch | None = None,
    *,
    device: torch.device | str = "cpu",
) -> list[MemberResult]:
    """Train every member with early stopping and restore its best epoch.

    The numbers of a member depend on its configuration, its seed and the data alone, not on its
    company. A member that raises or turns non-finite is returned as failed; the others go on.

    Args:
        members: what to train.
        splits: train and valid.
        on_epoch: sees validation metrics and may stop members.
        device: where the tensors live.
    """
    return [
        _Training(member, splits, torch.device(device)).run(_place(on_epoch, index))
        for index, member in enumerate(members)
    ]


def _place(on_epoch: OnEpoch | None, index: int) -> Callable[[int, Mapping[str, float]], bool]:
    """`on_epoch` as one member sees it: whether to stop after this epoch."""
    if on_epoch is None:
        return lambda epoch, metrics: False
    return lambda epoch, metrics: index in on_epoch(epoch, {index: metrics})


class _Training:
    """One member on its way."""

    def __init__(self, member: Member, splits: Splits, device: torch.device) -> None:
        self.member = member
        self.splits = splits
        self.device = device
        self.streams = Streams(member.seed, member.config.control.placebo)
        self.curve: dict[str, list[float]] = {}
        self.epochs = 0
        self.best_epoch = 0
        self.best_valid: dict[str, float] = {}
        self.best_state: dict[str, Tensor] = {}

    def run(self, stop_after: Callable[[int, Mapping[str, float]], bool]) -> MemberResult:
        """Train to the end, whatever the end is."""
        started = time.perf_counter()
        try:
            status, reason = self._train(stop_after)
        except Exception as error:  # one bad member must not take its pack with it
            status, reason = "failed", f"{type(error).__name__}: {error}"
        trained = self._trained() if status != "failed" and self.best_epoch else None
        return MemberResult(
            member=self.member,
            status=status,
            reason=reason,
            epochs=self.epochs,
            best_epoch=self.best_epoch,
            valid=self.best_valid,
            curve=self.curve,
            seconds=time.perf_counter() - started,
            trained=trained,
        )

    def _train(self, stop_after: Callable[[int, Mapping[str, float]], bool]) -> tuple[str, str]:
        config = self.member.config
        self._prepare()
        for epoch in range(1, config.train.epochs + 1):
            losses = self._train_epoch(epoch)
            self.epochs = epoch
            valid, finite = self._validate()
            self._record({**losses, **{f"valid.{name}": value for name, value in valid.items()}})
            if not math.isfinite(losses["train.loss"]):
                return "failed", f"the loss is not finite in epoch {epoch}"
            if not finite:
                return "failed", f"the predictions on valid are not finite after epoch {epoch}"
            if self._improved(valid):
                self.best_epoch, self.best_valid = epoch, valid
                self.best_state = {
                    name: value.detach().to("cpu", copy=True)
                    for name, value in self.model.state_dict().items()
                }
            if stop_after(epoch, valid) and epoch < config.train.epochs:
                return "pruned", f"stopped after epoch {epoch}"
            if epoch - self.best_epoch >= config.train.patience:
                break
        if not self.best_epoch:
            return "failed", f"valid.{config.train.monitor} was undefined in every epoch"
        return "complete", ""

    def _prepare(self) -> None:
        config = self.member.config
        train = self.splits.train
        used = tuple(name for name in train.features if getattr(config.model, name).use)
        self.features = {name: train.features[name].shape[2] for name in used}
        self.scaler = Scaler.fit(train, used, config.features.standardise)
        self.train = prepare(train, self.scaler, config, self.device)
        self.valid = prepare(self.splits.valid, self.scaler, config, self.device)
        self.model = build_model(config, self.features, self.streams, self.device)
        self.optimiser = torch.optim.Adam(
            self.model.parameters(),
            lr=config.train.learning_rate,
            weight_decay=config.train.weight_decay,
            fused=True,
        )
        self.generated = self._label_generator() if config.loss.unimodal.kind == "ulgm" else None

    def _label_generator(self) -> LabelGenerator:
        config = self.member.config
        widths = {name: config.loss.unimodal.width for name in self.model.unimodal_heads}
        return LabelGenerator(
            self.train.labels,
            {"multimodal": config.model.fusion.width, **widths},
            LABEL_SCHEMES[self.splits.scheme].bound,
        )

    def _train_epoch(self, epoch: int) -> dict[str, float]:
        """One pass over train; the mean of the loss and of every term over the utterances."""
        config = self.member.config
        self.model.train()
        self.model.start_epoch(epoch, self.streams)
        order = self.streams.generator("batches", epoch, device=torch.device("cpu"))
        sums: dict[str, Tensor] = {}
        for batch in shuffled(self.train, config.train.batch_size, order):
            output = self.model(batch)
            terms = loss_terms(config, output, batch, self.generated)
            loss = total(terms)
            self.optimiser.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            self.optimiser.step()
            if self.generated is not None:
                self.generated.update(epoch, batch.rows, output.hidden)
            logged = {"train.loss": loss.detach()}
            for name, term in terms.items():
                logged[f"train.{name}"] = term.raw.detach()
                logged[f"train.{name}.weighted"] = term.raw.detach() * term.weight
            for name, value in logged.items():
                sums[name] = sums.get(name, 0.0) + value * len(batch)
        return {name: float(value) / len(self.train) for name, value in sums.items()}

    def _validate(self) -> tuple[dict[str, float], bool]:
        """The validation metrics, and whether every prediction is finite."""
        predictions = predict(self.model, self.valid)
        if not np.isfinite(predictions).all():
            return {}, False
        return score(self.splits.scheme, predictions, self.splits.valid.labels), True

    def _record(self, values: Mapping[str, float]) -> None:
        """Append to every curve; a value that is undefined in this epoch is NaN."""
        for name in {**self.curve, **values}:
            column = self.curve.setdefault(name, [math.nan] * (self.epochs - 1))
            column.append(values.get(name, math.nan))

    def _improved(self, valid: Mapping[str, float]) -> bool:
        monitor = self.member.config.train.monitor
        if monitor not in valid:
            return False
        if not self.best_epoch:
            return True
        gain = valid[monitor] - self.best_valid[monitor]
        return gain > 0 if SCHEMES[self.splits.scheme][monitor].higher_is_better else gain < 0

    def _trained(self) -> Trained:
        return Trained(
            config=self.member.config,
            features=self.features,
            scaler=self.scaler,
            state=self.best_state,
            scheme=self.splits.scheme,
        )


@torch.no_grad()
def predict(model: Model, whole: Batch) -> FloatArray:
    """Predictions of a prepared split, float32 [N], in evaluation mode."""
    model.eval()
    parts = [
        model(whole.take(rows)).prediction.cpu()
        for rows in torch.split(torch.arange(len(whole)), PREDICTION_BATCH)
    ]
    return torch.cat(parts).numpy()
