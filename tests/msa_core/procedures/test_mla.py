"""Method 5, alternating unimodal adaptation (MLA, CVPR 2024), as a procedure: known answers.

Shapes: B utterances, D = width of a projected modality, M modalities.
"""

import math

import numpy as np
import pytest
import torch

from msa_core.config.fields import MODALITIES
from msa_core.config.kinds import options_class
from msa_core.config.planted import PlantedConfig
from msa_core.config.procedure import MlaOptions
from msa_core.config.rules import check_config, resolve_fields
from msa_core.config.schema import Config
from msa_core.data.batching import prepare_batch
from msa_core.data.planted import generate_planted
from msa_core.data.prepared import PreparedSplits
from msa_core.model import build_model, fresh_parameters
from msa_core.modules.contrast.inference import WeightedVote, binned_cross_entropy
from msa_core.modules.parts.inputs import EncodedBatch
from msa_core.procedures.base import Move
from msa_core.procedures.mla import ALPHAS, PROJECTION, UPDATES, Mla
from msa_core.tensors.random_streams import Streams
from msa_core.training.evaluation import evaluate
from spaces.core import Member
from spaces.fields.declaration import ConfigError
from spaces.fields.paths import replace
from tests.cases.train_pack import train_pack

MLA = replace(
    Config(),
    {
        **{f"model.{name}.width": 6 for name in MODALITIES},
        "model.projection.width": 2,
        "model.fusion.kind": "sum",
        "model.fusion.width": 5,
        "procedure.kind": "mla",
        "train.batch_size": 8,
        "train.epochs": 2,
        "train.learning_rate": 0.01,
    },
)
ENTROPY = {"procedure.mla.weights": "entropy"}
HEADS = [{}, {"model.fusion.head": "linear"}]


@pytest.fixture(scope="module")
def data():
    return generate_planted(PlantedConfig(train=20, valid=9, test=7, steps=2, width=4))


@pytest.fixture(scope="module")
def splits(data):
    return PreparedSplits(data.splits)


def trained(splits, changes=(), seed=0):
    (result,) = train_pack([Member(replace(MLA, dict(changes)), seed)], splits)
    assert result.status == "complete", result.reason
    return result


def at_the_start(config, splits):
    features = {name: array.shape[2] for name, array in splits.splits.train.features.items()}
    return fresh_parameters(build_model(config, features), Streams(0))


def belongs_to(name, modality):
    return name.startswith((f"encoders.{modality}.", f"projections.{modality}."))


@pytest.mark.parametrize("moves", MODALITIES)
def test_while_a_modality_steps_the_encoders_of_the_others_stay_bit_unchanged(
    splits, moves, monkeypatch
):
    class OneTurn(Mla):
        def passes(self, epoch):
            return ([move for move in super().passes(epoch)[0] if move.name == moves],)

    monkeypatch.setattr(options_class(Config, "procedure", "mla"), "implementation", OneTurn)
    before = at_the_start(MLA, splits)
    for name, after in trained(splits).trained.state.items():
        is_still = any(belongs_to(name, other) for other in MODALITIES if other != moves)
        assert torch.equal(after, before[name]) == is_still, name


def test_the_shared_head_and_every_modality_move_in_the_end(splits):
    before = at_the_start(MLA, splits)
    state = trained(splits).trained.state
    assert not [name for name, after in state.items() if torch.equal(after, before[name])]


def test_a_single_move_is_that_of_the_head_on_one_modality_alone(splits, monkeypatch):
    """Text's turns, without the gradient's modification, are a training of text alone."""

    class OneTurn(Mla):
        def passes(self, epoch):
            return ([move for move in super().passes(epoch)[0] if move.name == "text"],)

    monkeypatch.setattr(options_class(Config, "procedure", "mla"), "implementation", OneTurn)
    same = {"model.text.dropout": 0.0, "model.fusion.dropout": 0.0}  # its streams are the move's
    own = trained(splits, {"procedure.mla.gradient": "off", **same})
    others = {f"model.{name}.use": False for name in MODALITIES if name != "text"}
    alone = trained(splits, {"procedure.kind": "joint", **others, **same})
    np.testing.assert_allclose(own.curve["train.task.text"], alone.curve["train.task"], rtol=1e-6)


