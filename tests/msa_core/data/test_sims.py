"""CH-SIMS from file to score: labels of their own for each modality, bounded by 1.

The data are generated in the layout of its feature files; the label of an utterance is the mean of
what its text, its voice and its face say, in steps of .2.
"""

import pickle

import numpy as np
import pytest

from msa_core.config.fields import LABEL_SCHEMES, MODALITIES
from msa_core.config.schema import Config
from msa_core.data.load import load_dataset
from msa_core.metrics import score_predictions
from msa_core.training.evaluation import evaluate
from spaces.core import DataError, Member
from spaces.fields.paths import replace
from tests.cases.train_pack import train_pack

ROWS = {"train": 120, "valid": 60, "test": 80}
WIDTHS = {"text": 6, "audio": 4, "vision": 5}
STEPS = {"text": 5, "audio": 7, "vision": 6}
SMALL = replace(
    Config(),
    {
        **{f"model.{name}.width": 8 for name in MODALITIES},
        "model.projection.width": 4,
        "model.fusion.width": 8,
        "loss.unimodal.kind": "fixed",
        "train.epochs": 6,
        "train.learning_rate": 0.01,
    },
)


def in_steps(values):
    return np.clip(np.round(values * 5) / 5, -1, 1).astype(np.float32)


@pytest.fixture
def content():
    """A feature file as a dictionary."""
    rng = np.random.default_rng(0)
    directions = {name: rng.standard_normal(width) for name, width in WIDTHS.items()}
    splits = {}
    for split, rows in ROWS.items():
        said = {name: in_steps(rng.uniform(-1, 1, rows)) for name in MODALITIES}
        values = {
            "id": [f"video_{split}$_${row:04d}" for row in range(rows)],
            "raw_text": np.array(["好"] * rows, dtype=object),
            "text_bert": np.zeros((rows, 3, 39), np.float32),
            "annotations": ["Neutral"] * rows,
            "classification_labels": np.zeros(rows, np.int64),
            "regression_labels": in_steps(np.mean(list(said.values()), axis=0)),
            "audio_lengths": rng.integers(3, STEPS["audio"], rows, endpoint=True).tolist(),
            "vision_lengths": rng.integers(3, STEPS["vision"], rows, endpoint=True).tolist(),
        }
        for name in MODALITIES:
            noise = 0.3 * rng.standard_normal((rows, STEPS[name], WIDTHS[name]))
            frames = said[name][:, np.newaxis, np.newaxis] * directions[name] + noise
            values[name] = frames.astype(np.float32)
            values[f"regression_labels_{name[0].upper()}"] = said[name]
        splits[split] = values
    return splits


@pytest.fixture
def write(tmp_path):
    def write(content, suffix=".pkl"):
        path = tmp_path / f"sims{suffix}"
        if suffix == ".npz":
            named = {f"{a}.{b}": v for a, split in content.items() for b, v in split.items()}
            named = {n: v for n, v in named.items() if not n.endswith(("raw_text", "annotations"))}
            np.savez(path, **named)
        else:
            path.write_bytes(pickle.dumps(content))
        return path

    return write


def trained(dataset, **changes):
    (result,) = train_pack([Member(replace(SMALL, changes), 0)], dataset.splits)
    assert result.status == "complete", result.reason
    return result


@pytest.mark.parametrize("suffix", [".pkl", ".npz"])
def test_the_labels_of_the_file_are_those_of_the_data(content, write, suffix):
    dataset = load_dataset(write(content, suffix), "sims")
    assert dataset.splits.scheme == "sims"
    for name, split in {"train": dataset.splits.train, "test": dataset.test}.items():
        np.testing.assert_array_equal(split.labels, content[name]["regression_labels"])
        assert split.lengths["audio"].tolist() == content[name]["audio_lengths"]
        for modality in MODALITIES:
            np.testing.assert_array_equal(
                split.unimodal_labels[modality],
                content[name][f"regression_labels_{modality[0].upper()}"],
            )


def test_a_pickle_and_an_archive_hold_the_same_data(content, write):
    first, second = (load_dataset(write(content, suffix), "sims") for suffix in (".pkl", ".npz"))
    assert first.fingerprint == second.fingerprint


@pytest.mark.parametrize("key", ["regression_labels", "regression_labels_A"])
def test_a_label_beyond_1_is_refused_with_its_row(content, write, key):
    content["valid"][key][7] = 1.2
    with pytest.raises(
        DataError,
        match=rf"'valid', key '{key}', row 7: 1\.2 is outside \[-1, 1\] of the 'sims' labels; is",
    ):
        load_dataset(write(content), "sims")


def test_a_label_of_exactly_1_is_within(content, write):
    content["valid"]["regression_labels"][:2] = [1.0, -1.0]
    assert load_dataset(write(content), "sims").splits.valid.labels[:2].tolist() == [1.0, -1.0]


def test_annotated_heads_train_and_are_scored_by_the_schemes_metrics(content, write):
    dataset = load_dataset(write(content), "sims")
    result = trained(dataset, **{"loss.unimodal.target": "annotated", "train.epochs": 30})
    assert set(result.valid) == set(LABEL_SCHEMES["sims"].metrics)
    found = evaluate(result, dataset.test)
    assert found.metrics == score_predictions("sims", found.predictions, dataset.test.labels)
    assert set(found.metrics) == set(LABEL_SCHEMES["sims"].metrics)
    assert found.metrics["corr"] > 0.7
    constant = np.full(ROWS["test"], dataset.splits.train.labels.mean())
    assert (
        found.metrics["mae"]
        < score_predictions("sims", constant, dataset.test.labels)["mae"] - 0.05
    )


def test_annotated_targets_that_are_the_multimodal_ones_change_no_bit(content, write):
    for values in content.values():
        for modality in MODALITIES:
            values[f"regression_labels_{modality[0].upper()}"] = values["regression_labels"]
    dataset = load_dataset(write(content), "sims")
    annotated = trained(dataset, **{"loss.unimodal.target": "annotated"})
    assert annotated.curve == trained(dataset).curve


def test_annotated_targets_of_their_own_change_what_is_learnt(content, write):
    dataset = load_dataset(write(content), "sims")
    annotated = trained(dataset, **{"loss.unimodal.target": "annotated"})
    assert annotated.valid != trained(dataset).valid


def test_self_supervised_labels_train_on_it_too(content, write):
    dataset = load_dataset(write(content), "sims")
    result = trained(dataset, **{"loss.unimodal.kind": "ulgm"})
    assert set(result.valid) == set(LABEL_SCHEMES["sims"].metrics)
