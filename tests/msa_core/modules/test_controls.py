"""Controls: what must not matter does not, and what must destroy leaves nothing.

Shapes: K members, N utterances of train, B of a batch.
"""

from dataclasses import replace as dataclass_replace

import numpy as np
import pytest
import torch

from msa_core.config.fields import LABEL_SCHEMES, MODALITIES, PAIRS
from msa_core.config.planted import PlantedConfig
from msa_core.config.schema import Config
from msa_core.data.planted import generate_planted
from msa_core.data.prepared import PreparedSplits
from msa_core.model import build_model, fresh_parameters
from msa_core.tensors.random_streams import Streams
from msa_core.vectorised.member_labels import MemberLabels
from msa_core.vectorised.pack_key import sequential_reason
from spaces.core import Member
from spaces.fields.paths import replace
from tests.cases.train_pack import train_pack

CPU = torch.device("cpu")
RECIPE = PlantedConfig(train=96, valid=64, test=2, steps=3, width=6)
BASE = replace(
    Config(),
    {
        **{f"model.{name}.width": 8 for name in MODALITIES},
        "model.projection.width": 4,
        "model.fusion.width": 8,
        "loss.unimodal.width": 4,
        "train.learning_rate": 0.01,
        "train.epochs": 3,
        "train.patience": 100,
    },
)
SHUFFLED = {"control.shuffled_labels": True}
FIXED = {"loss.unimodal.kind": "fixed"}
ANNOTATED = {**FIXED, "loss.unimodal.target": "annotated"}
ULGM = {"loss.unimodal.kind": "ulgm"}
EVERYTHING = {**ULGM, **{f"loss.alignment.{pair}.mode": "shared" for pair in PAIRS}}


@pytest.fixture(scope="module")
def splits():
    return generate_planted(RECIPE).splits


@pytest.fixture(scope="module", params=["lstm", "mean_mlp"])
def start(request):
    """On a CPU an LSTM trains in turn, and without one in a pack."""
    config = replace(BASE, {"model.text.encoder": request.param})
    assert bool(sequential_reason(config, "cpu")) == (request.param == "lstm")
    return config


def train(config, splits, seed=0):
    (result,) = train_pack([Member(config, seed)], splits)
    assert result.status == "complete", result.reason
    return result


def numbers(result):
    """All that a result says, but for parameters that nothing reads."""
    state = {n: v.tolist() for n, v in result.trained.state.items() if not n.startswith("unused")}
    ends = result.status, result.epochs, result.best_epoch, dict(result.valid)
    return ends, dict(result.curve), state


# Unused parameters.


@pytest.mark.parametrize("units", [1, 1500])
@pytest.mark.parametrize("changes", [{"train.weight_decay": 0.1}, {**EVERYTHING, **FIXED}])
def test_unused_units_are_bit_identical_to_none_in_every_number(splits, start, units, changes):
    # Widths with which a sum over all gradients is rounded otherwise if zeros are put after them.
    odd = {**{f"model.{name}.width": 12 for name in MODALITIES}, "model.projection.width": 5}
    config = replace(start, {**odd, **changes})
    both = [
        train_pack([Member(replace(config, {"control.unused": own}), seed) for seed in range(4)],
                   splits)
        for own in (0, units)
    ]  # fmt: skip
    for without, beside in zip(*both, strict=True):
        assert numbers(beside) == numbers(without)
        assert beside.trained.state["unused.weight"].shape == (units, 5)


def test_unused_units_have_a_gradient_of_0(splits, start):
    """Adam moves whatever has another one, and so nothing of them."""
    config = replace(start, {"control.unused": 5})
    result = train(config, splits)
    model = build_model(config, dict.fromkeys(MODALITIES, RECIPE.width))
    fresh = fresh_parameters(model, Streams(0))
    for name, value in result.trained.state.items():
        assert torch.equal(value, fresh[name]) == name.startswith("unused"), name


# Shuffled labels.


@pytest.fixture
def labels_of(splits):
    """The labels that members of some seeds have for all rows of train, and what moved them."""

    def labels_of(seeds, changes=(), salt="off"):
        config = replace(BASE, {**SHUFFLED, **dict(changes)})
        whole = PreparedSplits(splits).train_batch(config, CPU)
        own = MemberLabels(
            config, whole, MODALITIES, LABEL_SCHEMES["mosi"].bound,
            [Streams(seed, salt) for seed in seeds], vmapped=True,
        )  # fmt: skip
        rows = torch.arange(len(whole)).expand(len(seeds), -1)
        return own, own.batch_with_labels(whole.take(rows))

    return labels_of


def test_shuffled_labels_are_those_of_train_in_another_order_for_each_member(splits, labels_of):
    _, batch = labels_of([0, 1, 0])
    true = splits.train.labels
    for labels in batch.labels.numpy():
        np.testing.assert_array_equal(np.sort(labels), np.sort(true))
        assert (labels == true).mean() < 0.2
    assert torch.equal(batch.labels[0], batch.labels[2])
    assert not torch.equal(batch.labels[0], batch.labels[1])
    assert not torch.equal(batch.labels, labels_of([0, 1, 0], salt="sugar")[1].labels)


