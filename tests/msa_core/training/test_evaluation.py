"""Evaluation: the restored model on test, and law 4: nothing is chosen on test."""

import ast
from dataclasses import fields
from dataclasses import replace as dataclass_replace

import numpy as np
import pytest
import torch

from msa_core.config.fields import MODALITIES
from msa_core.config.planted import PlantedConfig
from msa_core.config.schema import Config
from msa_core.data.dataset import Splits
from msa_core.data.planted import generate_planted
from msa_core.data.prepared import PreparedSplits
from msa_core.metrics import score_predictions
from msa_core.training.evaluation import evaluate
from msa_core.training.pack_training import PackTraining
from msa_core.vectorised import network as members
from spaces.core import Member
from spaces.fields.paths import replace
from tests.cases.paths import REPOSITORY
from tests.cases.train_pack import train_pack

PACKAGE = REPOSITORY / "msa_core"
SMALL = replace(
    Config(),
    {
        **{f"model.{name}.width": 8 for name in MODALITIES},
        "model.text.encoder": "lstm",
        "model.projection.width": 4,
        "model.fusion.width": 8,
        "loss.unimodal.kind": "ulgm",
        "train.epochs": 2,
    },
)


@pytest.fixture(scope="module")
def data():
    return generate_planted(PlantedConfig(train=96, valid=64, test=70, steps=3, width=6))


@pytest.fixture(scope="module")
def result(data):
    return train_pack([Member(SMALL, 0)], data.splits)[0]


def test_the_metrics_are_those_of_the_predictions_in_the_order_of_the_split(data, result):
    found = evaluate(result, data.test)
    assert found.predictions.shape == (70,)
    assert found.predictions.dtype == np.float32
    assert found.metrics == score_predictions("mosi", found.predictions, data.test.labels)
    backwards = dataclass_replace(
        data.test,
        features={name: array[::-1].copy() for name, array in data.test.features.items()},
        lengths={name: array[::-1].copy() for name, array in data.test.lengths.items()},
        labels=data.test.labels[::-1].copy(),
    )
    np.testing.assert_allclose(
        evaluate(result, backwards).predictions[::-1], found.predictions, rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("encoder", ["mean_mlp", "lstm"])
@pytest.mark.parametrize("fusion", ["concat", "tfn"])
def test_the_valid_split_gives_the_metrics_of_the_training_again(data, encoder, fusion):
    """To the last bit, whether trained alone or in a pack."""
    config = replace(SMALL, {"model.text.encoder": encoder, "model.fusion.kind": fusion})
    for result in train_pack([Member(config, seed) for seed in range(5)], data.splits):
        assert evaluate(result, data.splits.valid).metrics == result.valid


def test_evaluating_twice_gives_the_same_bits_and_changes_nothing(data, result):
    before = {name: value.clone() for name, value in result.trained.state.items()}
    first, second = evaluate(result, data.test), evaluate(result, data.test)
    np.testing.assert_array_equal(first.predictions, second.predictions)
    for name, value in result.trained.state.items():
        assert torch.equal(value, before[name])


def test_global_random_state_is_neither_read_nor_moved(data, result):
    first = evaluate(result, data.test)
    torch.manual_seed(99)
    before = torch.get_rng_state()
    np.testing.assert_array_equal(evaluate(result, data.test).predictions, first.predictions)
    assert torch.equal(torch.get_rng_state(), before)


def test_test_is_scaled_as_train_was(data, result):
    moved = dataclass_replace(
        data.test, features={name: array + 5 for name, array in data.test.features.items()}
    )
    found = evaluate(result, moved).predictions
    assert np.abs(found - evaluate(result, data.test).predictions).max() > 0.01


def test_labels_of_the_test_split_change_the_metrics_and_not_the_predictions(data, result):
    other = dataclass_replace(data.test, labels=-data.test.labels, unimodal_labels={})
    np.testing.assert_array_equal(
        evaluate(result, other).predictions, evaluate(result, data.test).predictions
    )
    assert evaluate(result, other).metrics != evaluate(result, data.test).metrics


def test_a_split_is_predicted_in_parts_and_put_together_in_order(data, result, monkeypatch):
    whole = evaluate(result, data.test).predictions
    monkeypatch.setattr(members, "PREDICTION_BATCH", 16)
    np.testing.assert_allclose(evaluate(result, data.test).predictions, whole, rtol=1e-5, atol=1e-6)


def test_an_utterance_s_prediction_does_not_depend_on_the_others(data, result):
    whole = evaluate(result, data.test).predictions
    for row in (0, 33, 69):
        own = slice(row, row + 1)
        alone = dataclass_replace(
            data.test,
            ids=data.test.ids[own],
            features={name: array[own] for name, array in data.test.features.items()},
            lengths={name: array[own] for name, array in data.test.lengths.items()},
            labels=data.test.labels[own],
            unimodal_labels={},
        )
        np.testing.assert_allclose(
            evaluate(result, alone).predictions, whole[own], rtol=1e-5, atol=1e-6
        )


def test_the_metrics_are_those_of_the_label_scheme_it_was_trained_for(data):
    def inside(split):
        return dataclass_replace(split, labels=split.labels / 3)

    splits = Splits(train=inside(data.splits.train), valid=inside(data.splits.valid), scheme="sims")
    (result,) = train_pack([Member(SMALL, 0)], splits)
    assert set(result.valid) == {"mae", "corr", "acc2", "f1", "acc3", "acc5"}
    assert set(evaluate(result, inside(data.test)).metrics) == set(result.valid)


def test_a_pruned_member_is_refused(data):
    (pruned,) = train_pack([Member(SMALL, 0)], data.splits, on_epoch=lambda *_: [0])
    with pytest.raises(ValueError, match=r"only a complete member .* this one is pruned"):
        evaluate(pruned, data.test)


def test_a_failed_member_is_refused(data):
    splits = dataclass_replace(data.splits, scheme="no such scheme")
    (failed,) = train_pack([Member(SMALL, 0)], splits)
    with pytest.raises(ValueError, match=r"only a complete member .* this one is failed"):
        evaluate(failed, data.test)


# Law 4: nothing is chosen on test.


def test_what_a_training_sees_has_no_test_split():
    assert {field.name for field in fields(Splits)} == {"train", "valid", "scheme"}
    assert PackTraining.__init__.__annotations__["splits"] == Splits | PreparedSplits
    assert PreparedSplits.__init__.__annotations__["splits"] is Splits


def test_only_the_readers_of_data_and_the_evaluation_name_the_test_split():
    # `config/planted.py` names the size of the planted test split, `core.py` hands the split out
    # apart, and a report tells kinds of its utterances apart.
    allowed = {
        PACKAGE / "core.py",
        PACKAGE / "analysis" / "kinds_of_utterances.py",
        PACKAGE / "training" / "evaluation.py",
        PACKAGE / "config" / "planted.py",
        *PACKAGE.glob("data/*.py"),
    }
    for path in sorted(PACKAGE.rglob("*.py")):
        if path not in allowed or path.name in ("batching.py", "prepared.py"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            assert list(mentions_of_test(tree)) == [], path
            assert "msa_core.training.evaluation" not in imports_of(tree), path
    tree = ast.parse((PACKAGE / "data" / "npz_and_safetensors.py").read_text(encoding="utf-8"))
    assert list(mentions_of_test(tree))  # The search finds what it looks for.


def mentions_of_test(tree):
    """Lines that read an attribute `test`, or name it in a string."""
    for node in ast.walk(tree):
        if getattr(node, "attr", getattr(node, "value", None)) == "test":
            yield node.lineno


def imports_of(tree):
    return {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
