"""Training: every configuration trains, the best epoch is restored, and its curves are returned."""

import itertools
import math
from dataclasses import replace as dataclass_replace

import numpy as np
import pytest
import torch

from msa_core.config.fields import MODALITIES
from msa_core.config.kinds import kinds_of
from msa_core.config.planted import PlantedConfig
from msa_core.config.schema import Config
from msa_core.data.planted import generate_planted
from msa_core.metrics import SCHEMES
from msa_core.model import build_model, fresh_parameters
from msa_core.modules.parts.dropout import Dropout
from msa_core.modules.unimodal_labels import LabelGenerator
from msa_core.tensors.random_streams import Streams
from msa_core.training import groups
from msa_core.training import member_run as runs
from msa_core.training.evaluation import evaluate
from msa_core.vectorised import member_labels, stack
from spaces.core import Member
from spaces.fields.paths import replace
from tests.cases.planted_theory import expected_r2
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
SHARED_TEXT_AUDIO = {"loss.alignment.text_audio.mode": "shared"}
ANNOTATED = {"loss.unimodal.kind": "fixed", "loss.unimodal.target": "annotated"}


@pytest.fixture(scope="module")
def data():
    return generate_planted(PlantedConfig(train=96, valid=64, test=64, steps=3, width=6))


def train(data, changes=(), seed=0, on_epoch=None):
    (result,) = train_pack(
        [Member(replace(SMALL, dict(changes)), seed)], data.splits, on_epoch=on_epoch
    )
    return result


def corr(data, changes, seeds=(0, 1)):
    """Mean correlation on test of a network large enough to learn."""
    large = {**{f"model.{name}.width": 16 for name in MODALITIES}, "model.projection.width": 8}
    steps = {"model.fusion.width": 32, "train.epochs": 15, "train.learning_rate": 5e-3}
    config = replace(Config(), {**large, **steps, **changes})
    results = train_pack([Member(config, seed) for seed in seeds], data.splits)
    return np.mean([evaluate(result, data.test).metrics["corr"] for result in results])


# What trains.


@pytest.mark.parametrize(
    ("encoder", "fusion"),
    [*((kind, "concat") for kind in kinds_of(Config, "encoder")),
     *(("gru", kind) for kind in kinds_of(Config, "fusion")),
     ("mean_mlp", "sum"), ("mean_mlp", "tfn")],
)  # fmt: skip
@pytest.mark.parametrize("unimodal", ["none", "fixed", "ulgm"])
def test_every_encoder_fusion_and_kind_of_unimodal_head_trains(data, encoder, fusion, unimodal):
    encoders = {f"model.{name}.encoder": encoder for name in MODALITIES}
    kinds = {"model.fusion.kind": fusion, "loss.unimodal.kind": unimodal}
    result = train(data, {**encoders, **kinds, **SHARED_TEXT_AUDIO})
    assert (result.status, result.reason, result.epochs) == ("complete", "", 2)
    heads = 0 if unimodal == "none" else 3
    terms = [name for name in result.curve if name.startswith("train.unimodal.")]
    assert sum(name.endswith(".weighted") for name in terms) == heads
    assert "train.alignment.text_audio" in result.curve
    assert result.seconds > 0


@pytest.mark.parametrize("size", [1, 2, 3])
def test_one_two_and_three_modalities_train(data, size):
    for used in itertools.combinations(MODALITIES, size):
        changes = {f"model.{name}.use": name in used for name in MODALITIES}
        result = train(data, {**changes, "train.epochs": 1, "loss.unimodal.kind": "fixed"})
        assert result.status == "complete"
        assert set(result.trained.features) == set(used)
        parts = {name.split(".")[1] for name in result.trained.state if "encoders" in name}
        assert parts == set(used)


