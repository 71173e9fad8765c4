"""A classifier of handwritten digits: the training function of the shipped study `digits`.

Written as a user would write it: nothing of Triptych is imported.
The images come with scikit-learn.
"""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, Le
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier

SIDE = 8  # pixels of an image's side
TRAIN, VALID = 300, 600  # images; the rest is test
SHIFTS = ((0, 1), (0, -1), (1, 0), (-1, 0))


@dataclass(frozen=True)
class Config:
    """Parts of the classifier, and how it is trained."""

    hidden: bool = True  # a hidden layer between pixels and classes
    shifts: bool = True  # training images moved by a pixel, beside the images themselves
    momentum: bool = True  # steps that go on in the direction of those before
    salt: bool = False  # other random numbers: a placebo, which can have no effect
    learning_rate: Annotated[float, Gt(0), Le(1)] = 0.05  # size of the first steps
    weight_decay: Annotated[float, Gt(0), Le(10)] = 1e-3  # weight of the squared weights
    width: Annotated[int, Ge(1), Le(512)] = 48  # units of the hidden layer
    epochs: Annotated[int, Ge(1), Le(200)] = 12


def load(path=None):
    """Return the images [N, 64] and classes [N] of each split, always the same ones."""
    images, classes = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(classes))
    parts = np.split(order, [TRAIN, TRAIN + VALID])
    return {
        name: (images[rows] / 16, classes[rows])
        for name, rows in zip(("train", "valid", "test"), parts, strict=True)
    }


def move(images, down, right):
    """Return images moved by a pixel; what enters at a side is empty."""
    padded = np.pad(images.reshape(-1, SIDE, SIDE), ((0, 0), (1, 1), (1, 1)))
    rows, columns = slice(1 - down, 1 - down + SIDE), slice(1 - right, 1 - right + SIDE)
    return padded[:, rows, columns].reshape(len(images), -1)


def train(config, run):
    """Train a network epoch by epoch."""
    images, classes = run.data["train"]
    if config.shifts:
        images = np.concatenate([images, *(move(images, *shift) for shift in SHIFTS)])
        classes = np.tile(classes, 1 + len(SHIFTS))
    model = MLPClassifier(
        hidden_layer_sizes=(config.width,) if config.hidden else (),
        solver="sgd",
        alpha=config.weight_decay,
        batch_size=32,
        learning_rate_init=config.learning_rate,
        momentum=0.9 if config.momentum else 0.0,
        random_state=run.seed + 1000 * config.salt,
    )
    valid_images, valid_classes = run.data["valid"]
    for epoch in range(config.epochs):
        model.partial_fit(images, classes, classes=np.arange(10))
        run.report(epoch, accuracy=model.score(valid_images, valid_classes))
    return model


def predict(model, images):
    """Return the probability of each class [N, 10]."""
    return model.predict_proba(images)
