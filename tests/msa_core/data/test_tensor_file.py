"""The safetensors format: its bytes, the data sets in it, and files that are none."""

import json
import mmap

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from msa_core.config.planted import PlantedConfig
from msa_core.data.layout import named_arrays
from msa_core.data.planted import generate_planted
from msa_core.data.tensor_file import METADATA, open_tensors, write_tensors
from spaces.core import DataError
from tests.cases.feature_files import read_features, write_npz, write_safetensors

SMALL = PlantedConfig(train=12, valid=5, test=6, steps=6, width=4)
KINDS = ("f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "b1")
LAW = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def every_kind():
    """One array of every type, of sizes that would leave later ones unaligned."""
    arrays = {kind: np.arange(3).astype(kind) for kind in KINDS}
    arrays |= {"empty": np.empty((0, 2), np.float32), "scalar": np.array(2.5)}
    return arrays | {"transposed": np.arange(6, dtype=np.float32).reshape(2, 3).T}


def raw_file(tmp_path, header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path = tmp_path / "raw.safetensors"
    length = len(text) if length is None else length
    path.write_bytes(length.to_bytes(8, "little") + text + data)
    return path


def entry(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


# --- The bytes.


def test_every_type_and_shape_comes_back_mapped_and_aligned(tmp_path):
    path = tmp_path / "a.safetensors"
    write_tensors(path, every_kind(), {"note": "é\n"})
    found = open_tensors(path)
    assert found.metadata == {"note": "é\n"}
    assert set(found.arrays) == set(every_kind())
    for name, array in every_kind().items():
        np.testing.assert_array_equal(found.arrays[name], array)
        assert found.arrays[name].dtype == array.dtype
        assert found.arrays[name].flags.aligned
        if array.size:
            assert not found.arrays[name].flags.writeable
            assert lies_in_the_file(found.arrays[name])


def lies_in_the_file(array):
    while isinstance(array, np.ndarray):
        array = array.base
    return isinstance(array, mmap.mmap) or isinstance(getattr(array, "obj", None), mmap.mmap)


def test_the_same_contents_give_the_same_bytes(tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    write_tensors(first, every_kind(), {"a": "1", "b": "2"})
    write_tensors(second, dict(reversed(every_kind().items())), {"b": "2", "a": "1"})
    assert first.read_bytes() == second.read_bytes()


def test_the_reference_library_reads_what_is_written(tmp_path):
    library = pytest.importorskip("safetensors", reason="the reference library is not installed")
    numpy_side = pytest.importorskip("safetensors.numpy")
    path = tmp_path / "a.safetensors"
    write_tensors(path, every_kind(), {"note": "text"})
    for name, array in numpy_side.load_file(path).items():
        np.testing.assert_array_equal(array, every_kind()[name])
    with library.safe_open(path, framework="numpy") as file:
        assert file.metadata() == {"note": "text"}


def test_what_the_reference_library_writes_is_read(tmp_path):
    numpy_side = pytest.importorskip(
        "safetensors.numpy", reason="the reference library is not installed"
    )
    path = tmp_path / "a.safetensors"
    arrays = {name: np.ascontiguousarray(array) for name, array in every_kind().items()}
    numpy_side.save_file(arrays, path, {"note": "text"})
    found = open_tensors(path)
    assert found.metadata == {"note": "text"}
    for name, array in arrays.items():
        np.testing.assert_array_equal(found.arrays[name], array)


def test_bfloat16_is_the_upper_half_of_a_float32(tmp_path):
    path = raw_file(tmp_path, {"a": entry("BF16", (3,), (0, 6))}, b"\x80\x3f\x00\xc0\x40\x40")
    np.testing.assert_array_equal(open_tensors(path).arrays["a"], np.float32([1.0, -2.0, 3.0]))


def test_an_unaligned_array_is_copied_into_place(tmp_path):
    header = json.dumps({"a": entry()}).encode()
    header += b" " * (1 + (-len(header)) % 8)
    path = raw_file(tmp_path, header, np.float32([1.5, 2.5]).tobytes())
    found = open_tensors(path).arrays["a"]
    assert found.flags.aligned
    np.testing.assert_array_equal(found, np.float32([1.5, 2.5]))


# --- Files that are none.

BROKEN = {
    "an empty file": (b"", None, "the file is empty"),
    "a header longer than the file": ({}, 10**15, "its header is cut off"),
    "no JSON": (b"{'a': 1}", None, "its header is no JSON"),
    "bytes that are no text": (b"\xff\xfe{}", None, "its header is no JSON"),
    "JSON without end": (b"[" * 100_000, None, "its header is no JSON"),
    "a list": ([], None, "its header is no JSON object"),
    "metadata with numbers": ({METADATA: {"a": 1}}, None, "'__metadata__' holds more than texts"),
    "an entry without a shape": ({"a": {"dtype": "F32"}}, None, "nothing sound of array 'a'"),
    "a negative shape": ({"a": entry(shape=(-2,))}, None, "nothing sound of array 'a'"),
    "a shape with truth values": ({"a": entry(shape=(True,))}, None, "nothing sound of array 'a'"),
    "three offsets": ({"a": entry(offsets=(0, 4, 8))}, None, "nothing sound of array 'a'"),
    "offsets backwards": ({"a": entry(offsets=(8, 0))}, None, "'a' does not fill its place"),
    "a shape too large": ({"a": entry(shape=(3,))}, None, "'a' does not fill its place"),
    "a shape that overflows": (
        {"a": entry(shape=(2**62, 2**62))}, None, "'a' does not fill its place"
    ),
    "data that are cut off": ({"a": entry(shape=(4,), offsets=(0, 16))}, None, "cut off"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_refused(name, tmp_path):
    header, length, message = BROKEN[name]
    path = raw_file(tmp_path, header, bytes(8), length)
    if header == b"":
        path.write_bytes(b"")
    with pytest.raises(DataError, match=r"^raw\.safetensors: not a readable safetensors file: "):
        open_tensors(path)
    with pytest.raises(DataError, match=message):
        open_tensors(path)


def test_a_type_that_numpy_lacks_is_named_with_those_it_has(tmp_path):
    path = raw_file(tmp_path, {"train.text": entry("F8_E4M3", (8,))}, bytes(8))
    with pytest.raises(DataError, match=r"array 'train\.text' holds 'F8_E4M3'.*save it as F32"):
        open_tensors(path)


def test_a_file_is_refused_wherever_it_ends(tmp_path):
    path = tmp_path / "whole.safetensors"
    write_safetensors(path, generate_planted(SMALL))
    whole, cut = path.read_bytes(), tmp_path / "cut.safetensors"
    for end in np.linspace(0, len(whole) - 1, 25, dtype=int):
        cut.write_bytes(whole[:end])
        with pytest.raises(DataError, match=r"^cut\.safetensors: not a readable"):
            read_features(cut, "mosi")


@LAW
@given(place=st.integers(0, 400), value=st.integers(0, 255))
def test_a_changed_byte_of_the_header_is_refused_or_harmless(place, value, tmp_path):
    path = tmp_path / "a.safetensors"
    write_tensors(path, {"a": np.arange(6, dtype=np.float32).reshape(2, 3)}, {"note": "x" * 9})
    raw = bytearray(path.read_bytes())
    raw[place % (len(raw) - 24)] = value
    path.write_bytes(raw)
    try:
        found = open_tensors(path)
    except DataError:
        return
    for array in found.arrays.values():
        assert array.nbytes <= 48
        array.sum()


# --- Data sets.


def test_what_is_written_is_read_back(tmp_path):
    dataset, path = generate_planted(SMALL), tmp_path / "planted.safetensors"
    write_safetensors(path, dataset)
    found = read_features(path, "mosi")
    assert found.source == "planted.safetensors"
    assert found.fingerprint == dataset.fingerprint
    assert found.splits.train.ids == dataset.splits.train.ids
    assert found.test.unimodal_labels.keys() == dataset.test.unimodal_labels.keys()


def test_npz_and_safetensors_hold_equal_data(tmp_path):
    dataset = generate_planted(SMALL)
    write_npz(tmp_path / "a.npz", dataset)
    write_safetensors(tmp_path / "a.safetensors", read_features(tmp_path / "a.npz", "mosi"))
    assert read_features(tmp_path / "a.safetensors", "mosi").fingerprint == dataset.fingerprint


@pytest.mark.parametrize("separator", [".", "/"])
def test_ids_are_a_list_in_the_metadata_or_numbers(separator, tmp_path):
    path = tmp_path / "a.safetensors"
    arrays = {
        n.replace(".", separator): a for n, a in named_arrays(generate_planted(SMALL)).items()
    }
    arrays[f"valid{separator}id"] = np.arange(5)
    ids = {f"train{separator}id": json.dumps([f"vidéo$_${row}" for row in range(12)])}
    write_tensors(path, arrays, {**ids, "format": "np"})
    found = read_features(path, "mosi")
    assert found.splits.train.ids[3] == "vidéo$_$3"
    assert found.splits.valid.ids == ("0", "1", "2", "3", "4")
    assert found.test.ids[0] == "test/0"


@pytest.mark.parametrize("text", ["a, b", "[1, 2]", '{"a": "b"}', "[" * 100_000])
def test_ids_that_are_no_list_of_texts_are_refused(text, tmp_path):
    path = tmp_path / "a.safetensors"
    write_tensors(path, named_arrays(generate_planted(SMALL)), {"train.id": text})
    with pytest.raises(
        DataError, match=r"a\.safetensors: metadata 'train\.id' must be a JSON list"
    ):
        read_features(path, "mosi")


def test_an_array_given_under_both_names_is_refused(tmp_path):
    path = tmp_path / "a.safetensors"
    arrays = named_arrays(generate_planted(SMALL))
    write_tensors(path, arrays | {"test/text": arrays["test.text"]}, {})
    with pytest.raises(DataError, match="split 'test', key 'text': given twice"):
        read_features(path, "mosi")


def test_a_missing_split_is_named(tmp_path):
    path = tmp_path / "a.safetensors"
    arrays = {
        n.replace("valid.", "dev."): a for n, a in named_arrays(generate_planted(SMALL)).items()
    }
    write_tensors(path, arrays, {})
    with pytest.raises(DataError, match=r"split 'valid' is missing.*rename 'dev' to 'valid'"):
        read_features(path, "mosi")
