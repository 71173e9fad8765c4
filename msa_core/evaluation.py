"""Evaluation: the only code that reads a test split."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from msa_core.data.batching import prepare
from msa_core.data.dataset import FloatArray, Split
from msa_core.metrics import score
from msa_core.model import Model
from msa_core.training import MemberResult, predict


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a trained member does on test.

    Attributes:
        metrics: name -> value, unrounded; an undefined metric is absent.
        predictions: float32 [N], in the order of the split.
    """

    metrics: Mapping[str, float]
    predictions: FloatArray


def evaluate(
    result: MemberResult, test: Split, *, device: torch.device | str = "cpu"
) -> Evaluation:
    """Predict the test split with the member's best epoch and score it.

    Raises:
        ValueError: the member did not complete.
    """
    if result.status != "complete" or result.trained is None:
        raise ValueError(f"only a complete member can be evaluated, this one is {result.status}")
    trained = result.trained
    with torch.device("meta"):
        model = Model(trained.config, trained.features)
    model.load_state_dict(dict(trained.state), assign=True)
    model.to(torch.device(device))
    whole = prepare(test, trained.scaler, trained.config, torch.device(device))
    predictions = predict(model, whole)
    return Evaluation(
        metrics=score(trained.scheme, predictions, test.labels), predictions=predictions
    )
