"""From named values to checked splits, and the front door `load_dataset`."""

import dataclasses
import pickle
import re

import numpy as np
import pytest

from msa_core.config.planted import PlantedConfig
from msa_core.data.layout import to_dataset, to_split
from msa_core.data.load import load_dataset
from msa_core.data.planted import generate_planted
from spaces.core import DataError

SMALL = PlantedConfig(train=6, valid=4, test=4, steps=4, width=3)


@pytest.fixture
def values():
    """What one small, correct split holds."""
    return {
        "id": ["a", "b", "c"],
        "text": np.ones((3, 4, 2), np.float32),
        "audio": np.ones((3, 5), np.float64),
        "text_lengths": [4, 2, 1],
        "regression_labels": [0.5, -1.0, 1.0],
    }


@pytest.fixture
def splits(values):
    """What a small, correct file holds."""
    return {
        name: {**values, "id": [f"{name}{row}" for row in range(3)]}
        for name in ("train", "valid", "test")
    }


def refused(values, message):
    with pytest.raises(DataError, match=f"^{re.escape('f.pkl: split ')}'valid'.*{message}"):
        to_split("f.pkl", "valid", values)


def dataset_refused(splits, message):
    with pytest.raises(DataError, match=f"^{re.escape('f.pkl: ')}.*{message}"):
        to_dataset("f.pkl", "mosi", splits)


# --- One split.


def test_values_come_out_in_the_one_shape(values):
    split = to_split("f.pkl", "valid", values)
    assert len(split) == 3
    assert split.name == "valid"
    assert split.ids == ("a", "b", "c")
    assert {key: array.shape for key, array in split.features.items()} == {
        "text": (3, 4, 2),
        "audio": (3, 1, 5),
    }
    assert {array.dtype for array in split.features.values()} == {np.dtype(np.float32)}
    assert split.lengths["text"].tolist() == [4, 2, 1]
    assert split.lengths["audio"].tolist() == [1, 1, 1]
    assert split.lengths["text"].dtype == np.int64
    assert split.labels.dtype == np.float32
    assert split.unimodal_labels == {}


def test_names_are_made_up_where_there_are_none(values):
    del values["id"]
    assert to_split("f.pkl", "valid", values).ids == ("valid/0", "valid/1", "valid/2")


def test_whole_numbers_may_be_names(values):
    values["id"] = [7, 8, 9]
    assert to_split("f.pkl", "valid", values).ids == ("7", "8", "9")


def test_labels_may_be_a_column(values):
    values["regression_labels"] = np.zeros((3, 1))
    assert to_split("f.pkl", "valid", values).labels.shape == (3,)


def test_unimodal_labels_of_present_modalities_are_kept(values):
    values |= {f"regression_labels_{letter}": [0.0, 1.0, 2.0] for letter in "TAV"}
    assert set(to_split("f.pkl", "valid", values).unimodal_labels) == {"text", "audio"}


