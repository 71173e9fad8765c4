"""How trainings end: complete, pruned, failed; every end is said, and none spoils another."""

import gc
import itertools
import math
import weakref
from dataclasses import replace as dataclass_replace

import numpy as np
import pytest
import torch

from msa_core.config.fields import MODALITIES
from msa_core.config.kinds import options_class
from msa_core.config.planted import PlantedConfig
from msa_core.config.schema import Config
from msa_core.data.planted import generate_planted
from msa_core.metrics import score_predictions
from msa_core.training import member_run as runs
from msa_core.vectorised import stack
from spaces.core import Member
from spaces.fields.paths import replace
from tests.cases.train_pack import train_pack

SMALL = replace(
    Config(),
    {
        **{f"model.{name}.width": 8 for name in MODALITIES},
        "model.projection.width": 4,
        "model.fusion.width": 8,
        "loss.unimodal.width": 4,
        "train.learning_rate": 0.01,
        "train.epochs": 2,
    },
)


@pytest.fixture(scope="module")
def data():
    return generate_planted(PlantedConfig(train=96, valid=64, test=2, steps=3, width=6))


def train(data, changes=(), on_epoch=None):
    member = Member(replace(SMALL, dict(changes)), 0)
    (result,) = train_pack([member], data.splits, on_epoch=on_epoch)
    return result


def test_a_monitor_that_is_never_defined_is_said_to_be_so(data):
    nothing = {name: np.zeros_like(array) for name, array in data.splits.train.features.items()}
    blind = dataclass_replace(
        data.splits,
        train=dataclass_replace(data.splits.train, features=nothing),
        valid=dataclass_replace(
            data.splits.valid,
            features={name: array * 0 for name, array in data.splits.valid.features.items()},
        ),
    )
    for monitor, status in (("mae", "complete"), ("corr", "failed")):
        (result,) = train_pack([Member(replace(SMALL, {"train.monitor": monitor}), 0)], blind)
        assert result.status == status
        assert "corr" not in result.valid
    assert result.reason == "valid.corr was undefined in every epoch"
    assert result.trained is None
    assert result.best_epoch == 0


def test_a_member_stopped_by_on_epoch_is_pruned_and_keeps_its_curve(data):
    whole = train(data, {"train.epochs": 6})
    stopped = train(data, {"train.epochs": 6}, on_epoch=lambda epoch, _: [0] if epoch == 3 else [])
    assert (stopped.status, stopped.reason) == ("pruned", "stopped after epoch 3")
    assert stopped.epochs == 3
    assert stopped.curve == {name: values[:3] for name, values in whole.curve.items()}
    assert stopped.valid["mae"] == min(stopped.curve["valid.mae"])


def test_on_epoch_sees_the_validation_metrics_of_every_epoch_and_member(data):
    seen = {0: [], 1: []}

    def watch(epoch, metrics):
        for place, values in metrics.items():
            seen[place].append((epoch, values["mae"]))
        return ()

    members = [Member(replace(SMALL, {"train.epochs": epochs}), 0) for epochs in (3, 2)]
    results = train_pack(members, data.splits, on_epoch=watch)
    for place, result in enumerate(results):
        assert seen[place] == list(enumerate(result.curve["valid.mae"], start=1))
        assert result.status == "complete"


def test_on_epoch_stops_the_member_it_names_and_no_other(data):
    members = [Member(replace(SMALL, {"train.epochs": 3}), seed) for seed in range(3)]
    results = train_pack(members, data.splits, on_epoch=lambda epoch, metrics: {1})
    assert [result.status for result in results] == ["complete", "pruned", "complete"]
    assert [result.epochs for result in results] == [3, 1, 3]


def test_a_stop_after_the_last_epoch_stops_nothing(data):
    result = train(data, {"train.epochs": 2}, on_epoch=lambda epoch, _: [0] if epoch == 2 else [])
    assert result.status == "complete"


