"""Evaluation: the only code that reads a test split."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from msa_core.data.batching import prepare
from msa_core.data.dataset import FloatArray, Split
from msa_core.members import Network
from msa_core.metrics import score
from msa_core.packing import in_turn
from msa_core.parameters import Parameters
from msa_core.training import MemberResult


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
    place = torch.device(device)
    vmapped = not in_turn(trained.config, place.type)
    # As in training, a stack of one has a twin: the same predictions to the last bit.
    copies = 2 if vmapped else 1
    parameters = Parameters.stack([trained.state] * copies, place, transposed=vmapped)
    network = Network(trained.config, trained.features, vmapped=vmapped)
    whole = prepare(test, trained.scaler, trained.config, place)
    predictions = network.predict(parameters, whole)[0]
    return Evaluation(
        metrics=score(trained.scheme, predictions, test.labels), predictions=predictions
    )
