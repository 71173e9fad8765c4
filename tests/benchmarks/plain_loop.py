"""The fair baseline: the training loop that a careful engineer writes by hand.

The network, loss, optimiser, metrics and stopping rule of `msa_core`, in plain PyTorch and with
nothing else: no named random streams, no curves, no generality. What does not change during a
training is done once before it (scaling, the mean over frames), an epoch is shuffled by one
gather a tensor, a batch is a view. Set `torch.set_num_threads(1)` first: at these sizes more
threads are slower.

Shapes: N utterances of a split, B of a batch, T steps, D features, W = width of an encoder.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from msa_core.data.dataset import Dataset, Split
from msa_core.metrics import score_predictions

Metrics = dict[str, float]
# Called after each epoch with the epoch (from 1) and its validation metrics.
OnEpoch = Callable[[int, Metrics], None]
Scale = dict[str, tuple[np.ndarray, np.ndarray]]  # modality -> mean and standard deviation [D]


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """One training; names and defaults follow `msa_core.config.schema`."""

    width: int = 64
    projection: int = 32
    head: int = 64
    dropout: float = 0.1
    encoder: str = "mean_mlp"  # or lstm
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    head_dropout: float = 0.1
    batch_size: int = 32
    epochs: int = 40
    patience: int = 8


@dataclass(frozen=True, slots=True)
class SplitTensors:
    """A split or a part of it, standardised with the statistics of train.

    Attributes:
        features: modality -> [N, D] for `mean_mlp`, [N, T, D] for `lstm`; zero where padded.
        lengths: modality -> [N], valid frames.
        labels: [N].
    """

    features: dict[str, Tensor]
    lengths: dict[str, Tensor]
    labels: Tensor

    def rows(self, rows: Tensor | slice) -> "SplitTensors":
        """These rows; a slice copies nothing."""
        return SplitTensors(
            {name: array[rows] for name, array in self.features.items()},
            {name: array[rows] for name, array in self.lengths.items()},
            self.labels[rows],
        )


@dataclass(frozen=True, slots=True)
class Tensors:
    """A whole data set, prepared for one kind of encoder."""

    train: SplitTensors
    valid: SplitTensors
    test: SplitTensors
    scheme: str


def prepare(dataset: Dataset, encoder: str) -> Tensors:
    """Standardise with train and, for `mean_mlp`, take the mean over frames once and for all."""
    splits = dataset.splits
    scale: Scale = {}
    for name, frames_NTD in splits.train.features.items():
        frames = frames_NTD[_mask(splits.train, name)].astype(np.float64)
        std_D = frames.std(axis=0)
        scale[name] = frames.mean(axis=0), np.where(std_D > 1e-6, std_D, 1.0)
    parts = [_tensors(part, scale, encoder) for part in (splits.train, splits.valid, dataset.test)]
    return Tensors(*parts, splits.scheme)


def _tensors(split: Split, scale: Scale, encoder: str) -> SplitTensors:
    features = {}
    for name, (mean_D, std_D) in scale.items():
        array = (split.features[name] - mean_D) / std_D * _mask(split, name)[:, :, None]
        if encoder == "mean_mlp":
            array = array.sum(axis=1) / np.maximum(split.lengths[name], 1)[:, None]
        features[name] = torch.tensor(array, dtype=torch.float32)
    lengths = {name: torch.tensor(split.lengths[name]) for name in scale}
    return SplitTensors(features, lengths, torch.tensor(split.labels))


def _mask(split: Split, name: str) -> np.ndarray:
    mask_NT: np.ndarray = np.arange(split.features[name].shape[1]) < split.lengths[name][:, None]
    return mask_NT


class MeanMlp(nn.Sequential):
    """Two ReLU layers on the mean of the frames, which is in the data already."""

    def __init__(self, features: int, width: int, dropout: float) -> None:
        layers = nn.Linear(features, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()
        super().__init__(*layers, nn.Dropout(dropout))

    def forward(self, mean_BD: Tensor, lengths_B: Tensor) -> Tensor:
        return super().forward(mean_BD)


class Lstm(nn.Module):
    """The state of an LSTM after the last valid frame, zeros if there is none."""

    def __init__(self, features: int, width: int, dropout: float) -> None:
        super().__init__()
        self.lstm = nn.LSTM(features, width, batch_first=True)
        self.dropout = nn.Dropout(dropout)

    def forward(self, frames_BTD: Tensor, lengths_B: Tensor) -> Tensor:
        longest = max(int(lengths_B.max()), 1)
        states_BTW, _ = self.lstm(frames_BTD[:, :longest])
        last_B = (lengths_B - 1).clamp(min=0)
        state_BW = states_BTW[torch.arange(len(last_B)), last_B] * (lengths_B > 0)[:, None]
        return self.dropout(state_BW)


class PlainModel(nn.Module):
    """Late fusion: encode and project each modality, concatenate, read by a head."""

    def __init__(self, recipe: Recipe, features: Mapping[str, int]) -> None:
        super().__init__()
        build = {"mean_mlp": MeanMlp, "lstm": Lstm}[recipe.encoder]
        width, projection, head = recipe.width, recipe.projection, recipe.head
        self.encoders = nn.ModuleDict(
            {name: build(size, width, recipe.dropout) for name, size in features.items()}
        )
        self.projections = nn.ModuleDict({name: nn.Linear(width, projection) for name in features})
        layers = nn.Linear(len(features) * projection, head), nn.ReLU()
        self.head = nn.Sequential(*layers, nn.Dropout(recipe.head_dropout), nn.Linear(head, 1))

    def forward(self, batch: SplitTensors) -> Tensor:
        """Predictions [B]."""
        projected = [
            self.projections[name](encoder(batch.features[name], batch.lengths[name]))
            for name, encoder in self.encoders.items()
        ]
        prediction_B: Tensor = self.head(torch.cat(projected, dim=1)).squeeze(1)
        return prediction_B


def train_plain(
    recipe: Recipe, tensors: Tensors, seed: int, on_epoch: OnEpoch | None = None
) -> tuple[Metrics, PlainModel]:
    """Train with early stopping on the validation MAE; test is not looked at.

    Returns:
        The validation metrics of the best epoch (empty if no epoch had an MAE), and the model as
        it was then.
    """
    torch.manual_seed(seed)
    train, rows = tensors.train, len(tensors.train.labels)
    model = PlainModel(recipe, {name: array.shape[-1] for name, array in train.features.items()})
    optimiser = torch.optim.Adam(
        model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True
    )

    def train_epoch() -> None:
        shuffled = train.rows(torch.randperm(rows))
        for start in range(0, rows, recipe.batch_size):
            batch = shuffled.rows(slice(start, start + recipe.batch_size))
            loss = nn.functional.l1_loss(model(batch), batch.labels)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()

    def validate() -> Metrics:
        return metrics_on(tensors.valid, model, tensors.scheme)

    return stop_early(model, recipe, train_epoch, validate, on_epoch), model


def stop_early(
    model: nn.Module,
    recipe: Recipe,
    train_epoch: Callable[[], None],
    validate: Callable[[], Metrics],
    on_epoch: OnEpoch | None,
) -> Metrics:
    """Train until the validation MAE has not improved for `patience` epochs; restore the best.

    Returns:
        The validation metrics of the best epoch; empty if no epoch had an MAE.
    """
    best: Metrics = {}
    best_epoch, best_state = 0, model.state_dict()
    for epoch in range(1, recipe.epochs + 1):
        model.train()
        train_epoch()
        metrics = validate()
        if on_epoch is not None:
            on_epoch(epoch, metrics)
        if "mae" in metrics and (not best or metrics["mae"] < best["mae"]):
            best, best_epoch = metrics, epoch
            best_state = {name: value.clone() for name, value in model.state_dict().items()}
        if epoch - best_epoch >= recipe.patience:
            break
    model.load_state_dict(best_state)
    return best


@torch.no_grad()
def metrics_on(split: SplitTensors, model: PlainModel, scheme: str) -> Metrics:
    """Every metric of a model on a split."""
    model.eval()
    return score_predictions(scheme, model(split).numpy(), split.labels.numpy())
