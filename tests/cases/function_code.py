"""Training functions as users write them, as texts; and studies of them."""

from collections.abc import Sequence
from pathlib import Path

from spaces.core import Core, SourceFile
from spaces.find_core import find_core

# Logistic regression of a class that one feature and the square of another decide.
TRAIN = '''\
"""A classifier by gradient descent."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from annotated_types import Gt, Le
from inputs import make_features


@dataclass(frozen=True)
class Config:
    learning_rate: Annotated[float, Gt(0), Le(10)] = 1.0  # step of the descent
    epochs: Annotated[int, Gt(0)] = 10
    squares: bool = True
    """squares of the features beside them"""
    penalty: Literal["none", "l2"] = "none"
    pause: float = 0.0


def load(path=None):
    rows = int(Path(path).read_text()) if path else 200
    draw = np.random.default_rng(0)

    def make_split():
        inputs = draw.normal(size=(rows, 4))
        return inputs, (inputs[:, 0] + inputs[:, 1] ** 2 > 1).astype(int)

    return {name: make_split() for name in ("train", "valid", "test")}


def train(config, run):
    inputs, labels = run.data["train"]
    inputs = make_features(inputs, config.squares)
    kept = run.checkpoint / "weights.npy"
    begin, weights = 0, np.random.normal(size=inputs.shape[1])
    if run.resumed:
        begin, *weights = np.load(kept)
        weights = np.asarray(weights)
    for epoch in range(int(begin), config.epochs):
        time.sleep(config.pause)
        errors = 1 / (1 + np.exp(-inputs @ weights)) - labels
        decay = 0.1 * weights if config.penalty == "l2" else 0.0
        weights = weights - config.learning_rate * (inputs.T @ errors / len(labels) + decay)
        np.save(kept, [epoch + 1, *weights])
        run.report(epoch, accuracy=(abs(errors) < 0.5).mean(), loss=abs(errors).mean())
    return weights, config.squares


def predict(model, inputs):
    weights, squares = model
    return 1 / (1 + np.exp(-make_features(inputs, squares) @ weights))
'''
INPUTS = """\
import numpy as np


def make_features(inputs, squares):
    return np.hstack([inputs, inputs**2 - 1] if squares else [inputs])
"""
FILES = (SourceFile("train.py", TRAIN), SourceFile("inputs.py", INPUTS))

STUDY = """\
study: gates
question: Do squares matter?
core: train.py
task: binary
arms: [{one_at_a_time: {squares: [false], penalty: [l2]}}]
search: {learning_rate: {log_uniform: [0.1, 10]}}
claims: [squares false is worse]
margin: {auroc: 0.02}
budget: {candidates: 3, tune_seeds: 2, confirm_seeds: 8}
"""


def core_of(files: Sequence[SourceFile], name: str = "train.py") -> Core:
    """Make the core of these files."""
    return find_core(name).with_plugins(files)


def write_code(folder: Path, study: str = STUDY, **texts: str) -> Path:
    """Write the classifier, or other texts by module, and its study; return the study's file."""
    for file in FILES:
        (folder / file.name).write_text(file.text, encoding="utf-8")
    for module, text in texts.items():
        (folder / f"{module}.py").write_text(text, encoding="utf-8")
    path = folder / "study.yaml"
    path.write_text(study, encoding="utf-8")
    return path