def test_annotated_heads_learn_other_labels_than_multimodal_ones(data):
    annotated, multimodal = train(data, ANNOTATED), train(data, {"loss.unimodal.kind": "fixed"})
    for name in MODALITIES:
        term = f"train.unimodal.{name}"
        assert annotated.curve[term] != multimodal.curve[term]
    # Audio's own label is what audio can know; the multimodal one is not.
    term = "train.unimodal.audio"
    assert annotated.curve[term][-1] < multimodal.curve[term][-1]


def test_parameters_start_uniform_within_the_default_range_of_each_layer():
    config = replace(SMALL, {"model.text.encoder": "lstm"})
    features = dict.fromkeys(MODALITIES, 6)
    parameters = fresh_parameters(build_model(config, features), Streams(0))
    fan_in = {"encoders.text.lstm": 8, "encoders.audio.first": 6, "encoders.audio.second": 8,
              "projections.text": 8, "head.hidden": 12, "head.output": 8}  # fmt: skip
    for name, parameter in parameters.items():
        for layer in [layer for layer in fan_in if name.startswith(layer)]:
            bound = fan_in[layer] ** -0.5
            assert parameter.abs().max().item() <= bound
            if parameter.numel() > 20:
                assert parameter.abs().max().item() > 0.8 * bound
                assert abs(parameter.mean().item()) < 0.4 * bound


def test_the_network_itself_has_no_storage_and_names_every_parameter():
    config = replace(SMALL, {"model.text.encoder": "lstm", "loss.unimodal.kind": "fixed"})
    model = build_model(config, dict.fromkeys(MODALITIES, 6))
    assert all(parameter.is_meta for parameter in model.parameters())
    shapes = {name: parameter.shape for name, parameter in model.named_parameters()}
    drawn = fresh_parameters(model, Streams(0))
    assert {name: parameter.shape for name, parameter in drawn.items()} == shapes


@pytest.mark.usefixtures("nothing_recorded")
def test_every_step_drops_in_training_with_masks_of_its_own(data):
    masks = []

    def watch(module, inputs, output):
        if isinstance(module, Dropout) and module.training:
            assert module.drawn.shape == (32, 8)
            masks.append(torch._C._functorch.get_unwrapped(module.drawn)[0].clone())

    hook = torch.nn.modules.module.register_module_forward_hook(watch)
    try:
        train(data, {"train.epochs": 3})
    finally:
        hook.remove()
    # One dropout per encoder and one of the head; three steps of 32 rows per epoch.
    assert len(masks) == 4 * 3 * 3
    assert len({mask.numpy().tobytes() for mask in masks}) == 4 * 3 * 3
    dropped = torch.cat(masks) == 0
    assert 0.05 < dropped.float().mean().item() < 0.15
    assert torch.cat(masks)[~dropped].unique().item() == pytest.approx(1 / 0.9)


def test_weight_decay_makes_smaller_weights(data):
    def size(result):
        return sum(value.square().sum().item() for value in result.trained.state.values())

    assert size(train(data, {"train.weight_decay": 1.0})) < size(train(data))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {f"model.{name}.encoder": "lstm" for name in MODALITIES},
        {"model.text.encoder": "lstm", "loss.unimodal.kind": "ulgm", "model.fusion.kind": "tfn"},
        {**SHARED_TEXT_AUDIO, **ANNOTATED, "model.vision.use": False},
    ],
)
def test_together_and_in_turn_the_numbers_are_the_same_up_to_rounding(data, monkeypatch, changes):
    members = [
        Member(
            replace(
                SMALL,
                {
                    **changes,
                    "train.epochs": 3,
                    "train.learning_rate": rate,
                    "train.weight_decay": decay,
                    "model.audio.dropout": dropout,
                },
            ),
            seed,
        )
        for seed, (rate, decay, dropout) in enumerate([(0.01, 0, 0), (0.002, 0.1, 0.5)])
    ]
    ways = []
    for reason in ("", "for the test"):
        monkeypatch.setattr(
            groups, "sequential_reason", lambda config, device, reason=reason: reason
        )
        ways.append(train_pack(members, data.splits))
    assert [[result.company for result in way] for way in ways] == [[2, 2], [1, 1]]
    for together, alone in zip(*ways, strict=True):
        assert (together.status, alone.status) == ("complete", "complete")
        assert set(together.curve) == set(alone.curve)
        for name in [name for name in alone.curve if name.startswith("train.")]:
            assert together.curve[name] == pytest.approx(alone.curve[name], rel=1e-4, abs=1e-6)
        assert together.valid["mae"] == pytest.approx(alone.valid["mae"], rel=1e-4)


