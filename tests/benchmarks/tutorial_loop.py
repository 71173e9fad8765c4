"""The usual baseline: the training loop of Ray's PyTorch tutorial, on our network and data.

Where `plain_loop` does everything once that does not change, this one does it as tutorials show
it: a `Dataset` of utterances, a shuffling `DataLoader` that collates them one by one, the mean over
the valid frames inside the model at each step, Adam with its defaults, and every validation metric
reported every epoch. It is given standardised data, and no checkpoint an epoch as the tutorial has
it; both only help it. Network, loss, stopping rule and metrics are those of `plain_loop`.

Shapes as in `plain_loop`.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from plain_loop import Metrics, OnEpoch, PlainModel, Recipe, SplitTensors, Tensors, stop_early
from ray import tune
from ray.tune.search.repeater import TRIAL_INDEX
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from msa_core.metrics import score_predictions

Item = tuple[dict[str, Tensor], dict[str, Tensor], Tensor]  # features, lengths, label


class Utterances(Dataset[Item]):
    """The padded frames of one utterance an item."""

    def __init__(self, split: SplitTensors) -> None:
        self.split = split

    def __len__(self) -> int:
        return len(self.split.labels)

    def __getitem__(self, index: int) -> Item:
        features = {name: frames[index] for name, frames in self.split.features.items()}
        lengths = {name: length[index] for name, length in self.split.lengths.items()}
        return features, lengths, self.split.labels[index]


class MeanOfFrames(nn.Module):
    """The mean of the valid frames, then the layers of `plain_loop.MeanMlp`."""

    def __init__(self, mlp: nn.Module) -> None:
        super().__init__()
        self.mlp = mlp

    def forward(self, frames_BTD: Tensor, lengths_B: Tensor) -> Tensor:
        mask_BT = torch.arange(frames_BTD.shape[1]) < lengths_B[:, None]
        total_BD = (frames_BTD * mask_BT[:, :, None]).sum(dim=1)
        encoded_BW: Tensor = self.mlp(total_BD / lengths_B.clamp(min=1)[:, None], lengths_B)
        return encoded_BW


class TutorialModel(PlainModel):
    """The same network on frames; only for `mean_mlp`."""

    def __init__(self, recipe: Recipe, features: Mapping[str, int]) -> None:
        super().__init__(recipe, features)
        for name in features:
            self.encoders[name] = MeanOfFrames(self.encoders[name])


def train_tutorial(
    recipe: Recipe, tensors: Tensors, seed: int, on_epoch: OnEpoch
) -> tuple[Metrics, TutorialModel]:
    """Train with early stopping on the validation MAE; test is not looked at.

    Args:
        recipe: the training.
        tensors: with frames, as `prepare` makes them for `lstm`.
        seed: of initialisation, dropout and shuffling.
        on_epoch: called after each epoch.

    Returns:
        As `plain_loop.train_plain`.
    """
    torch.manual_seed(seed)
    loader = DataLoader(
        Utterances(tensors.train), batch_size=recipe.batch_size, shuffle=True, num_workers=0
    )
    features = tensors.train.features
    model = TutorialModel(recipe, {name: array.shape[-1] for name, array in features.items()})
    criterion = nn.L1Loss()
    optimiser = torch.optim.Adam(
        model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
    )

    def train_epoch() -> None:
        for batch in loader:
            inputs = SplitTensors(*batch)
            optimiser.zero_grad()
            loss = criterion(model(inputs), inputs.labels)
            loss.backward()
            optimiser.step()

    def validate() -> Metrics:
        return evaluate(tensors.valid, model, tensors.scheme, recipe.batch_size)

    return stop_early(model, recipe, train_epoch, validate, on_epoch), model


@torch.no_grad()
def evaluate(split: SplitTensors, model: TutorialModel, scheme: str, batch_size: int) -> Metrics:
    """Every metric of a model on a split, read in batches."""
    model.eval()
    predictions, labels = [], []
    for batch in DataLoader(Utterances(split), batch_size=batch_size, num_workers=0):
        inputs = SplitTensors(*batch)
        predictions.append(model(inputs))
        labels.append(inputs.labels)
    return score_predictions(scheme, torch.cat(predictions).numpy(), torch.cat(labels).numpy())


def tune_once(config: dict[str, Any], recipe: Recipe, tensors: Tensors) -> None:
    """A trial of Ray's `Repeater`: one configuration, with the index of the repeat as its seed."""
    drawn = {name: value for name, value in config.items() if name != TRIAL_INDEX}
    train_tutorial(replace(recipe, **drawn), tensors, config[TRIAL_INDEX], _report)


def confirm_once(config: dict[str, Any], recipe: Recipe, tensors: Tensors) -> None:
    """Train the chosen configuration on one fresh seed and read test."""
    epochs = 0

    def report(epoch: int, metrics: Metrics) -> None:
        nonlocal epochs
        epochs = epoch
        _report(epoch, metrics)

    _, model = train_tutorial(recipe, tensors, config["seed"], report)
    tested = evaluate(tensors.test, model, tensors.scheme, recipe.batch_size)
    tune.report({**{f"test_{name}": value for name, value in tested.items()}, "epochs": epochs})


def _report(epoch: int, metrics: Metrics) -> None:
    tune.report({"mae": math.inf, **metrics, "epochs": epoch})