def test_a_member_pruned_before_any_defined_epoch_has_no_model(data, monkeypatch):
    monkeypatch.setattr(runs, "score_predictions", lambda *_: {})
    result = train(data, on_epoch=lambda *_: [0])
    assert result.status == "pruned"
    assert result.trained is None


def test_a_member_that_raises_is_failed_with_its_reason(data):
    without = dataclass_replace(
        data.splits, train=dataclass_replace(data.splits.train, unimodal_labels={})
    )
    annotated = {"loss.unimodal.kind": "fixed", "loss.unimodal.target": "annotated"}
    (result,) = train_pack([Member(replace(SMALL, annotated), 0)], without)
    assert result.status == "failed"
    assert result.reason == "KeyError: 'text'"
    assert (result.trained, result.epochs, result.best_epoch) == (None, 0, 0)


def test_a_member_that_cannot_be_scored_fails_alone(data, monkeypatch):
    calls = itertools.count(1)

    def fragile(*arguments):
        if next(calls) == 2:
            raise ArithmeticError("planted")
        return score_predictions(*arguments)

    members = [Member(SMALL, seed) for seed in range(3)]
    healthy = train_pack(members, data.splits)
    monkeypatch.setattr(runs, "score_predictions", fragile)
    results = train_pack(members, data.splits)
    assert [result.status for result in results] == ["complete", "failed", "complete"]
    assert results[1].reason == "ArithmeticError: planted"
    assert [results[place].curve for place in (0, 2)] == [healthy[place].curve for place in (0, 2)]


def test_a_pack_that_did_not_fit_is_gone_before_its_halves_are_built(data, monkeypatch):
    """They need its memory, and the best epochs that are kept must not hold it."""
    whole, alive = [], []
    build, train_epoch = stack.Stack.__init__, stack.Stack.train_epoch

    def watch(pack, *arguments, **options):
        gc.collect()
        alive.append(any(reference() is not None for reference in whole))
        build(pack, *arguments, **options)
        if not whole:
            whole.extend(weakref.ref(held) for held in (pack, pack.parameters))

    def short(pack, epoch):
        if epoch == 2 and pack.size > 1:
            raise torch.OutOfMemoryError("not enough memory")
        return train_epoch(pack, epoch)

    monkeypatch.setattr(stack.Stack, "__init__", watch)
    monkeypatch.setattr(stack.Stack, "train_epoch", short)
    results = train_pack([Member(SMALL, seed) for seed in range(2)], data.splits)
    assert [result.status for result in results] == ["complete", "complete"]
    assert alive == [False, False, False]


def test_a_member_whose_numbers_overflow_is_failed_with_its_reason(data):
    huge = {name: array * np.float32(1e20) for name, array in data.splits.train.features.items()}
    splits = dataclass_replace(
        data.splits, train=dataclass_replace(data.splits.train, features=huge)
    )
    changes = {"features.standardise": False, "model.fusion.kind": "tfn"}
    (result,) = train_pack([Member(replace(SMALL, changes), 0)], splits)
    assert (result.status, result.reason) == ("failed", "the loss is not finite in epoch 1")
    assert result.trained is None
    assert {len(values) for values in result.curve.values()} == {1}


@pytest.mark.usefixtures("nothing_recorded")
def test_weights_that_turn_nan_in_the_last_step_are_a_failure(data, monkeypatch):
    """The loss is finite to the end; its last gradient is not."""
    steps = itertools.count(1)

    def cusp(first, second, numbers, options):
        # The square root has no slope at 0: the value is 0, the gradient NaN.
        gap = (first - first.detach()).square().sum()
        return gap.sqrt() if next(steps) == 6 else gap

    monkeypatch.setattr(options_class(Config, "alignment", "cov"), "implementation", cusp)
    result = train(data, {"loss.alignment.text_audio.mode": "shared"})
    assert all(math.isfinite(value) for value in result.curve["train.loss"])
    assert result.status == "failed"
    assert result.reason == "the predictions on valid are not finite after epoch 2"
    assert result.trained is None
