"""Method 6, modalities that never meet in training: every answer known in advance.

Shapes: N utterances of train, B of a batch.
"""

from dataclasses import replace as dataclass_replace

import numpy as np
import pytest
import torch

from msa_core.config.fields import MODALITIES
from msa_core.config.kinds import kinds_of, options_of
from msa_core.config.planted import PlantedConfig
from msa_core.config.rules import check_config
from msa_core.config.schema import Config
from msa_core.data.planted import generate_planted
from msa_core.data.prepared import PreparedSplits
from msa_core.model import build_model, fresh_parameters
from msa_core.tensors.random_streams import Streams
from msa_core.vectorised.pack_key import free_numbers
from spaces.core import Member
from spaces.fields.declaration import ConfigError
from spaces.fields.paths import replace
from tests.cases.train_pack import train_pack

CPU = torch.device("cpu")
RECIPE = PlantedConfig(train=64, valid=48, test=2, steps=4, width=6)
UNSEEN = {"missing.protocol": "unseen"}
BASE = replace(
    Config(),
    {
        **{f"model.{name}.width": 8 for name in MODALITIES},
        **{f"model.{name}.dropout": 0.0 for name in MODALITIES},
        "model.projection.width": 8,
        "model.fusion.width": 8,
        "model.fusion.dropout": 0.0,
        "train.epochs": 2,
        "train.patience": 100,
    },
)


@pytest.fixture(scope="module")
def splits():
    return generate_planted(RECIPE).splits


def with_fusion(kind):
    """A configuration with that fusion, and encoders that have frames where it reads them."""
    needs_frames = options_of(BASE, "fusion", kind).needs_frames
    encoder = "lstm" if needs_frames else "mean_mlp"
    return replace(
        BASE,
        {"model.fusion.kind": kind, **{f"model.{name}.encoder": encoder for name in MODALITIES}},
    )


def noise(shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("kind", kinds_of(Config, "fusion"))
@pytest.mark.parametrize("absent", [("vision",), ("text", "audio")])
def test_with_mu_0_for_m_the_output_and_its_gradient_are_independent_of_x_m(splits, kind, absent):
    """Bit by bit, through the whole model."""
    config = with_fusion(kind)
    model = build_model(config, dict.fromkeys(MODALITIES, RECIPE.width))
    parameters = fresh_parameters(model, Streams(0))
    whole = PreparedSplits(splits).train_batch(config, CPU)
    present = {name: torch.full((len(whole),), float(name not in absent)) for name in MODALITIES}
    found = []
    for seed in (1, 2):
        features = {
            name: noise(array.shape, seed) if name in absent else array
            for name, array in whole.features.items()
        }
        batch = dataclass_replace(whole, features=features, present=present)
        leaves = {name: value.clone().requires_grad_() for name, value in parameters.items()}
        numbers = {name: torch.tensor(value) for name, value in free_numbers(config).items()}
        model.eval()  # the fusion's own noise is not what is asked for
        output = torch.func.functional_call(model, leaves, (batch, numbers))
        gradients = torch.autograd.grad(
            output.prediction.square().sum(), list(leaves.values()), allow_unused=True
        )
        found.append((output.prediction.detach(), dict(zip(leaves, gradients, strict=True))))
    (first, first_gradients), (second, second_gradients) = found
    assert torch.equal(first, second)
    assert len(set(first.tolist())) > 1
    for name, gradient in first_gradients.items():
        if gradient is None:
            assert second_gradients[name] is None
            continue
        assert torch.equal(gradient, second_gradients[name]), name
        if any(name.startswith((f"encoders.{m}.", f"projections.{m}.")) for m in absent):
            assert not gradient.any(), name


@pytest.mark.parametrize(
    ("encoder", "fusion", "beside"),
    [
        ("mean_mlp", "concat", {}),
        ("mean_mlp", "tfn", {"missing.modalities": 0.4}),
        ("mean_mlp", "sum", {"missing.frames": 0.3}),
        ("lstm", "sum", {}),
        ("lstm", "concat", {"missing.modalities": 0.4}),
    ],
)
def test_a_training_does_not_see_what_never_meets(splits, encoder, fusion, beside):
    """Noise in place of what is hidden from it changes no number of a whole training.

    Features are not standardised here: mean and spread of train are taken of all its utterances.
    """
    changes = {
        **UNSEEN, **beside, "features.standardise": False, "loss.unimodal.kind": "fixed",
        "model.fusion.kind": fusion, **{f"model.{name}.encoder": encoder for name in MODALITIES},
    }  # fmt: skip
    member = Member(replace(BASE, changes), 0)
    rows = np.arange(RECIPE.train)
    hidden = {"text": rows % 2 == 1, "audio": rows % 2 == 1, "vision": rows % 2 == 0}
    generator = np.random.default_rng(0)
    features = {}
    for name, array in splits.train.features.items():
        features[name] = array.copy()
        features[name][hidden[name]] = generator.standard_normal(array[hidden[name]].shape)
    spoilt = dataclass_replace(splits, train=dataclass_replace(splits.train, features=features))
    first, second = (train_pack([member], each)[0] for each in (splits, spoilt))
    assert first.status == second.status == "complete"
    assert first.curve == second.curve
    for name, value in first.trained.state.items():
        assert torch.equal(value, second.trained.state[name]), name
    # All of it matters to a training that sees everything.
    seen = Member(replace(member.config, {"missing.protocol": "all"}), 0)
    first, second = (train_pack([seen], each)[0] for each in (splits, spoilt))
    assert first.curve != second.curve


@pytest.mark.parametrize("modalities", [MODALITIES, ("text", "vision"), ("audio", "vision")])
def test_modality_combinations_of_test_never_co_occur_in_training(splits, modalities):
    changes = {f"model.{name}.use": name in modalities for name in MODALITIES}
    config = replace(BASE, {**UNSEEN, **changes})
    data = PreparedSplits(splits)
    present = data.train_batch(config, CPU).present
    assert tuple(present) == modalities
    combinations = set(zip(*(there.tolist() for there in present.values()), strict=True))
    assert combinations == {
        tuple(float(name != "vision") for name in modalities),
        tuple(float(name == "vision") for name in modalities),
    }
    assert tuple([1.0] * len(modalities)) not in combinations
    assert not data.valid_batch(config, CPU).present  # all of valid is there


def test_a_unimodal_head_s_loss_is_the_mean_over_the_rows_that_have_its_modality(splits):
    config = replace(BASE, {**UNSEEN, "loss.unimodal.kind": "fixed", "train.epochs": 1,
                            "train.batch_size": RECIPE.train})  # fmt: skip
    (result,) = train_pack([Member(config, 0)], splits)
    model = build_model(config, dict.fromkeys(MODALITIES, RECIPE.width)).eval()
    whole = PreparedSplits(splits).train_batch(config, CPU)
    fresh = torch.func.functional_call(model, fresh_parameters(model, Streams(0)), (whole, {}))
    for name in MODALITIES:
        rows = slice(1, None, 2) if name == "vision" else slice(0, None, 2)
        expected = (fresh.unimodal[name] - whole.labels)[rows].abs().mean().item()
        assert result.curve[f"train.unimodal.{name}"][0] == pytest.approx(expected, rel=1e-5), name


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model.vision.use": False}, "needs vision and text or audio"),
        ({"loss.alignment.text_vision.mode": "shared"}, "never meet can't be aligned"),
        ({"loss.unimodal.kind": "ulgm"}, "compare all modalities"),
    ],
)
def test_what_asks_modalities_to_meet_is_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        check_config(replace(BASE, {**UNSEEN, **changes}), "mosi")
