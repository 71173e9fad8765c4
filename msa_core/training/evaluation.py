"""Evaluation: the only code that reads a test split."""

from collections.abc import Collection, Sequence

import numpy as np
import torch

from msa_core.analysis.robustness import REPETITIONS, SHARES, RobustnessScore, robustness_curve
from msa_core.data.batching import prepare_batch
from msa_core.data.dataset import Split
from msa_core.metrics import score_predictions
from msa_core.tensors.parameters import Parameters
from msa_core.training.member_run import MemberResult
from msa_core.vectorised.network import Network
from msa_core.vectorised.pack_key import sequential_reason
from spaces.core import Evaluation, Status


def evaluate(
    result: MemberResult, test: Split, *, device: torch.device | str = "cpu"
) -> Evaluation:
    """Predict the test split with the member's best epoch and score it.

    Raises:
        ValueError: The member did not complete.
    """
    if result.status != Status.COMPLETE or result.trained is None:
        raise ValueError(f"only a complete member can be evaluated, this one is {result.status}")
    trained = result.trained
    place = torch.device(device)
    vmapped = not sequential_reason(trained.config, place.type)
    # As in training, a stack of one has a twin: the same predictions to the last bit.
    copies = 2 if vmapped else 1
    parameters = Parameters.stack([trained.state] * copies, place, transposed=vmapped)
    network = Network(trained.config, trained.features, vmapped=vmapped)
    whole = prepare_batch(test, trained.scaler, trained.config, place)
    predictions = network.predict(parameters, whole)[0]
    return Evaluation(
        metrics=score_predictions(trained.scheme, predictions, test.labels), predictions=predictions
    )


def robustness(
    result: MemberResult,
    test: Split,
    *,
    rng: np.random.Generator,
    modalities: Collection[str] | None = None,
    shares: Sequence[float] = SHARES,
    repetitions: int = REPETITIONS,
    device: torch.device | str = "cpu",
) -> tuple[RobustnessScore, ...]:
    """Score a member against the share of test frames that are missing.

    A missing frame is the mean of train where features are standardised and zeros elsewhere, as in
    a training with `missing.frames`: zero, as the model sees it.

    Args:
        result: Result of a complete member.
        test: Test split with all its frames.
        rng: Generator of the masks.
        modalities: Modalities that lose frames; None for all that the model reads.
        shares: Shares of missing frames, ascending, each in 0..1.
        repetitions: Number of draws of the masks per share.
        device: Device of the predictions.

    Returns:
        A row for each share, repetition and metric; `area_under_curve` sums a metric up.

    Raises:
        ValueError: the member did not complete; see also `robustness_curve`.
    """
    if result.trained is None:
        raise ValueError(f"only a complete member can be evaluated, this one is {result.status}")
    return robustness_curve(
        lambda split: evaluate(result, split, device=device).metrics,
        test,
        result.trained.scaler.mean,
        rng=rng,
        modalities=modalities,
        shares=shares,
        repetitions=repetitions,
    )
