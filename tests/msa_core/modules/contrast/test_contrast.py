"""Contrasts as switches of a training, and what they refuse. Their contract: `methods/`."""

import math

import pytest
import torch

from msa_core.config.fields import MODALITIES
from msa_core.config.kinds import kinds_of, module_of
from msa_core.config.planted import PlantedConfig
from msa_core.config.rules import check_config
from msa_core.config.schema import Config
from msa_core.data.planted import generate_planted
from msa_core.data.prepared import PreparedSplits
from spaces.core import Member
from spaces.fields.declaration import ConfigError
from spaces.fields.paths import fields_of, replace
from tests.cases.comparing import same_training as same
from tests.cases.train_pack import train_pack

SMALL = {
    **{f"model.{name}.width": 8 for name in MODALITIES},
    "model.projection.width": 4,
    "model.fusion.width": 8,
    "train.batch_size": 16,
    "train.epochs": 1,
}


@pytest.fixture(scope="module")
def splits():
    """Three steps an epoch, the last of 7 utterances."""
    recipe = PlantedConfig(train=39, valid=12, test=2, steps=3, width=6)
    return PreparedSplits(generate_planted(recipe).splits)


@pytest.fixture(params=kinds_of(Config, "contrast"))
def kind(request):
    return request.param


def train(splits, changes, seeds=(0,)):
    config = replace(Config(), {**SMALL, **changes})
    results = train_pack([Member(config, seed) for seed in seeds], splits)
    assert [result.status for result in results] == ["complete"] * len(seeds)
    return results


@pytest.fixture(scope="module")
def absent(splits):
    """A training that never had a contrast."""
    return train(splits, {})[0]


def test_every_contrast_states_its_formula(kind):
    assert "Formula: " in module_of(Config, "contrast", kind).__doc__


def test_every_contrast_is_a_switch_whose_weight_0_is_its_absence_after_3_steps(
    splits, kind, absent
):
    on = {f"loss.contrast.{kind}.use": True}
    (result,) = train(splits, on)
    assert math.isfinite(result.curve[f"train.contrast.{kind}"][0])
    assert not same(result, absent)
    assert same(train(splits, {**on, f"loss.contrast.{kind}.weight": 0})[0], absent)


def test_options_of_contrasts_that_are_off_change_no_bit(splits, absent):
    others = {"temperature": 0.3, "width": 5, "noise": 1.0, "dropped": 0.5, "memory": 3}
    idle = {
        path: others[path.rpartition(".")[2]]
        for path in fields_of(Config)
        if path.startswith("loss.contrast.") and path.rpartition(".")[2] in others
    }
    assert len(idle) > 10
    assert same(train(splits, idle)[0], absent)


def test_what_a_contrast_draws_and_starts_from_moves_nothing_of_the_rest(splits, absent):
    """At a negligible weight the rest of the model trains as without it."""
    kinds_that_draw = ("views", "rbc", "bound")
    changes = {f"loss.contrast.{kind}.use": True for kind in kinds_that_draw}
    weights = {f"loss.contrast.{kind}.weight": 1e-30 for kind in kinds_that_draw}
    (result,) = train(splits, {**changes, **weights})
    for name, value in absent.trained.state.items():
        torch.testing.assert_close(result.trained.state[name], value, rtol=0, atol=1e-5)


def test_views_with_members_of_any_strength_are_those_of_each_alone(splits):
    base = {**SMALL, "loss.contrast.views.use": True}
    members = [
        Member(
            replace(
                Config(),
                {**base, "loss.contrast.views.dropped": p, "loss.contrast.views.noise": s},
            ),
            0,
        )
        for p, s in ((0.0, 0.0), (0.3, 0.0), (0.3, 0.5))
    ]
    together = train_pack(members, splits)
    curves = [result.curve["train.contrast.views"] for result in together]
    assert curves[0] < curves[2]
    for member, result in zip(members, together, strict=True):
        assert same(train_pack([member], splits)[0], result)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"anchor.use": True, "model.text.use": False}, "needs 'model.text.use: true'"),
        (
            {"views.use": True, "model.audio.use": False, "model.vision.use": False},
            "views of audio and vision, and neither is used",
        ),
        *(
            (
                {f"{kind}.use": True, "model.audio.use": False, "model.vision.use": False},
                "it needs 2 modalities, but 'model.*.use' leaves text",
            )
            for kind in ("instance", "ial", "rbc", "bound")
        ),
        ({"bound.use": True, "model.text.use": False}, "set 'model.text.use: true'"),
        ({"rbc.use": True, "rbc.draws": 7}, "7, but the 3 modalities take the draws"),
    ],
)
def test_what_a_contrast_cannot_do_is_refused_with_the_reason(changes, reason):
    paths = {
        path if path.startswith("model.") else f"loss.contrast.{path}": value
        for path, value in changes.items()
    }
    with pytest.raises(ConfigError) as refused:
        check_config(replace(Config(), paths), "mosi")
    assert reason in str(refused.value)


def test_a_product_takes_any_number_of_draws_and_own_anchors_need_no_text():
    for paths in (
        {"rbc.use": True, "rbc.draws": 7, "rbc.posterior": "product"},
        {"anchor.use": True, "anchor.anchor": "own"},
    ):
        changes = {f"loss.contrast.{path}": value for path, value in paths.items()}
        without_text = {"model.text.use": "rbc.use" in paths}
        check_config(replace(Config(), {**changes, **without_text}), "mosi")