@pytest.mark.parametrize(
    ("order", "turns"),
    [("text_first", ["text", "audio", "vision"]), ("text_last", ["audio", "vision", "text"])],
)
def test_modalities_take_turns_in_order_on_each_batch(order, turns):
    config = replace(MLA, {"procedure.mla.order": order})
    ((*moves,),) = Mla(config, torch.zeros(20), 3.0).passes(1)
    assert [move.name for move in moves] == turns
    assert [move.only for move in moves] == [(name,) for name in turns]


def test_the_loss_of_an_epoch_is_the_sum_of_the_turns(splits):
    curve = trained(splits, ENTROPY).curve
    terms = [f"train.{term}.weighted.{name}" for name in MODALITIES for term in ("task", "bins")]
    total = np.sum([curve[term] for term in terms], axis=0)
    np.testing.assert_allclose(curve["train.loss"], total, rtol=1e-6)


# --- Gradient modification.


def steps(means, gradients, batches=1):
    """What the procedure makes of gradients of the head's first weight [O, 2], move by move."""
    procedure = Mla(MLA, torch.zeros(8 * batches), 3.0)
    kept = {name: value.double() if value.is_floating_point() else value
            for name, value in procedure.initial_state().items()}  # fmt: skip
    found = []
    for mean, gradient in zip(means, gradients, strict=True):
        own = {"head.hidden.weight": gradient, "head.hidden.bias": gradient[:, 0]}
        changed, kept = procedure.modify_gradients(Move(), own, {"mean": mean}, kept)
        assert torch.equal(changed["head.hidden.bias"], gradient[:, 0])
        found.append(changed["head.hidden.weight"])
    return found, kept


def doubles(*values):
    return torch.tensor(values, dtype=torch.float64)


def test_the_very_first_move_is_left_alone_and_the_second_gets_the_known_gradient():
    gradient = doubles([3.0, 4.0])
    (first, second), kept = steps([doubles(3.0, 4.0), doubles(1.0, 0.0)], [gradient, gradient])
    assert torch.equal(first, gradient)
    assert second[0].tolist() == pytest.approx([0.272727, 4.0], abs=5e-7)
    torch.testing.assert_close(kept[PROJECTION], torch.diag(doubles(1 / 11, 1.0)))
    assert kept[UPDATES].item() == 2


def test_alpha_is_of_the_batch_in_its_epoch():
    """Two batches of three turns: 0.1 for the first, 0.1^1.5 for the second, and again."""
    procedure = Mla(MLA, torch.zeros(16), 3.0)
    assert procedure.initial_state()[ALPHAS].tolist() == pytest.approx([0.1, 0.1**1.5])
    mean, gradient = doubles(1.0, 0.0), doubles([1.0, 1.0])
    found, _ = steps([mean] * 9, [gradient] * 9, batches=2)
    # Along its axis 1/P grows by 1/alpha each time, but for the first.
    alphas = [0.1] * 2 + [0.1**1.5] * 3 + [0.1] * 3
    expected = [1.0, *(1 / (1 + np.cumsum(1 / np.array(alphas))))]
    assert [one[0, 0].item() for one in found] == pytest.approx(expected, rel=1e-6)
    assert all(one[0, 1].item() == 1.0 for one in found)