@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.int8, np.int64, ">f8"])
def test_any_numbers_become_float32(values, dtype):
    values["text"] = np.arange(24).reshape(3, 4, 2).astype(dtype)
    found = to_split("f.pkl", "valid", values).features["text"]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found.ravel(), np.arange(24))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"text": np.ones((2, 4, 2))}, "key 'text': 2 rows, but 'regression_labels' has 3"),
        ({"text": np.ones(3)}, r"key 'text': shape \(3,\), but \[N, T, d\] or \[N, d\]"),
        ({"text": np.ones((3, 1, 1, 1))}, r"key 'text': shape \(3, 1, 1, 1\)"),
        ({"text": [[[1, 2]], [[1, 2]], [[1]]]}, r"row 2: shape \(1, 1\), but row 0 has \(1, 2\)"),
        ({"text": [[[1, 2], [1]]] * 3}, "row 0: its frames differ in width"),
        ({"text": [["a"]] * 3}, "key 'text': holds <U1 values, but numbers"),
        ({"text": None}, "key 'text': holds object values"),
        ({"text": np.ones((3, 2), bool)}, "holds bool values"),
        ({"text": np.ones((3, 2), complex)}, "holds complex128 values"),
        ({"audio": np.full((3, 5), 1e300)}, r"'audio', row 0: 1e\+300 is not finite in float32"),
        ({"text_lengths": [4, 2.5, 1]}, "'text_lengths', row 1: 2.5 is not a whole number"),
        ({"text_lengths": [4, 2, np.inf]}, "'text_lengths', row 2: inf is not a whole number"),
        ({"text_lengths": [4, 2]}, "'text_lengths': 2 rows"),
        ({"id": ["a", "b"]}, "'id': 2 rows"),
        ({"id": np.ones((3, 2))}, r"'id': float64 values of shape \(3, 2\)"),
        ({"regression_labels": np.ones((3, 2))}, r"shape \(3, 2\), but \[N\] is needed"),
        ({"regression_labels": 1.0}, r"shape \(\), but \[N\] is needed"),
        ({"regression_labels": []}, "is empty"),
        ({"regression_labels_A": [1.0]}, "'regression_labels_A': 1 rows"),
    ],
)
def test_a_wrong_value_is_refused_with_its_key_and_row(values, change, message):
    refused(values | change, message)


def test_missing_labels_are_refused_with_what_is_there(values):
    values["regression_label"] = values.pop("regression_labels")
    refused(values, "no 'regression_labels', only 'id'.*did you mean 'regression_label'")


def test_a_split_without_modalities_is_refused(values):
    refused({"regression_labels": [1.0], "video": np.ones((1, 2))}, "none of text, .*'video'")


def test_overflow_is_found_in_the_row_where_it_is(values):
    values["audio"] = np.zeros((3, 5))
    values["audio"][1, 2] = -1e39
    refused(values, r"'audio', row 1: -1e\+39 is not finite in float32")


# --- Three splits.


def test_a_correct_file_becomes_a_dataset(splits):
    dataset = to_dataset("f.pkl", "mosi", splits)
    assert dataset.source == "f.pkl"
    assert dataset.modalities == ("text", "audio")
    assert dataset.splits.scheme == "mosi"
    assert [dataset.splits.train.name, dataset.splits.valid.name] == ["train", "valid"]
    assert dataset.test.name == "test"


def test_an_unknown_scheme_is_refused(splits):
    with pytest.raises(DataError, match=r"'moso' is no label scheme.*did you mean 'mosi'"):
        to_dataset("f.pkl", "moso", splits)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(splits, bad):
    splits["test"]["audio"] = np.ones((3, 5))
    splits["test"]["audio"][2, 1] = bad
    dataset_refused(splits, "split 'test', key 'audio', row 2: holds NaN or infinity")
    splits["test"]["audio"][1, 1] = bad
    dataset_refused(splits, "split 'test', key 'audio', row 1 and 1 more rows: holds NaN")


def test_labels_outside_the_scheme_are_refused(splits):
    splits["train"]["regression_labels"] = [0.0, 3.5, 0.0]
    dataset_refused(splits, r"'regression_labels', row 1: 3.5 is outside \[-3, 3\]")
    splits["train"]["regression_labels"] = [0.0, 2.0, 0.0]
    with pytest.raises(DataError, match=r"\[-1, 1\] of the 'sims' labels"):
        to_dataset("f.pkl", "sims", splits)


@pytest.mark.parametrize("frames", [-1, 5])
def test_lengths_outside_the_features_are_refused(splits, frames):
    splits["valid"]["text_lengths"] = [4, frames, 4]
    dataset_refused(splits, f"'text_lengths', row 1: {frames} frames, but the features have 0 to 4")


def test_features_without_frames_are_refused(splits):
    splits["valid"] |= {"text": np.ones((3, 0, 2)), "text_lengths": [0, 0, 0]}
    dataset_refused(splits, r"split 'valid', key 'text': shape \(3, 0, 2\)")


