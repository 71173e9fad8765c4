"""Method 12, the two stages of MMIM's training: known answers."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from msa_core.config.fields import MODALITIES
from msa_core.config.kinds import options_class
from msa_core.config.planted import PlantedConfig
from msa_core.config.rules import check_config
from msa_core.config.schema import Config
from msa_core.data.planted import generate_planted
from msa_core.data.prepared import PreparedSplits
from msa_core.model import build_model, fresh_parameters
from msa_core.modules.contrast.base import Contrast
from msa_core.modules.parts.stateful import StatefulModule
from msa_core.procedures.two_stage import TwoStage
from msa_core.tensors.random_streams import Streams
from spaces.core import Member
from spaces.fields.declaration import ConfigError
from spaces.fields.paths import replace
from tests.cases.train_pack import train_pack

TWO_STAGE = replace(
    Config(),
    {
        **{f"model.{name}.width": 6 for name in MODALITIES},
        "model.projection.width": 3,
        "model.fusion.width": 5,
        "procedure.kind": "two_stage",
        "loss.contrast.bound.use": True,
        "loss.contrast.bound.width": 4,
        "loss.contrast.bound.memory": 10,
        "train.batch_size": 8,
        "train.epochs": 3,
        "train.learning_rate": 0.01,
    },
)
PAIR = {"loss.alignment.text_audio.mode": "shared"}


@pytest.fixture(scope="module")
def splits():
    return PreparedSplits(
        generate_planted(PlantedConfig(train=20, valid=9, test=2, steps=2, width=4)).splits
    )


@pytest.fixture(params=["mean_mlp", "lstm"])
def trained(splits, request):
    """Trains one member, in a pack or alone."""

    def trained(changes=(), seed=0):
        own = {"model.audio.encoder": request.param, **dict(changes)}
        (result,) = train_pack([Member(replace(TWO_STAGE, own), seed)], splits)
        assert result.status == "complete", result.reason
        return result

    return trained


def moved(result, splits):
    """The parameters that are not where they started."""
    config = result.member.config
    features = {name: array.shape[2] for name, array in splits.splits.train.features.items()}
    before = fresh_parameters(build_model(config, features), Streams(result.member.seed))
    return {n for n, after in result.trained.state.items() if not torch.equal(after, before[n])}


def estimators(result):
    return {name for name in result.trained.state if name.startswith("contrasts.bound.")}


def only(stage, monkeypatch):
    """Every epoch has this pass alone."""

    class OneStage(TwoStage):
        def passes(self, epoch):
            (move,) = super().passes(epoch)[stage]
            return ((dataclasses.replace(move, counts=True),),)

    monkeypatch.setattr(options_class(Config, "procedure", "two_stage"), "implementation", OneStage)


@pytest.mark.parametrize("stage", [0, 1])
def test_the_first_pass_moves_the_estimators_alone_and_the_second_all_but_them(
    trained, splits, stage, monkeypatch
):
    only(stage, monkeypatch)
    result = trained()
    own = estimators(result)
    assert own
    assert moved(result, splits) == (own if stage == 0 else set(result.trained.state) - own)


def test_both_stages_together_move_everything(trained, splits):
    result = trained()
    assert moved(result, splits) == set(result.trained.state)


def test_the_first_pass_fits_the_bound(trained, monkeypatch):
    """Its estimators' own term falls while what they measure stands still."""
    only(0, monkeypatch)
    still = {f"model.{name}.dropout": 0.0 for name in MODALITIES}
    losses = trained({**still, "train.batch_size": 20, "train.epochs": 8}).curve[
        "train.contrast.bound.fit"
    ]
    assert losses == sorted(losses, reverse=True)


def test_the_loss_is_that_of_the_second_pass(trained):
    curve = trained(PAIR).curve
    terms = [name for name in curve if name.endswith(".weighted")]
    assert sorted(terms) == [
        "train.alignment.text_audio.weighted",
        "train.contrast.bound.weighted",
        "train.task.weighted",
    ]
    total = np.sum([curve[name] for name in terms], axis=0)
    np.testing.assert_allclose(curve["train.loss"], total, rtol=1e-5)


def test_the_first_pass_logs_its_own_term_and_nothing_of_another(trained):
    """Also not what a term of the second pass logs beside itself, such as the noise floor."""
    curve = trained(PAIR).curve
    assert "train.alignment.text_audio.floor" in curve
    assert sorted(name for name in curve if name.endswith(".fit")) == [
        "train.contrast.bound.fit",
        "train.contrast.bound.weighted.fit",
        "train.loss.fit",
    ]
    np.testing.assert_allclose(
        curve["train.contrast.bound.weighted.fit"],
        0.1 * np.array(curve["train.contrast.bound.fit"]),
        rtol=1e-5,
    )


def test_modules_keep_nothing_of_the_first_pass(trained, monkeypatch):
    """A term that counts how often its module was asked before: 3 batches per epoch, once each."""

    class Steps(StatefulModule):
        def __init__(self):
            super().__init__(count=torch.zeros((), device="cpu"))

    class Counting(Contrast):
        def __init__(self, options, sizes):
            super().__init__(options, sizes)
            self.steps = Steps()
            self.level = nn.Parameter(torch.zeros(1))

        def initial(self, name, drawn):
            return torch.zeros_like(drawn)

        def forward(self, seen, numbers):
            count = self.steps.count
            self.steps.update_state(count=count + 1)
            return count + 0 * self.level.sum()

    monkeypatch.setattr(options_class(Config, "contrast", "bound"), "implementation", Counting)
    curve = trained({"train.batch_size": 10}).curve  # two batches of one size
    assert curve["train.contrast.bound"] == [0.5, 2.5, 4.5]
    assert curve["train.contrast.bound.fit"] == [0.0, 2.0, 4.0]


def test_both_passes_see_every_utterance_once_in_orders_of_their_own():
    procedure = TwoStage(TWO_STAGE, torch.zeros(20), 3.0)
    fit, second = procedure.passes(1)
    orders = [procedure.row_order(1, moves[0], Streams(0)) for moves in (fit, second)]
    assert all(sorted(order.tolist()) == list(range(20)) for order in orders)
    assert not torch.equal(*orders)


@pytest.mark.parametrize(
    "changes", [{"loss.contrast.bound.use": False}, {"loss.contrast.bound.weight": 0.0}]
)
def test_a_first_stage_without_estimators_is_refused(changes):
    check_config(TWO_STAGE, "mosi")
    with pytest.raises(ConfigError, match=r"loss\.contrast\.bound"):
        check_config(replace(TWO_STAGE, changes), "mosi")
