"""Pickled feature files: what is read, and the messages of broken and wrong ones."""

import pickle
import re
from collections import OrderedDict, defaultdict

import numpy as np
import pytest

from spaces.core import DataError
from tests.cases.feature_files import read_features
from tests.cases.paths import SHARED_DATA

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
REAL = SHARED_DATA


@pytest.fixture
def content():
    """What a small, correct file holds."""
    generator = np.random.default_rng(0)
    return {
        name: {
            "id": [f"{name}$_${row}" for row in range(rows)],
            "raw_text": np.array([f"words {row}" for row in range(rows)]),
            "text": generator.normal(size=(rows, 5, 3)).astype(np.float32),
            "audio": np.asfortranarray(generator.normal(size=(rows, 7, 2))),
            "audio_lengths": [row % 8 for row in range(rows)],
            "vision": generator.normal(size=(5, rows, 4)).transpose(1, 0, 2),
            "regression_labels": generator.uniform(-1, 1, rows).astype(np.float32),
            "regression_labels_T": [np.float64(value) for value in np.linspace(-1, 1, rows)],
            "annotations": ["Neutral"] * rows,
            "classification_labels": np.zeros(rows, np.int64),
        }
        for name, rows in (("train", 9), ("valid", 4), ("test", 5))
    }


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_protocol_gives_the_same_data(content, write, protocol):
    dataset = read_features(write(content, protocol), "mosi")
    assert dataset.source == "features.pkl"
    assert dataset.modalities == ("text", "audio", "vision")
    for split in (dataset.splits.train, dataset.splits.valid, dataset.test):
        given = content[split.name]
        assert split.ids == tuple(given["id"])
        for modality in dataset.modalities:
            found = split.features[modality]
            np.testing.assert_array_equal(found, given[modality].astype(np.float32))
            assert found.dtype == np.float32
            assert found.flags.c_contiguous
            assert found.flags.writeable  # Tensors share the memory.
        np.testing.assert_array_equal(split.lengths["audio"], given["audio_lengths"])
        assert set(split.lengths["text"]) == {5}
        np.testing.assert_array_equal(split.labels, given["regression_labels"])
        np.testing.assert_allclose(
            split.unimodal_labels["text"], given["regression_labels_T"], rtol=1e-6
        )


@pytest.mark.parametrize("package", [b"numpy.core.", b"numpy._core."])
@pytest.mark.parametrize("protocol", [0, 1, 2, 3])
def test_module_names_of_numpy_1_and_2_are_read(content, write, protocol, package):
    raw = re.sub(rb"numpy\._?core\.", package, pickle.dumps(content, protocol))
    assert package in raw
    expected = read_features(write(content), "mosi").fingerprint
    assert read_features(write(raw), "mosi").fingerprint == expected


def test_arrays_that_python_2_pickled_are_read(write):
    array = np.linspace(-1, 1, 6, dtype=np.float32).reshape(3, 2)

    def text(value):
        return b"U" + bytes([len(value)]) + value

    def pickled(array):
        return (
            b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00t" + text(b"b") + b"tR"
            b"(K\x01(" + b"".join(b"K" + bytes([n]) for n in array.shape) + b"t"
            b"cnumpy\ndtype\n(" + text(b"f4") + b"K\x00K\x01tR"
            b"(K\x03" + text(b"<") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
            b"I00\n" + text(array.tobytes()) + b"tb"
        )

    raw = b"\x80\x02}("
    for name in (b"train", b"valid", b"test"):
        raw += text(name) + b"}(" + text(b"text") + pickled(array)
        raw += text(b"regression_labels") + pickled(array[:, 0].copy()) + b"u"
    dataset = read_features(write(raw + b"u."), "mosi")
    np.testing.assert_array_equal(dataset.test.features["text"][:, 0], array)
    assert dataset.test.ids == ("test/0", "test/1", "test/2")


def test_big_endian_object_ids_and_ordered_dictionaries_are_read(content, write):
    for split in content.values():
        split["text"] = split["text"].astype(">f4")
        split["id"] = np.array(split["id"], dtype=object)
        split["extra"] = [
            np.array([1, None], dtype=object),
            {1},
            2j,
            b"x",
            bytearray(b"y"),
            range(3),
        ]
    wrapped = OrderedDict((name, defaultdict(list, split)) for name, split in content.items())
    for protocol in PROTOCOLS:
        dataset = read_features(write(wrapped, protocol), "mosi")
        assert dataset.test.ids == tuple(content["test"]["id"])
        np.testing.assert_array_equal(dataset.test.features["text"], content["test"]["text"])