@pytest.mark.parametrize(("scheme", "bound"), [("mosi", 3.0), ("sims", 1.0)])
def test_generated_labels_keep_to_the_bound_of_the_label_scheme(data, monkeypatch, scheme, bound):
    bounds = set()

    class Watched(LabelGenerator):
        def update(self, *arguments):
            bounds.add(self.bound)
            super().update(*arguments)

    monkeypatch.setattr(member_labels, "LabelGenerator", Watched)
    member = Member(replace(SMALL, {"loss.unimodal.kind": "ulgm"}), 0)
    train_pack([member], dataclass_replace(data.splits, scheme=scheme))
    assert bounds == {bound}


# The best epoch.


@pytest.mark.parametrize("monitor", ["mae", "corr", "acc7"])
def test_early_stopping_restores_the_best_epoch(data, monitor):
    result = train(data, {"train.epochs": 40, "train.patience": 3, "train.monitor": monitor})
    curve = result.curve[f"valid.{monitor}"]
    best = max(curve) if SCHEMES["mosi"][monitor].higher_is_better else min(curve)
    assert result.status == "complete"
    assert result.best_epoch == curve.index(best) + 1  # The first of equal ones.
    assert result.epochs == min(result.best_epoch + 3, 40) < 40
    assert result.valid == {
        name: result.curve[f"valid.{name}"][result.best_epoch - 1] for name in result.valid
    }
    again = evaluate(result, data.splits.valid)
    assert again.metrics == result.valid


@pytest.mark.parametrize(
    ("monitor", "series"), [("mae", [3, 1, 1, 2, 1]), ("acc7", [0.1, 0.5, 0.5, 0.2, 0.5])]
)
def test_the_first_of_equal_epochs_is_the_best(data, monkeypatch, monitor, series):
    values = iter(series)
    monkeypatch.setattr(runs, "score_predictions", lambda *_: {monitor: next(values)})
    result = train(data, {"train.epochs": 9, "train.patience": 3, "train.monitor": monitor})
    assert (result.best_epoch, result.epochs) == (2, 5)
    assert result.valid == {monitor: series[1]}


def test_without_early_stopping_all_epochs_are_trained(data):
    result = train(data, {"train.epochs": 5, "train.patience": 100})
    assert result.epochs == 5 == len(result.curve["train.loss"])


def test_the_restored_state_is_a_copy_that_later_epochs_leave_alone(data):
    options = {"train.patience": 100, "train.learning_rate": 0.05}
    long = train(data, {**options, "train.epochs": 12})
    assert long.best_epoch < 12
    short = train(data, {**options, "train.epochs": long.best_epoch})
    for name, value in short.trained.state.items():
        assert torch.equal(value, long.trained.state[name])
        assert value.device.type == "cpu"
        assert not value.requires_grad


# The curves.


@pytest.mark.parametrize("kind", ["none", "fixed", "ulgm"])
def test_all_curves_are_as_long_as_the_training(data, kind):
    result = train(data, {"loss.unimodal.kind": kind, "train.epochs": 4, **SHARED_TEXT_AUDIO})
    assert {len(values) for values in result.curve.values()} == {4}
    assert all(math.isfinite(value) for values in result.curve.values() for value in values)


