"""What may share a step: when members train in turn instead, and what they may differ in."""

import pytest

from msa_core.config.fields import MODALITIES, PAIRS
from msa_core.config.rules import resolve_fields
from msa_core.config.schema import Config
from msa_core.vectorised.pack_key import (
    free_numbers,
    pack_key,
    sequential_kind_reason,
    sequential_reason,
)
from spaces.fields.paths import fields_of, replace

LSTM = {"model.audio.encoder": "lstm"}
TFN = {"model.fusion.kind": "tfn", "model.projection.width": 32}
SHARED = {f"loss.alignment.{pair}.mode": "shared" for pair in PAIRS}
PRIVATE = {f"loss.alignment.{pair}.mode": "private" for pair in PAIRS}


def why(changes, device="cpu"):
    return sequential_reason(replace(Config(), changes), device)


@pytest.mark.parametrize("changes", [{}, {"model.fusion.kind": "sum"}, PRIVATE])
def test_small_models_train_together(changes):
    assert why(changes) == ""


@pytest.mark.parametrize("name", MODALITIES)
def test_an_lstm_trains_in_turn_on_a_cpu_unless_it_is_switched_off(name):
    changes = {f"model.{name}.encoder": "lstm"}
    assert why(changes) == sequential_kind_reason(Config, "encoder", "lstm")
    assert why({**changes, f"model.{name}.use": False}) == ""


@pytest.mark.parametrize("name", MODALITIES)
def test_a_weight_of_more_than_a_quarter_million_entries_trains_in_turn_on_a_cpu(name):
    assert why({f"model.{name}.width": 512}) == ""  # 512 x 512 = 2**18
    wider = {f"model.{name}.width": 513}
    assert "263,169 entries" in why(wider)
    assert "262,144" in why(wider)
    assert why({**wider, f"model.{name}.use": False}) == ""


def test_a_wide_tensor_product_trains_in_turn_on_a_cpu():
    head = {"model.fusion.width": 64}
    assert f"{33**3 * 64:,} entries" in why({**TFN, **head})
    # Of two modalities, or added up, the head's weight is small.
    assert why({**TFN, **head, "model.vision.use": False}) == ""
    assert why({**TFN, **head, "model.fusion.kind": "sum"}) == ""


def test_a_wide_head_trains_in_turn_on_a_cpu():
    changes = {"model.projection.width": 128, "model.fusion.kind": "sum"}
    assert why({**changes, "model.fusion.width": 2048}) == ""  # 128 x 2048 = 2**18
    assert "262,272 entries" in why({**changes, "model.fusion.width": 2049})
    concat = {**changes, "model.fusion.kind": "concat", "model.fusion.width": 2048}
    assert "786,432 entries" in why(concat)


@pytest.mark.parametrize(
    "changes", [{}, LSTM, TFN, {"model.text.width": 513}, {"model.text.width": 4096}]
)
def test_on_a_gpu_nothing_trains_in_turn(changes):
    assert why(changes, "cuda") == ""


@pytest.mark.parametrize("changes", [{}, LSTM, TFN, {"model.text.width": 513}])
def test_members_of_one_key_train_alike(changes):
    """Whether a key packs does not hang on what its members may differ in."""
    free = {"train.learning_rate": 0.5, "model.text.dropout": 0.7, "control.placebo": "a"}
    config = replace(Config(), changes)
    other = replace(config, free)
    assert pack_key(config) == pack_key(other)
    assert sequential_reason(config, "cpu") == sequential_reason(other, "cpu")


def weights(prefix, names, value=1.0):
    return {f"loss.{prefix}.{name}.weight": value for name in names}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {}),
        (SHARED, weights("alignment", PAIRS)),
        (
            PRIVATE,
            {
                **weights("alignment", PAIRS),
                **{f"loss.alignment.{pair}.margin": 0.1 for pair in PAIRS},
            },
        ),
        (
            {**PRIVATE, "model.vision.use": False, "loss.alignment.text_audio.margin": 3},
            {"loss.alignment.text_audio.weight": 1.0, "loss.alignment.text_audio.margin": 3.0},
        ),
        (
            {"loss.alignment.text_audio.mode": "shared", "loss.alignment.text_audio.weight": 0},
            {"loss.alignment.text_audio.weight": 0.0},
        ),
        ({"loss.unimodal.kind": "fixed"}, weights("unimodal", MODALITIES)),
        (
            {"loss.unimodal.kind": "ulgm", "model.text.use": False,
             "loss.unimodal.audio.weight": 2},
            {"loss.unimodal.audio.weight": 2.0, "loss.unimodal.vision.weight": 1.0},
        ),
        ({"loss.unimodal.text.weight": 9, "loss.alignment.text_audio.margin": 9}, {}),
    ],
    ids=["none", "shared", "private", "two modalities", "weight 0", "heads", "ulgm", "inactive"],
)  # fmt: skip
def test_the_free_numbers_are_the_active_ones_of_the_loss(changes, expected):
    config = replace(Config(), changes)
    found = free_numbers(config)
    assert found == expected
    assert all(type(value) is float for value in found.values())
    active = resolve_fields(config)
    assert set(found) == {
        path
        for path, (info, _) in fields_of(Config).items()
        if path.startswith("loss.") and info.varies and path in active
    }
