"""Method 3, a stream of tasks with replay (SAMM): every answer known in advance.

Shapes: N utterances of train, R replayed ones, H heads.
"""

import math

import numpy as np
import pytest
import torch

from msa_core.config.fields import MODALITIES
from msa_core.config.kinds import options_class
from msa_core.config.planted import PlantedConfig
from msa_core.config.rules import check_config
from msa_core.config.schema import Config
from msa_core.data.planted import generate_planted
from msa_core.data.prepared import PreparedSplits
from msa_core.procedures.base import Move
from msa_core.procedures.stream import STORED, Stream, consistency_loss, fill_reservoirs
from msa_core.tensors.random_streams import Streams
from msa_core.vectorised.pack_key import pack_key
from spaces.core import Member
from spaces.fields.declaration import ConfigError
from spaces.fields.paths import replace
from tests.cases.train_pack import train_pack

STREAM = replace(
    Config(),
    {
        **{f"model.{name}.width": 6 for name in MODALITIES},
        **{f"model.{name}.dropout": 0.0 for name in MODALITIES},
        "model.projection.width": 3,
        "model.fusion.width": 5,
        "model.fusion.dropout": 0.0,
        "loss.unimodal.width": 4,
        "procedure.kind": "stream",
        "procedure.stream.buffer": 9,
        "train.batch_size": 8,
        "train.epochs": 6,
        "train.learning_rate": 0.01,
    },
)
STILL = {"train.learning_rate": 1e-12}
HEADS = {"loss.unimodal.kind": "fixed"}
NO_REPLAY = {"procedure.stream.replay.weight": 0.0}
NO_CONSISTENCY = {"procedure.stream.consistency.weight": 0.0}
RISING = torch.tensor([4.0, 0.0, 8.0, 1.0, 5.0, 3.0, 7.0, 2.0, 6.0])


@pytest.fixture(scope="module")
def splits():
    return PreparedSplits(
        generate_planted(PlantedConfig(train=26, valid=15, test=2, steps=2, width=4)).splits
    )


def trained(splits, changes=(), seed=0):
    (result,) = train_pack([Member(replace(STREAM, dict(changes)), seed)], splits)
    assert result.status == "complete", result.reason
    return result


def stream(labels=RISING, **changes):
    own = {f"procedure.stream.{name}": value for name, value in changes.items()}
    return Stream(replace(STREAM, own), labels, 3.0)


# --- Tasks.


@pytest.mark.parametrize(
    ("tasks", "known"),
    [
        (3, [[0, 1, 2], [3, 4, 5], [6, 7, 8]]),
        (2, [[0, 1, 2, 3], [4, 5, 6, 7, 8]]),
    ],
)
def test_tasks_are_equal_quantile_ranges_of_the_label_in_rising_order(tasks, known):
    found = stream(tasks=tasks)
    assert [sorted(RISING[rows].tolist()) for rows in found.rows] == known


def test_equal_labels_are_in_one_task():
    labels = torch.tensor([-1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 2.0])
    found = stream(labels, tasks=2)
    assert [labels[rows].tolist() for rows in found.rows] == [[-1.0], [0.0, 0, 0, 0, 1, 1, 2]]


def test_a_task_without_utterances_is_said_to_be_one():
    with pytest.raises(ValueError, match=r"stream.tasks is 3, but task 1 has no utterance"):
        stream(torch.tensor([0.0] * 8 + [1.0]))


def test_every_task_has_its_share_of_the_epochs():
    own = Stream(replace(STREAM, {"train.epochs": 7}), RISING, 3.0)
    assert [own.task_of_epoch(epoch) for epoch in range(1, 8)] == [0, 0, 0, 1, 1, 2, 2]


