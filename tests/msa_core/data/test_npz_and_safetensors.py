"""The npz format: named arrays in, equal data out, nothing run."""

import os
import pickle

import numpy as np
import pytest

from msa_core.config.planted import PlantedConfig
from msa_core.data.planted import generate_planted
from spaces.core import DataError
from tests.cases.feature_files import read_features, write_npz

SMALL = PlantedConfig(train=12, valid=5, test=6, steps=6, width=4)


@pytest.fixture
def arrays():
    """The named arrays of a small, correct archive."""
    dataset = generate_planted(SMALL)
    named = {}
    for split in (dataset.splits.train, dataset.splits.valid, dataset.test):
        named[f"{split.name}.id"] = np.array(split.ids)
        named[f"{split.name}.regression_labels"] = split.labels
        for modality in dataset.modalities:
            named[f"{split.name}.{modality}"] = split.features[modality]
            named[f"{split.name}.{modality}_lengths"] = split.lengths[modality]
            letter = modality[0].upper()
            named[f"{split.name}.regression_labels_{letter}"] = split.unimodal_labels[modality]
    return named


@pytest.fixture
def write(tmp_path):
    def write(arrays, **options):
        path = tmp_path / "features.npz"
        np.savez(path, **options, **arrays)
        return path

    return write


def test_what_is_written_is_read_back(tmp_path):
    dataset = generate_planted(SMALL)
    path = tmp_path / "planted.npz"
    write_npz(path, dataset)
    found = read_features(path, "mosi")
    assert found.source == "planted.npz"
    assert found.fingerprint == dataset.fingerprint
    assert found.splits.train.ids == dataset.splits.train.ids


def test_the_names_are_those_of_the_documentation(arrays, write):
    assert read_features(write(arrays), "mosi").fingerprint == generate_planted(SMALL).fingerprint


def test_slashes_are_dots_and_other_names_are_ignored(arrays, write):
    slashed = {name.replace(".", "/"): array for name, array in arrays.items()}
    slashed |= {"version": np.array(3), "train/notes": np.array(["a"]), "extra/text": np.zeros(1)}
    assert read_features(write(slashed), "mosi").fingerprint == generate_planted(SMALL).fingerprint


def test_the_same_contents_in_a_pickle_have_the_same_fingerprint(arrays, write, tmp_path):
    content = {}
    for name, array in arrays.items():
        split, key = name.split(".")
        content.setdefault(split, {})[key] = array
    path = tmp_path / "features.pkl"
    path.write_bytes(pickle.dumps(content))
    assert (
        read_features(path, "mosi").fingerprint == read_features(write(arrays), "mosi").fingerprint
    )


def test_an_array_given_under_both_names_is_refused(arrays, write):
    arrays["valid/text"] = arrays["valid.text"]
    with pytest.raises(DataError, match=r"features\.npz: split 'valid', key 'text': given twice"):
        read_features(write(arrays), "mosi")


def test_a_missing_split_is_named(arrays, write):
    renamed = {name.replace("valid.", "dev."): array for name, array in arrays.items()}
    with pytest.raises(DataError, match=r"split 'valid' is missing.*rename 'dev' to 'valid'"):
        read_features(write(renamed), "mosi")


class Attack:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


def test_python_objects_are_refused_and_not_made(arrays, write, tmp_path):
    marker = tmp_path / "marker"
    arrays["test.id"] = np.array([Attack(marker)] * 6, dtype=object)
    with pytest.raises(DataError, match=r"array 'test\.id' cannot be read.*not Python objects"):
        read_features(write(arrays, allow_pickle=True), "mosi")
    assert not marker.exists()


def test_python_objects_under_ignored_names_are_not_made(arrays, write, tmp_path):
    marker = tmp_path / "marker"
    arrays["test.notes"] = np.array([Attack(marker)], dtype=object)
    assert read_features(write(arrays, allow_pickle=True), "mosi")
    assert not marker.exists()


def test_a_pickle_with_the_wrong_suffix_is_refused_and_not_run(tmp_path):
    marker, path = tmp_path / "marker", tmp_path / "features.npz"
    path.write_bytes(pickle.dumps(Attack(marker)))
    with pytest.raises(DataError, match="not a readable npz archive"):
        read_features(path, "mosi")
    assert not marker.exists()


def test_a_truncated_archive_is_refused_wherever_it_ends(arrays, write, tmp_path):
    whole = write(arrays).read_bytes()
    path = tmp_path / "cut.npz"
    for end in np.linspace(0, len(whole) - 1, 20, dtype=int):
        path.write_bytes(whole[:end])
        with pytest.raises(DataError, match=r"cut\.npz: not a readable npz archive"):
            read_features(path, "mosi")


def test_a_corrupt_array_is_refused_by_its_name(arrays, write):
    path = write(arrays)
    raw = bytearray(path.read_bytes())
    at = raw.index(arrays["train.audio"].tobytes())
    raw[at] ^= 0xFF
    path.write_bytes(raw)
    with pytest.raises(DataError, match=r"array 'train\.audio' cannot be read \(Bad CRC"):
        read_features(path, "mosi")


def test_a_single_array_is_refused(tmp_path):
    path = tmp_path / "features.npz"
    with path.open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(DataError, match="one array, not an npz archive"):
        read_features(path, "mosi")