def test_the_loss_of_a_curve_is_the_sum_of_its_weighted_terms(data):
    weights = {"loss.alignment.text_audio.weight": 3.0, "loss.unimodal.text.weight": 0.5}
    result = train(data, {"loss.unimodal.kind": "fixed", **SHARED_TEXT_AUDIO, **weights})
    curve = {name: np.array(values) for name, values in result.curve.items()}
    weighted = [values for name, values in curve.items() if name.endswith(".weighted")]
    np.testing.assert_allclose(sum(weighted), curve["train.loss"], rtol=1e-5)
    for term, weight in (("task", 1.0), ("alignment.text_audio", 3.0), ("unimodal.text", 0.5)):
        np.testing.assert_allclose(
            curve[f"train.{term}.weighted"], weight * curve[f"train.{term}"], rtol=1e-5
        )


def test_the_loss_of_an_epoch_is_the_mean_over_its_utterances(data, monkeypatch):
    steps = []
    before = stack.Stack._take_step

    def watch(pack, epoch, move, rows_KB, *rest, **how):
        result = before(pack, epoch, move, rows_KB, *rest, **how)
        place = pack._step.names[move].index("train.task")
        steps.append((result.values[0, place].item(), rows_KB.shape[1]))
        return result

    monkeypatch.setattr(stack.Stack, "_take_step", watch)
    result = train(data, {"train.epochs": 1, "train.batch_size": 36})
    assert [rows for _, rows in steps] == [36, 36, 24]
    expected = sum(loss * rows for loss, rows in steps) / 96
    assert result.curve["train.task"] == [pytest.approx(expected)]


def test_a_metric_that_is_undefined_in_some_epochs_is_nan_there(data, monkeypatch):
    calls = itertools.count(1)

    def patchy(*arguments):
        defined = training_score(*arguments)
        return {k: v for k, v in defined.items() if k != "corr" or next(calls) in (2, 4)}

    training_score = runs.score_predictions
    monkeypatch.setattr(runs, "score_predictions", patchy)
    result = train(data, {"train.epochs": 5, "train.monitor": "corr"})
    assert {len(values) for values in result.curve.values()} == {5}
    undefined = [math.isnan(value) for value in result.curve["valid.corr"]]
    assert undefined == [True, False, True, False, True]
    assert result.best_epoch in (2, 4)


# What is learned.


def test_text_is_worth_what_the_data_was_given():
    data = generate_planted(PlantedConfig(train=600, valid=200, test=400, steps=4, width=8))
    tensor = {"model.fusion.kind": "tfn"}
    full, without_text = corr(data, tensor), corr(data, {**tensor, "model.text.use": False})
    assert full > without_text + 0.1
    assert without_text < math.sqrt(expected_r2(PlantedConfig(), ("audio", "vision"), True)) + 0.05


def test_the_tensor_product_reads_the_synergy():
    recipe = PlantedConfig(train=600, valid=200, test=400, steps=4, width=8,
                           shared=0.15, text_private=0.15, synergy=0.6)  # fmt: skip
    additive, best = (math.sqrt(expected_r2(recipe, MODALITIES, kind)) for kind in (False, True))
    found = corr(generate_planted(recipe), {"model.fusion.kind": "tfn"}, seeds=(0,))
    assert additive + 0.25 < found < best + 0.03


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here")
@pytest.mark.parametrize("encoder", kinds_of(Config, "encoder"))
def test_a_gpu_trains_and_gives_the_same_numbers_twice(data, encoder):
    encoders = {f"model.{name}.encoder": encoder for name in MODALITIES}
    member = Member(replace(SMALL, {**encoders, "loss.unimodal.kind": "ulgm"}), 0)
    (first,), (second,) = (train_pack([member], data.splits, device="cuda") for _ in range(2))
    assert (first.status, first.reason) == ("complete", "")
    assert first.curve == second.curve
    found = evaluate(first, data.test, device="cuda")
    np.testing.assert_allclose(found.predictions, evaluate(first, data.test).predictions, atol=1e-4)
