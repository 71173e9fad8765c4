"""What a training is made to miss: masks from named streams, and nothing missing elsewhere.

Shapes: N utterances of train, B of a batch, T steps, D features, M modalities.
"""

import math
from dataclasses import replace as dataclass_replace

import numpy as np
import pytest
import torch

from msa_core.config.fields import MODALITIES
from msa_core.config.planted import PlantedConfig
from msa_core.config.rules import pools_frames, resolve_fields
from msa_core.config.schema import Config
from msa_core.data.planted import generate_planted
from msa_core.data.prepared import PreparedSplits
from msa_core.model import build_model, fresh_parameters
from msa_core.modules.missing import (
    FrameMask,
    ModalityDropout,
    present_where_modalities_never_meet,
)
from msa_core.tensors.random_streams import Streams
from msa_core.training.evaluation import evaluate
from spaces.core import Member
from spaces.fields.paths import replace
from tests.cases.train_pack import train_pack

CPU = torch.device("cpu")
B, T, D = 300, 20, 4
BASE = replace(
    Config(),
    {
        **{f"model.{name}.width": 8 for name in MODALITIES},
        "model.projection.width": 4,
        "model.fusion.width": 8,
        "train.learning_rate": 0.01,
        "train.epochs": 3,
        "train.patience": 100,
    },
)


def stream(seed=0):
    return Streams(seed).generator("missing", device=CPU)


def masking(rate, rows=B, steps=T, seed=0):
    """A mask of frames with the random numbers of a first step."""
    module = FrameMask(rate).train()
    module.steps = steps
    module.drawn = module.prepare_draws(module.draw(rate, rows, stream(seed)), torch.tensor(rate))
    return module


def dropping(rate, rows=B, seed=0):
    """A modality dropout with the random numbers of a first step."""
    module = ModalityDropout(rate).train()
    module.drawn = module.prepare_draws(module.draw(rate, rows, stream(seed)), torch.tensor(rate))
    return module


@pytest.fixture
def frames():
    return torch.rand(B, T, D, generator=torch.Generator().manual_seed(1)) + 0.5


def all_there(names=MODALITIES, rows=B):
    return {name: torch.ones(rows) for name in names}


# Frames.


def test_a_frame_is_zero_or_as_it_was(frames):
    masked = masking(0.4)(frames)
    gone = masked[..., 0] == 0
    assert 0 < gone.sum() < gone.numel()
    assert not masked[gone].any()
    assert torch.equal(masked[~gone], frames[~gone])


def test_evaluation_masks_nothing(frames):
    assert masking(0.9).eval()(frames) is frames


def test_training_without_random_numbers_is_refused(frames):
    with pytest.raises(RuntimeError, match="needs random numbers"):
        FrameMask(0.5).train()(frames)
    with pytest.raises(RuntimeError, match="needs random numbers"):
        ModalityDropout(0.5).train()(all_there())


def test_a_mask_needs_to_know_how_many_frames_there_are():
    with pytest.raises(RuntimeError, match=r"set `FrameMask\.steps`"):
        FrameMask(0.5).draw(0.5, B, stream())


def test_a_batch_trimmed_to_fewer_frames_has_the_masks_of_the_whole(frames):
    module = masking(0.4)
    assert torch.equal(module(frames[:, :7]), module(frames)[:, :7])


@pytest.mark.parametrize("build", [lambda: FrameMask(0.3), lambda: ModalityDropout(0.3)])
def test_drawing_row_by_row_gives_the_same(build):
    module, at_once, by_row = build(), stream(), stream()
    module.steps = T
    rows = [module.draw(0.3, 1, by_row) for _ in range(5)]
    assert torch.equal(torch.cat(rows), module.draw(0.3, 5, at_once))


def test_utterances_and_frames_have_masks_of_their_own(frames):
    gone = masking(0.5)(frames)[..., 0] == 0
    assert len({tuple(row.tolist()) for row in gone}) == B
    assert torch.corrcoef(gone.T.float()).fill_diagonal_(0).abs().max() < 5 / math.sqrt(B)


# Modalities.


def test_with_a_rate_of_0_or_outside_training_every_modality_stays():
    for module in (dropping(0.0), dropping(0.9).eval()):
        left = module(all_there())
        assert all(torch.equal(left[name], torch.ones(B)) for name in MODALITIES)


def test_what_is_not_there_does_not_come_back():
    present = {"text": torch.arange(B).remainder(2).float(), "audio": torch.ones(B)}
    left = dropping(0.5)(present)
    assert not left["text"][::2].any()
    assert left["audio"][::2].all()  # the only one there is never taken out
    assert (left["text"] + left["audio"] >= 1).all()


def test_a_modality_is_missing_in_the_same_rows_whatever_others_the_model_reads():
    """Up to those rows where it is kept because nothing else is left."""
    three, two = dropping(0.3)(all_there()), dropping(0.3)(all_there(("text", "vision")))
    both_left = (two["text"] + two["vision"]) == 2
    assert torch.equal(three["text"][both_left], two["text"][both_left])
    assert torch.equal(three["vision"][both_left], two["vision"][both_left])


