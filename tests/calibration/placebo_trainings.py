"""Trainings for the calibration: a reference, its placebo, and an arm with a small true effect.

Worlds are generated, and small, so that thousands of trainings take minutes. In all of them vision
sees the label badly, so that without it a model is a little worse: by one to two standard
deviations of the paired differences, and by about what 600 utterances can tell from nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from msa_core.config.planted import PlantedConfig
from msa_core.config.schema import Config
from msa_core.data.planted import generate_planted
from msa_core.training.evaluation import evaluate
from spaces.core import Member
from spaces.fields.declaration import Value
from spaces.fields.paths import replace
from tests.cases.train_pack import train_pack

REFERENCE, PLACEBO, LESS = "reference", "placebo", "without vision"
BASE: Mapping[str, Value] = {
    "model.projection.width": 4,
    "model.text.width": 8,
    "model.audio.width": 8,
    "model.vision.width": 8,
    "train.batch_size": 64,
    "train.epochs": 12,
    "train.patience": 12,
    "train.learning_rate": 5e-3,
}
CHANGES: Mapping[str, Mapping[str, Value]] = {
    REFERENCE: {},
    PLACEBO: {"control.placebo": "salt"},
    LESS: {"model.vision.use": False},
}


@dataclass(frozen=True, kw_only=True)
class World:
    """What the trainings of one generated data set came to.

    Attributes:
        labels: Labels of the test split, [N].
        predictions: Arm -> test predictions [S, N], one row per seed.
    """

    labels: NDArray[np.float32]
    predictions: Mapping[str, NDArray[np.float32]]


def train_world(number: int, seeds: Sequence[int]) -> World:
    """Train every arm on every seed, on the generated data set of that number.

    Raises:
        RuntimeError: a training failed.
    """
    recipe = PlantedConfig(
        shared=0.9,
        text_private=0.0,
        synergy=0.0,
        noise=0.1,
        vision_error=2.5,
        train=384,
        valid=128,
        test=600,
        steps=2,
        width=4,
        seed=number,
    )
    dataset = generate_planted(recipe)
    predictions = {}
    for arm, changes in CHANGES.items():
        config = replace(Config(), {**BASE, **changes})
        results = train_pack([Member(config, seed) for seed in seeds], dataset.splits)
        failed = [result.reason for result in results if result.status != "complete"]
        if failed:
            raise RuntimeError(f"{arm}, world {number}: {failed[0]}")
        predictions[arm] = np.stack(
            [evaluate(result, dataset.test).predictions for result in results]
        )
    return World(labels=dataset.test.labels, predictions=predictions)