def test_the_unimodal_labels_of_an_utterance_go_with_its_multimodal_one(splits, labels_of):
    _, batch = labels_of([0, 1])
    train = splits.train
    pairs = {
        (label, own)
        for label, own in zip(train.labels.tolist(), train.unimodal_labels["text"].tolist(),
                              strict=True)
    }  # fmt: skip
    for row in range(2):
        found = zip(
            batch.labels[row].tolist(), batch.unimodal_labels["text"][row].tolist(), strict=True
        )
        assert set(found) == pairs


def test_generated_labels_start_from_the_shuffled_ones(labels_of):
    own, batch = labels_of([0, 1], ULGM)
    assert own.generates
    assert torch.equal(batch.unimodal_labels["vision"], batch.labels)
    assert not any(weights.any() for weights in batch.unimodal_weights.values())
    # So at first they are as near the true unimodal labels as the multimodal ones are.
    assert own.summarise_member(0)["train.unimodal.text.label_corr"] == pytest.approx(0.76, abs=0.1)


def test_a_member_that_stays_keeps_its_own_labels(labels_of):
    own, before = labels_of([0, 1, 2], ULGM)
    own.keep_members(torch.tensor([2, 0]))
    batch = dataclass_replace(before, rows=before.rows[:2], unimodal_weights={})
    after = own.batch_with_labels(batch)
    assert torch.equal(after.labels, before.labels[[2, 0]])
    assert torch.equal(after.unimodal_labels["audio"], before.labels[[2, 0]])


@pytest.mark.parametrize("changes", [{}, ANNOTATED, ULGM])
def test_shuffled_is_what_data_with_these_labels_would_give(splits, start, changes):
    """Valid has its own labels in both."""
    config = replace(start, {**changes, **SHUFFLED})
    generator = Streams(3).generator("labels", device=CPU)
    order = torch.randperm(RECIPE.train, generator=generator).numpy()
    relabelled = dataclass_replace(
        splits.train,
        labels=splits.train.labels[order],
        unimodal_labels={n: own[order] for n, own in splits.train.unimodal_labels.items()},
    )
    first = train(config, splits, seed=3)
    second = train(
        replace(config, {"control.shuffled_labels": False}),
        dataclass_replace(splits, train=relabelled),
        seed=3,
    )
    assert numbers(first) == numbers(second)


def test_with_shuffled_labels_a_model_knows_nothing_of_valid():
    """Over twelve seeds, after the last epoch: choosing the epoch on valid would know its labels.

    A training that knows nothing still correlates with the truth by chance, in both directions: its
    null interval is that of a mean over seeds.
    """
    splits = generate_planted(PlantedConfig(train=256, valid=128, test=2, steps=3, width=6)).splits
    last = {}
    for shuffled in (False, True):
        config = replace(BASE, {"control.shuffled_labels": shuffled, "train.epochs": 10})
        results = train_pack([Member(config, seed) for seed in range(12)], splits)
        last[shuffled] = np.array([result.curve["valid.corr"][-1] for result in results])
    assert last[False].min() > 0.4
    error = last[True].std(ddof=1) / np.sqrt(12)
    assert abs(last[True].mean()) < 2.201 * error  # Student's t, 11 degrees of freedom, 95 %
    assert error < 0.1


# Oracle labels.


@pytest.mark.parametrize("name", MODALITIES)
def test_annotated_heads_learn_the_data_s_own_labels(splits, start, name):
    """If those are the multimodal ones, bit by bit what heads on multimodal labels learn."""
    same = dataclass_replace(
        splits,
        train=dataclass_replace(
            splits.train, unimodal_labels=dict.fromkeys(MODALITIES, splits.train.labels)
        ),
    )
    assert numbers(train(replace(start, ANNOTATED), same)) == numbers(
        train(replace(start, FIXED), splits)
    )
    moved = dict.fromkeys(MODALITIES, splits.train.labels)
    moved[name] = -splits.train.labels
    other = dataclass_replace(splits, train=dataclass_replace(splits.train, unimodal_labels=moved))
    first, second = (train(replace(start, ANNOTATED), each).curve for each in (same, other))
    changed = {m for m in MODALITIES
               if first[f"train.unimodal.{m}"][0] != second[f"train.unimodal.{m}"][0]}  # fmt: skip
    assert name in changed


def test_annotated_heads_without_such_labels_fail_by_name(splits):
    """A study is refused at load (`spaces.plan.plan`); a training by itself says what it lacks."""
    bare = dataclass_replace(splits, train=dataclass_replace(splits.train, unimodal_labels={}))
    (result,) = train_pack([Member(replace(BASE, ANNOTATED), 0)], bare)
    assert result.status == "failed"
    assert "text" in result.reason