@pytest.mark.parametrize("head", HEADS, ids=["hidden", "linear"])
@pytest.mark.parametrize("encoder", ["mean_mlp", "lstm"])
def test_in_a_training_the_gradient_of_the_first_weight_is_projected(
    splits, head, encoder, monkeypatch, nothing_recorded
):
    """What moves the head in a real training, against numpy: alone (lstm) and under vmap."""
    seen = []

    class Watched(Mla):
        def modify_gradients(self, move, gradients, saved, kept):
            changed, after = super().modify_gradients(move, gradients, saved, kept)
            seen.append([saved["mean"], gradients[self.weight], changed[self.weight]])
            return changed, after

    monkeypatch.setattr(options_class(Config, "procedure", "mla"), "implementation", Watched)
    if encoder == "mean_mlp":  # tensors of `torch.func.vmap` have no numbers to look at
        monkeypatch.setattr(
            "msa_core.training.groups.sequential_reason", lambda config, device: "so that it shows"
        )
    changes = {**head, "model.text.encoder": encoder, "train.epochs": 1}
    trained(splits, changes)
    assert len(seen) == 9  # 20 utterances are 3 batches
    projection = np.eye(2)
    for place, (mean, before, after) in enumerate(seen):
        if place:
            alpha = 0.1 ** (1 + (place // 3) / 3)
            gain = projection @ mean.double().numpy()
            projection -= np.outer(gain, gain) / (alpha + mean.double().numpy() @ gain)
            expected = before.double().numpy() @ projection
            np.testing.assert_allclose(after.numpy(), expected, rtol=1e-3, atol=1e-7)
        else:
            assert torch.equal(before, after)
        assert mean.abs().max() > 0


def test_the_gradient_s_modification_makes_a_difference_only_after_the_first_move(splits):
    off = trained(splits, {"procedure.mla.gradient": "off"}).curve
    rls = trained(splits).curve
    assert off["train.task.text"] != rls["train.task.text"]
    one = {"train.batch_size": 20, "train.epochs": 1}
    off = trained(splits, {"procedure.mla.gradient": "off", **one}).curve
    rls = trained(splits, one).curve
    # Text moved the head before audio read it: the first move, which is left alone.
    assert [off[f"train.task.{name}"] == rls[f"train.task.{name}"] for name in MODALITIES] == [
        True, True, False,
    ]  # fmt: skip


# --- Test-time weights.


def vote(options, hidden, predictions, present=None):
    """What is said of utterances whose head gives these, modality by modality."""
    names = MODALITIES[: len(predictions)]
    with torch.device("meta"):
        voting = WeightedVote(options, names, hidden[0].shape[1])
    if voting.bins is not None:
        voting.bins.weight = torch.nn.Parameter(torch.eye(7, dtype=torch.float64))
        voting.bins.bias = torch.nn.Parameter(torch.zeros(7, dtype=torch.float64))
    said = dict(zip(names, zip(predictions, hidden, strict=True), strict=True))
    seen = EncodedBatch(
        features={},
        lengths={},
        encoded={},
        # A stand-in for vectors: the place of the modality.
        projected={name: torch.full((1, 1), float(place)) for place, name in enumerate(names)},
        present={} if present is None else dict(zip(names, present, strict=True)),
        labels=predictions[0][:0],
    )
    return voting(lambda vectors: list(said.values())[int(vectors[0, 0])], seen)


BLANK = torch.zeros(1, 7, dtype=torch.float64)


def test_fixed_weights_are_40_35_and_25():
    found = vote(MlaOptions(), [BLANK] * 3, [doubles(1.0), doubles(10.0), doubles(100.0)])
    assert found.item() == pytest.approx(0.40 + 3.5 + 25.0)


def test_fixed_weights_are_renormalised_over_the_modalities_in_use():
    found = vote(MlaOptions(), [BLANK] * 2, [doubles(1.0), doubles(10.0)])
    assert found.item() == pytest.approx((0.40 + 3.5) / 0.75)


def test_a_modality_that_an_utterance_lacks_has_no_vote():
    rows = [doubles(1.0, 1.0, 1.0), doubles(10.0, 10.0, 10.0)]
    present = [doubles(1.0, 0.0, 0.0), doubles(1.0, 1.0, 0.0)]
    hidden = [torch.zeros(3, 7, dtype=torch.float64)] * 2
    found = vote(MlaOptions(), hidden, rows, present)
    assert found.tolist() == pytest.approx([(0.40 + 3.5) / 0.75, 10.0, 0.0])


def test_the_entropies_0_and_ln_2_weigh_two_thirds_and_one_third():
    sure = torch.full((1, 7), -50.0, dtype=torch.float64)
    unsure = sure.clone()
    sure[0, 2] = unsure[0, 2] = unsure[0, 5] = 50.0
    found = vote(MlaOptions(weights="entropy"), [sure, unsure], [doubles(3.0), doubles(-3.0)])
    assert found.item() == pytest.approx(2.0 - 1.0)


def test_bins_that_know_nothing_cost_ln_7_and_those_that_know_all_nothing():
    labels = doubles(-3.0, -1.2, 0.4, 2.6)
    nothing = torch.zeros(4, 7, dtype=torch.float64)
    assert binned_cross_entropy(nothing, labels, 3.0).item() == pytest.approx(math.log(7))
    for bound, labels_B in ((3.0, labels), (1.0, labels / 3)):
        everything = torch.nn.functional.one_hot(torch.tensor([0, 2, 3, 6]), 7) * 100.0
        assert binned_cross_entropy(everything, labels_B, bound).item() == pytest.approx(0.0)


@pytest.mark.parametrize("changes", [{}, ENTROPY, HEADS[1], {"model.vision.use": False}])
def test_valid_and_test_are_predicted_by_the_weighted_sum_of_what_the_head_says(
    data, splits, changes
):
    result = trained(splits, changes)
    own = result.trained
    model = build_model(own.config, own.features).eval()
    names = [name for name in MODALITIES if getattr(own.config.model, name).use]
    for split, found in (
        (data.test, evaluate(result, data.test).metrics["mae"]),
        (splits.splits.valid, result.valid["mae"]),
    ):
        whole = prepare_batch(split, own.scaler, own.config, torch.device("cpu"))
        said, entropies = [], []
        for name in names:
            output = torch.func.functional_call(model, own.state, (whole, {}, (name,)))
            said.append(output.prediction)
            if changes == ENTROPY:
                rows = output.hidden["multimodal"] @ own.state["inference.bins.weight"].T
                shares = (rows + own.state["inference.bins.bias"]).softmax(dim=1)
                entropies.append(-(shares * shares.log()).sum(dim=1))
        weights = torch.tensor([0.40, 0.35, 0.25])[: len(names), None]
        if changes == ENTROPY:
            certainty = (torch.stack(entropies).amax(dim=0) - torch.stack(entropies)).exp()
            weights = certainty
        expected = (weights / weights.sum(dim=0) * torch.stack(said)).sum(dim=0)
        error = np.abs(expected.numpy() - split.labels).mean()
        assert found == pytest.approx(error, rel=1e-5)
        equal = torch.stack(said).mean(dim=0)
        assert not torch.allclose(expected, equal, rtol=1e-4)


def test_bins_are_there_only_if_they_are_read(splits):
    fixed, entropy = trained(splits), trained(splits, ENTROPY)
    assert not [name for name in (*fixed.trained.state, *fixed.curve) if "bins" in name]
    assert "inference.bins.weight" in entropy.trained.state
    assert len(entropy.curve["train.bins.text"]) == 2
    assert "procedure.mla.bins_weight" not in resolve_fields(MLA)
    assert "procedure.mla.bins_weight" in resolve_fields(replace(MLA, ENTROPY))
    with pytest.raises(ConfigError, match="bins_weight"):
        replace(MLA, {**ENTROPY, "procedure.mla.bins_weight": 0.0})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"model.audio.use": False, "model.vision.use": False}, "text alone"),
        ({"model.fusion.kind": "concat"}, "model.fusion.kind: sum"),
        ({"loss.alignment.text_audio.mode": "shared"}, "no pair can be aligned"),
        ({"loss.unimodal.kind": "fixed"}, "loss.unimodal.kind: none"),
        ({"missing.modalities": 0.2}, "missing.modalities: 0"),
    ],
)
def test_what_a_turn_of_one_modality_can_t_do_is_refused(changes, reason):
    check_config(MLA, "mosi")
    with pytest.raises(ConfigError, match=reason):
        check_config(replace(MLA, changes), "mosi")