def test_the_one_that_is_kept_is_any_of_them():
    left = dropping(0.95, rows=6000)(all_there(rows=6000))
    alone = torch.stack([left[name] for name in MODALITIES]).sum(dim=0) == 1
    shares = [left[name][alone].mean().item() for name in MODALITIES]
    error = math.sqrt(2 / 9 / int(alone.sum()))
    assert shares == pytest.approx([1 / 3] * 3, abs=4 * error)


def test_text_and_audio_never_meet_vision():
    present = present_where_modalities_never_meet(torch.arange(7), list(MODALITIES))
    assert present["text"].tolist() == present["audio"].tolist() == [1, 0, 1, 0, 1, 0, 1]
    assert present["vision"].tolist() == [0, 1, 0, 1, 0, 1, 0]


# In a training.


@pytest.fixture(scope="module")
def data():
    return generate_planted(PlantedConfig(train=96, valid=64, test=64, steps=5, width=6))


@pytest.fixture(scope="module")
def train(data):
    def train(changes=(), seed=0):
        (result,) = train_pack([Member(replace(BASE, dict(changes)), seed)], data.splits)
        assert result.status == "complete", result.reason
        return result

    return train


SWITCHES = [
    {"missing.frames": 0.3},
    {"missing.frames": 0.3, "model.text.encoder": "lstm"},
    {"missing.modalities": 0.4},
    {"missing.modalities": 0.4, "model.fusion.kind": "sum"},
    {"missing.protocol": "unseen"},
]


@pytest.mark.parametrize("changes", SWITCHES)
def test_valid_and_test_are_whole(data, train, changes):
    """Predicting valid again, from outside the training, gives its metrics to the last bit."""
    result = train(changes)
    assert evaluate(result, data.splits.valid).metrics == result.valid


@pytest.mark.parametrize("changes", SWITCHES)
def test_a_switch_leaves_what_a_training_starts_from_as_it_is(train, changes):
    """So the same parameters, in the same order of batches: only what it misses differs."""
    model = {path: value for path, value in changes.items() if path.startswith("model")}
    plain, missing = train(model), train(changes)
    assert list(plain.trained.state) == list(missing.trained.state)
    assert plain.curve["train.task"][0] != missing.curve["train.task"][0]


def test_what_is_off_is_neither_built_nor_recorded():
    model = build_model(BASE, dict.fromkeys(MODALITIES, 6))
    assert not len(model.frame_masks)
    assert model.modality_dropout is None
    assert not [path for path in resolve_fields(BASE) if path.startswith("missing")]


def test_nothing_is_pooled_before_frames_go_missing(data):
    assert pools_frames(BASE, "text")
    assert not pools_frames(replace(BASE, {"missing.frames": 0.1}), "text")


def test_missing_frames_are_zeros_that_count_as_frames(data):
    """A training step reads what an evaluation would of utterances with zeros for those frames."""
    config = replace(BASE, {"missing.frames": 0.5, **{f"model.{m}.dropout": 0 for m in MODALITIES},
                            "model.fusion.dropout": 0})  # fmt: skip
    model = build_model(config, dict.fromkeys(MODALITIES, 6))
    parameters = fresh_parameters(model, Streams(0))
    whole = PreparedSplits(data.splits).train_batch(config, CPU)
    steps = {name: array.shape[1] for name, array in whole.features.items()}
    masks = {
        name: masking(0.5, len(whole), steps[name], seed).drawn
        for seed, name in enumerate(MODALITIES)
    }
    drawn = {f"frame_masks.{name}.drawn": mask for name, mask in masks.items()}
    trained = torch.func.functional_call(model.train(), {**parameters, **drawn}, (whole, {}))
    zeroed = dataclass_replace(
        whole, features={name: whole.features[name] * masks[name][..., None] for name in masks}
    )
    read = torch.func.functional_call(model.eval(), parameters, (zeroed, {}))
    assert torch.equal(trained.prediction, read.prediction)
    untouched = torch.func.functional_call(model.eval(), parameters, (whole, {}))
    assert not torch.equal(trained.prediction, untouched.prediction)


@pytest.mark.parametrize("name", ["missing.frames", "missing.modalities"])
def test_more_that_is_missing_leaves_less_to_learn(data, name):
    """Over six seeds, the error on what a training sees of train rises with the rate."""
    longer = replace(BASE, {"train.epochs": 10})
    errors = [
        np.mean([
            result.curve["train.task"][-1]
            for result in train_pack(
                [Member(replace(longer, {name: rate}), seed) for seed in range(6)], data.splits
            )
        ])
        for rate in (0.0, 0.4, 0.9)
    ]  # fmt: skip
    assert errors == sorted(errors)