def test_splits_must_agree_on_modalities_and_widths(splits):
    removed = {key: value for key, value in splits["test"].items() if key != "audio"}
    dataset_refused(splits | {"test": removed}, r"'test' has \['text'\], but train has")
    splits["test"]["audio"] = np.ones((3, 4))
    dataset_refused(splits, "split 'test', key 'audio': 4 features a frame, but train has 5")


def test_an_utterance_in_two_splits_is_refused(splits):
    splits["test"]["id"][1] = "train2"
    dataset_refused(splits, "utterance 'train2' is in split 'train' and again in 'test'")


def test_an_utterance_twice_in_one_split_is_refused(splits):
    splits["test"]["id"] = ["x", "y", "x"]
    dataset_refused(splits, "utterance 'x' is in split 'test' and again in 'test'")


def test_the_fingerprint_follows_every_value(splits):
    def fingerprint():
        return to_dataset("f.pkl", "mosi", splits).fingerprint

    seen = {fingerprint()}
    splits["test"]["audio"] = splits["test"]["audio"] * 2
    seen.add(fingerprint())
    splits["valid"]["text_lengths"] = [4, 2, 2]
    seen.add(fingerprint())
    splits["train"]["regression_labels"] = [0.5, -1.0, 0.75]
    seen.add(fingerprint())
    splits["train"]["regression_labels_T"] = [0.0, 0.0, 0.0]
    seen.add(fingerprint())
    assert len(seen) == 5
    splits["train"]["text"] = np.asfortranarray(splits["train"]["text"], np.float64)
    assert fingerprint() in seen  # Another memory layout of the same values.


def test_values_are_frozen(splits):
    dataset = to_dataset("f.pkl", "mosi", splits)
    with pytest.raises(dataclasses.FrozenInstanceError):
        dataset.test = None


# --- The front door.


@pytest.mark.parametrize("name", ["f.pkl", "f.pickle", "F.PKL", "f.npz"])
def test_the_suffix_names_the_format(splits, tmp_path, name):
    path = tmp_path / name
    if name.endswith("npz"):
        named = {f"{a}.{b}": value for a, split in splits.items() for b, value in split.items()}
        np.savez(path, **named)
    else:
        path.write_bytes(pickle.dumps(splits))
    dataset = load_dataset(path, "mosi")
    assert dataset.source == name
    assert dataset.fingerprint == to_dataset("f.pkl", "mosi", splits).fingerprint


def test_a_recipe_is_generated():
    assert load_dataset(SMALL, "mosi").fingerprint == generate_planted(SMALL).fingerprint
    with pytest.raises(DataError, match="planted data have 'mosi' labels, but 'sims'"):
        load_dataset(SMALL, "sims")


def test_a_missing_file_is_refused_with_its_nearest_neighbour(tmp_path):
    (tmp_path / "features.pkl").touch()
    with pytest.raises(DataError, match=r"feature\.pkl: no such file.*did you mean 'features.pkl'"):
        load_dataset(tmp_path / "feature.pkl", "mosi")
    with pytest.raises(DataError, match="no such file"):
        load_dataset(tmp_path / "nowhere" / "features.pkl", "mosi")


def test_a_folder_is_refused_with_the_files_in_it(tmp_path):
    with pytest.raises(DataError, match=r"a folder.*it has none"):
        load_dataset(tmp_path, "mosi")
    (tmp_path / "features.pkl").touch()
    (tmp_path / "notes.txt").touch()
    with pytest.raises(DataError, match=r"a folder; name one feature file .*it has features\.pkl$"):
        load_dataset(tmp_path, "mosi")


@pytest.mark.parametrize("name", ["features.csv", "features", "features.npy"])
def test_an_unknown_format_is_refused(tmp_path, name):
    (tmp_path / name).touch()
    with pytest.raises(DataError, match=r"unknown format.*end in \.pkl, \.pickle, \.npz"):
        load_dataset(tmp_path / name, "mosi")