def test_an_epoch_visits_each_utterance_of_its_task_once():
    found = stream()
    for epoch in range(1, 7):
        order = found.row_order(epoch, Move(), Streams(0))
        assert sorted(RISING[order].tolist()) == [3 * ((epoch - 1) // 2) + one for one in range(3)]


def test_members_with_other_numbers_of_epochs_are_in_other_packs():
    more = {"train.epochs": 9}
    assert pack_key(replace(STREAM, more)) != pack_key(STREAM)
    joint = replace(STREAM, {"procedure.kind": "joint"})
    assert pack_key(replace(joint, more)) == pack_key(joint)


# --- The buffer.


def test_a_reservoir_holds_everything_until_it_is_full():
    tasks = [torch.arange(4), torch.arange(4, 6)]
    after = fill_reservoirs(tasks, 10, torch.Generator().manual_seed(0))
    assert [rows.tolist() for rows in after] == [[0, 1, 2, 3], [0, 1, 2, 3, 4, 5]]


def test_a_reservoir_is_a_fair_sample_of_all_that_came_so_far():
    """2000 draws of 4 of 10 rows: each is held with probability 0.4, whichever task it was in."""
    tasks = [torch.arange(3), torch.arange(3, 10)]
    generator = torch.Generator().manual_seed(3)
    counts = np.zeros(10)
    for _ in range(2000):
        first, last = fill_reservoirs(tasks, 4, generator)
        assert len(set(last.tolist())) == 4
        # What left never comes back, and what came stays in the first task's rows or is new.
        assert set(last.tolist()) - set(first.tolist()) <= set(tasks[1].tolist())
        counts[last.numpy()] += 1
    deviation = math.sqrt(2000 * 0.4 * 0.6)
    assert np.abs(counts - 800).max() < 4 * deviation


def test_what_is_replayed_are_utterances_of_earlier_tasks_as_many_as_the_batch_has():
    found = stream(buffer=4)
    for epoch, earlier in ((3, 3.0), (5, 6.0)):
        (*rows,) = found.replayed_rows(epoch, Move(replays=True), [3, 2, 9], Streams(0))
        assert [len(set(own.tolist())) for own in rows] == [3, 2, min(4, int(earlier))]
        assert all((RISING[own] < earlier).all() for own in rows)


def test_the_first_task_has_nothing_to_replay():
    moves = [stream().passes(epoch)[0][0] for epoch in range(1, 7)]
    assert [move.replays for move in moves] == [False, False, True, True, True, True]


# --- Terms.


@pytest.mark.parametrize("encoder", ["mean_mlp", "lstm"])
def test_a_model_that_stands_still_has_the_losses_of_its_buffer(splits, encoder):
    """Replay is the task's loss on the buffer, and outputs are those stored: consistency is 0."""
    changes = {**STILL, "procedure.stream.buffer": 26, "procedure.stream.tasks": 2,
               "train.batch_size": 13, "model.text.encoder": encoder}  # fmt: skip
    curve = trained(splits, changes).curve
    assert np.isnan(curve["train.replay"][:3]).all()
    # Half of train is a task and a batch, and so is what is replayed.
    assert curve["train.replay"][3:] == pytest.approx([curve["train.task"][0]] * 3, rel=1e-5)
    assert curve["train.consistency"][3:] == pytest.approx([0.0] * 3, abs=1e-9)
    total = np.array(curve["train.task"]) + np.nan_to_num(curve["train.replay"])
    np.testing.assert_allclose(curve["train.loss"], total, rtol=1e-5)


def test_replayed_utterances_have_the_losses_of_the_unimodal_heads_too_but_no_alignment(splits):
    weights = {f"loss.unimodal.{name}.weight": 0.5 for name in MODALITIES}
    pair = {"loss.alignment.text_audio.mode": "shared", "loss.alignment.text_audio.weight": 1e3}
    changes = {
        **{**STILL, **HEADS, **weights, **pair},
        "procedure.stream.buffer": 26,
        "procedure.stream.tasks": 2,
        "train.batch_size": 13,
    }
    curve = trained(splits, changes).curve
    expected = curve["train.task"][0]
    expected += sum(0.5 * curve[f"train.unimodal.{name}"][0] for name in MODALITIES)
    assert curve["train.replay"][3:] == pytest.approx([expected] * 3, rel=1e-5)


def test_consistency_is_to_the_stored_output_of_the_head_that_is_now_nearest():
    outputs = torch.tensor([[1.0, 3.0], [5.0, 0.0]])
    stored = torch.tensor([[10.0, 20.0], [30.0, 40.0]])
    labels = torch.tensor([0.5, -1.0])  # nearest now: the first head, then the second
    assert consistency_loss(outputs, stored, labels, [1.0, 0.0]).item() == (9**2 + 35**2) / 2
    assert consistency_loss(outputs, stored, labels, [0.0, 1.0]).item() == (7**2 + 40**2) / 2
    assert consistency_loss(outputs, stored, labels, [2.0, 3.0]).item() == 2 * 653 + 3 * 824.5


def test_with_one_head_it_is_the_squared_distance_to_what_was_stored():
    outputs, stored = torch.tensor([[1.0], [4.0]]), torch.tensor([[1.0], [2.0]])
    assert consistency_loss(outputs, stored, torch.zeros(2), [1.0]).item() == 2.0


def test_no_gradient_reaches_what_was_stored():
    stored = torch.ones(2, 1, requires_grad=True)
    outputs = torch.zeros(2, 1, requires_grad=True)
    consistency_loss(outputs, stored, torch.zeros(2), [1.0]).backward()
    assert stored.grad is None
    assert outputs.grad.tolist() == [[-1.0], [-1.0]]


def test_what_is_stored_are_the_outputs_at_the_last_visit():
    found = stream()
    kept = {**found.initial_state(), "a module's": torch.ones(1)}
    for rows, value in (([0, 2], 5.0), ([2, 3], 7.0)):
        saved = {"rows": torch.tensor(rows), "outputs": torch.full((2, 1), value)}
        before = kept[STORED].clone()
        gradients, after = found.modify_gradients(Move(), {"weight": torch.ones(1)}, saved, kept)
        assert torch.equal(kept[STORED], before)
        assert gradients == {"weight": torch.ones(1)}
        kept = after
    assert kept[STORED][:, 0].tolist() == [5, 0, 7, 7, 0, 0, 0, 0, 0]
    assert kept["a module's"] == 1


@pytest.mark.parametrize("encoder", ["mean_mlp", "lstm"])
def test_terms_of_weight_0_are_as_if_they_were_not_there(splits, encoder, monkeypatch):
    changes = {**HEADS, "model.text.encoder": encoder}
    off = trained(splits, {**changes, **NO_REPLAY, **NO_CONSISTENCY})
    assert not [name for name in off.curve if "replay" in name or "consistency" in name]

    class Plain(Stream):
        """Tasks alone."""

        def passes(self, epoch):
            return ((Move(),),)

        def initial_state(self):
            return {}

    monkeypatch.setattr(options_class(Config, "procedure", "stream"), "implementation", Plain)
    absent = trained(splits, changes)
    same = {name: torch.equal(value, off.trained.state[name])
            for name, value in absent.trained.state.items()}  # fmt: skip
    assert all(same.values())
    assert np.array_equal(absent.curve["train.loss"], off.curve["train.loss"])


@pytest.mark.parametrize(("off", "stays"), [(NO_REPLAY, "consistency"), (NO_CONSISTENCY, "replay")])
def test_either_term_alone(splits, off, stays):
    curve = trained(splits, {**HEADS, **off}).curve
    gone = {"replay", "consistency"} - {stays}
    assert not [name for name in curve if any(term in name for term in gone)]
    assert np.isfinite(curve[f"train.{stays}"][2:]).all()
    assert all(value > 0 for value in curve[f"train.{stays}"][2:])


def test_replay_keeps_what_was_learned():
    """All of the first task replayed, and with three times its weight: most of it is kept."""
    recipe = PlantedConfig(train=60, valid=60, test=2, steps=2, width=4)
    splits = PreparedSplits(generate_planted(recipe).splits)
    base = {
        "procedure.stream.buffer": 60,
        "procedure.stream.tasks": 2,
        "procedure.stream.replay.weight": 3.0,
        "train.epochs": 12,
        **NO_CONSISTENCY,
    }
    for seed in range(2):
        forgotten = [
            trained(splits, {**base, **off}, seed).curve["valid.forgetting"][-1]
            for off in ({}, NO_REPLAY)
        ]
        assert forgotten[0] < 0.5 * forgotten[1]


# --- What is logged, and what comes out.


def test_the_last_epoch_is_kept_and_nothing_stops_it_early(splits):
    result = trained(splits, {"train.patience": 1, **NO_REPLAY, **NO_CONSISTENCY})
    assert result.epochs == result.best_epoch == 6
    assert result.valid["mae"] == result.curve["valid.mae"][-1]
    # It is not the best one that was kept.
    assert min(result.curve["valid.mae"]) < result.curve["valid.mae"][-1]


def test_the_errors_of_the_tasks_make_up_the_error_on_valid(splits):
    curve = trained(splits).curve
    own = stream(torch.from_numpy(splits.splits.train.labels))
    edges = own.edges.numpy()
    counts = np.bincount(np.searchsorted(edges, splits.splits.valid.labels, side="right"))
    found = sum(np.array(curve[f"valid.task_{task + 1}.mae"]) * counts[task] for task in range(3))
    np.testing.assert_allclose(found / counts.sum(), curve["valid.mae"], rtol=1e-6)


def test_forgetting_is_the_error_now_less_the_best_before_over_the_tasks_that_are_over():
    found = stream()  # edges at 8/3 and 16/3
    labels = np.array([0.0, 4.0, 8.0], np.float32)
    before = {
        "valid.task_1.mae": [3.0, 1.0, 2.0, 2.0, 5.0],
        "valid.task_2.mae": [9.0, 9.0, 4.0, 6.0, 6.0],
        "valid.task_3.mae": [9.0, 9.0, 9.0, 9.0, 9.0],
    }
    predictions = np.array([-2.5, 3.0, 8.0], np.float32)
    known = {"valid.task_1.mae": 2.5, "valid.task_2.mae": 1.0, "valid.task_3.mae": 0.0}
    last = found.validation_metrics(6, predictions, labels, before)
    assert last == {**known, "valid.forgetting": ((2.5 - 1.0) + (1.0 - 4.0)) / 2}
    assert found.validation_metrics(3, predictions, labels, before)["valid.forgetting"] == 1.5
    assert found.validation_metrics(2, predictions, labels, before) == known


def test_a_task_without_utterances_in_valid_has_no_curve():
    labels = np.array([0.0, 8.0], np.float32)
    found = stream().validation_metrics(1, labels, labels, {})
    assert found == {"valid.task_1.mae": 0.0, "valid.task_3.mae": 0.0}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"train.epochs": 2}, "need as many epochs"),
        ({"loss.unimodal.kind": "ulgm"}, "loss.unimodal.kind"),
    ],
)
def test_a_stream_that_can_t_be_is_refused(changes, reason):
    check_config(STREAM, "mosi")
    with pytest.raises(ConfigError, match=reason):
        check_config(replace(STREAM, changes), "mosi")