# --- Broken and wrong files.


def test_an_empty_file_is_said_to_be_empty(write):
    with pytest.raises(DataError, match=r"features\.pkl: the file is empty"):
        read_features(write(b""), "mosi")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_truncated_file_is_refused_wherever_it_ends(content, write, protocol):
    whole = pickle.dumps(content, protocol)
    for end in np.linspace(1, len(whole) - 1, 25, dtype=int):
        with pytest.raises(DataError, match=r"features\.pkl: .*is the file complete"):
            read_features(write(whole[:end]), "mosi")


def test_garbage_is_refused(write):
    generator = np.random.default_rng(0)
    for _ in range(200):
        with pytest.raises(DataError, match=r"features\.pkl: "):
            read_features(write(generator.bytes(generator.integers(1, 60))), "mosi")
    with pytest.raises(DataError, match="not a readable pickle"):
        read_features(write(b"version https://git-lfs.github.com/spec/v1\n"), "mosi")


@pytest.mark.parametrize("top", [[1, 2], "text", 3, None, np.zeros(3)])
def test_a_file_without_splits_is_refused(write, top):
    with pytest.raises(DataError, match="a dictionary of the splits train, valid, test is needed"):
        read_features(write(top), "mosi")


def test_a_split_that_is_no_dictionary_is_refused(content, write):
    content["test"] = [content["test"]]
    with pytest.raises(DataError, match="split 'test' holds a value of type list"):
        read_features(write(content), "mosi")


@pytest.mark.parametrize("name", ["val", "dev", "validation", "Valid", "vald"])
def test_a_split_under_another_name_is_pointed_out(content, write, name):
    content[name] = content.pop("valid")
    with pytest.raises(DataError, match=f"split 'valid' is missing.*'{name}'.*(rename|did you).*"):
        read_features(write(content), "mosi")


def test_features_of_objects_are_refused(content, write):
    ragged = np.empty(2, dtype=object)
    ragged[:] = [np.zeros((3, 2)), np.zeros((4, 2))]
    content["train"]["audio"] = ragged
    with pytest.raises(DataError, match=r"'train', key 'audio': .*array of Python objects, item 0"):
        read_features(write(content), "mosi")


def test_ragged_lists_are_refused_with_the_row(content, write):
    content["train"]["text"] = [np.zeros((5, 3))] * 4 + [np.zeros((6, 3))] * 5
    with pytest.raises(DataError, match=r"'text', row 4: shape \(6, 3\), but row 0 has \(5, 3\)"):
        read_features(write(content), "mosi")


def test_lists_of_equal_arrays_are_one_array(content, write):
    expected = read_features(write(content), "mosi").fingerprint
    for split in content.values():
        split["text"] = list(split["text"])
        split["vision"] = split["vision"].tolist()
    assert read_features(write(content), "mosi").fingerprint == expected


@pytest.mark.parametrize(
    ("name", "rows", "modalities", "shape"),
    [
        ("mosi_utterance.pkl", (1447, 269, 483), ("text", "audio", "vision"), (1, 100)),
        ("youtube_sequence_tav.pkl", (57, 15, 24), ("text", "audio", "vision"), (20, 36)),
        ("mmmo_sequence_av.pkl", (220, 40, 80), ("audio", "vision"), (20, 36)),
    ],
)
def test_real_files_are_read_as_pickle_would(name, rows, modalities, shape):
    path = REAL / name
    if not path.exists():
        pytest.skip(f"{path} is not there: real feature files are not part of the repository")
    dataset = read_features(path, "mosi")
    train, valid, test = dataset.splits.train, dataset.splits.valid, dataset.test
    assert (len(train), len(valid), len(test)) == rows
    assert dataset.modalities == modalities
    assert train.features["vision"].shape[1:] == shape
    expected = pickle.loads(path.read_bytes())
    for split in (train, valid, test):
        assert split.ids == tuple(expected[split.name]["id"])
        np.testing.assert_array_equal(split.labels, expected[split.name]["regression_labels"])
        for modality in modalities:
            np.testing.assert_array_equal(split.features[modality], expected[split.name][modality])
