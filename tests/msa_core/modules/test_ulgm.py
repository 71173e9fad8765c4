"""Method 10, generated unimodal labels inside a training: what is known of its curves.

The rule itself is in `test_10_ulgm.py`.
"""

import numpy as np
import pytest

from msa_core.config.fields import MODALITIES
from msa_core.config.planted import PlantedConfig
from msa_core.config.schema import Config
from msa_core.data.planted import generate_planted
from spaces.core import Member
from spaces.fields.declaration import ConfigError
from spaces.fields.paths import replace
from tests.cases.train_pack import train_pack

RECIPE = PlantedConfig(train=256, valid=64, test=2, steps=3, width=6)
BASE = replace(
    Config(),
    {
        **{f"model.{name}.width": 16 for name in MODALITIES},
        "model.projection.width": 8,
        "model.fusion.width": 16,
        "loss.unimodal.kind": "ulgm",
        "loss.unimodal.width": 8,
        "train.learning_rate": 0.003,
        "train.epochs": 8,
        "train.patience": 100,
    },
)
OPTION = "loss.unimodal.ulgm"


@pytest.fixture(scope="module")
def splits():
    return generate_planted(RECIPE).splits


@pytest.fixture(scope="module")
def train(splits):
    def train(changes=(), data=splits):
        (result,) = train_pack([Member(replace(BASE, dict(changes)), 0)], data)
        assert result.status == "complete", result.reason
        return result

    return train


@pytest.fixture(scope="module")
def curve(train):
    return train().curve


@pytest.mark.parametrize("name", MODALITIES)
def test_the_first_epoch_leaves_the_labels_and_no_unimodal_loss(curve, splits, name):
    log = {what: curve[f"train.unimodal.{name}.{what}"]
           for what in ("clamp_rate", "mean_weight", "label_corr")}  # fmt: skip
    assert log["clamp_rate"][0] == log["mean_weight"][0] == 0.0
    assert curve[f"train.unimodal.{name}"][0] == 0.0
    true = splits.train.unimodal_labels[name]
    of_multimodal = np.corrcoef(splits.train.labels, true)[0, 1]
    assert log["label_corr"][0] == pytest.approx(of_multimodal, abs=1e-6)


@pytest.mark.parametrize("name", MODALITIES)
def test_from_the_second_epoch_on_labels_move_and_some_proposals_hit_the_bound(curve, name):
    assert all(0 < rate < 0.6 for rate in curve[f"train.unimodal.{name}.clamp_rate"][1:])
    assert all(0 < mean < 1 for mean in curve[f"train.unimodal.{name}.mean_weight"][1:])
    assert len(set(curve[f"train.unimodal.{name}.label_corr"])) == 8


def test_generated_labels_are_no_nearer_to_the_truth_than_the_multimodal_one(curve):
    """They start as it; the first proposals take them away from the truth, later ones back."""
    for name in MODALITIES:
        corr = curve[f"train.unimodal.{name}.label_corr"]
        assert corr[1] < corr[0] - 0.02, name
        assert max(corr[1:]) < corr[0] + 0.02, name


def test_a_later_start_leaves_the_labels_until_then(train, curve):
    later = train({f"{OPTION}.start": 5}).curve
    weights = later["train.unimodal.audio.mean_weight"]
    assert weights[:4] == [0.0] * 4
    assert all(weight > 0 for weight in weights[4:])
    # Until then no head has a loss, so the rest trains as it does without heads.
    plain = train({"loss.unimodal.kind": "none"}).curve
    assert later["train.task"][:4] == plain["train.task"][:4]
    assert later["train.task"][7] != plain["train.task"][7]
    assert curve["train.task"][3] != plain["train.task"][3]


def test_constant_weights_make_the_first_epoch_that_of_fixed_heads(train):
    once = {"train.epochs": 1}
    constant = train({f"{OPTION}.weighting": "constant", **once})
    fixed = train({"loss.unimodal.kind": "fixed", **once})
    for name in MODALITIES:
        assert constant.curve[f"train.unimodal.{name}.mean_weight"] == [1.0]
        assert constant.curve[f"train.unimodal.{name}"] == pytest.approx(
            fixed.curve[f"train.unimodal.{name}"], rel=1e-6
        )


def test_data_without_unimodal_labels_has_no_correlation_with_them(train, splits):
    bare = type(splits)(
        train=_without_own_labels(splits.train), valid=splits.valid, scheme=splits.scheme
    )
    curve = train(data=bare).curve
    assert "train.unimodal.text.clamp_rate" in curve
    assert not [name for name in curve if name.endswith("label_corr")]


def _without_own_labels(split):
    return type(split)(
        name=split.name, ids=split.ids, features=split.features, lengths=split.lengths,
        labels=split.labels,
    )  # fmt: skip


@pytest.mark.parametrize(("start", "allowed"), [(1, False), (2, True)])
def test_a_start_before_every_row_was_seen_is_refused(start, allowed):
    """In the first epoch rows not yet visited are in the centres as zeros."""
    if allowed:
        replace(BASE, {f"{OPTION}.start": start})
        return
    with pytest.raises(ConfigError, match="start"):
        replace(BASE, {f"{OPTION}.start": start})
