"""Feature files changed at random, and made to do harm: refused with a message, nothing is run.

What is not refused is a sound data set. Nothing hangs, and nothing takes memory that it has not.
"""

import io
import json
import os
import pickle
import pickletools
import random
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from msa_core.config.fields import LABEL_SCHEMES
from msa_core.config.planted import PlantedConfig
from msa_core.data import npz_and_safetensors as array_formats
from msa_core.data.load import load_dataset
from msa_core.data.planted import generate_planted
from spaces.core import DataError
from tests.cases.feature_files import write_npz, write_safetensors

pytestmark = pytest.mark.timeout(200)
DATA = generate_planted(PlantedConfig(train=12, valid=5, test=6, steps=6, width=4))
MARKER = "marker"
PAYLOADS = (
    b"cposix\nsystem\n(S'touch marker'\ntR0",
    b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x0ctouch marker\x85R0",
    b"(S'touch marker'\nios\nsystem\n0",
    b'c__builtin__\neval\n(S\'__import__("pathlib").Path("marker").touch()\'\ntR0',
)


@pytest.fixture(autouse=True)
def no_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("TRIPTYCH_CACHE", "off")
    monkeypatch.chdir(tmp_path)  # where a payload would leave its marker


def content():
    """What a pickle holds."""
    return {
        split.name: {
            "id": list(split.ids),
            "raw_text": np.array(["words"] * len(split)),
            "regression_labels": split.labels,
            "annotations": ["Neutral"] * len(split),
            "audio_lengths": split.lengths["audio"].tolist(),
            **split.features,
        }
        for split in (DATA.splits.train, DATA.splits.valid, DATA.test)
    }


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """Suffix -> the bytes of sound files, one of every way to write one."""
    folder = tmp_path_factory.mktemp("sound")
    write_npz(folder / "a.npz", DATA)
    write_safetensors(folder / "a.safetensors", DATA)
    with np.load(folder / "a.npz") as archive:
        np.savez_compressed(folder / "b.npz", **archive)
    pickles = [pickle.dumps(content(), protocol) for protocol in range(6)]
    files = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
    return {f"{number}.pkl": raw for number, raw in enumerate(pickles)} | files


@pytest.fixture(scope="module")
def steps(sound):
    """Where the steps of the pickles' programs begin."""
    return {
        name: [place for _, _, place in pickletools.genops(raw)]
        for name, raw in sound.items()
        if name.endswith("pkl")
    }


# Ways to damage a file.


def flip(draw, raw, _):
    place = draw.randrange(len(raw))
    return raw[:place] + bytes([raw[place] ^ 1 << draw.randrange(8)]) + raw[place + 1 :]


def flip_near_an_end(draw, raw, _):
    """Where headers and directories are."""
    place = draw.choice([draw.randrange(min(400, len(raw))), -1 - draw.randrange(400)])
    changed = bytearray(raw)
    changed[place] = draw.randrange(256)
    return bytes(changed)


def cut(draw, raw, _):
    place = draw.randrange(len(raw))
    return raw[:place] + raw[place + draw.choice([1, 8, 100, 10**6]) :]


def insert(draw, raw, _):
    place = draw.randrange(len(raw))
    return raw[:place] + draw.randbytes(draw.choice([1, 8, 100])) + raw[place:]


def double(draw, raw, _):
    place, size = draw.randrange(len(raw)), draw.choice([8, 100, 1000])
    return raw[:place] + raw[place : place + size] + raw[place:]


def swap_words(draw, raw, _):
    """Names, types and numbers for others."""
    words = (b"train", b"valid", b"test", b"text", b"<f4", b"|O", b"<U9", b"F32", b"I64", b"BF16",
             b"(12, 6, 4)", b"(99999999999999, 6, 4)", b"[12,6,4]", b"[9999999999,6,4]", b"true",
             b"regression_labels", b"id", b"numpy", b"builtins", b"dtype", b"NaN")  # fmt: skip
    found = [word for word in words if word in raw]
    if not found:
        return raw
    return raw.replace(draw.choice(found), draw.choice(words), draw.choice([1, -1]))


def not_finite(draw, raw, _):
    place = draw.randrange(len(raw) // 4) * 4
    value = draw.choice([float("nan"), float("inf"), -3.4e38, 1e10])
    return raw[:place] + struct.pack("<f", value) + raw[place + 4 :]


def other_step(draw, raw, steps):
    """Another operation in a pickle's program."""
    if not steps:
        return flip(draw, raw, steps)
    place = draw.choice(steps)
    code = draw.choice(pickletools.opcodes).code.encode("latin1")
    return raw[:place] + code + raw[place + 1 :]


def payload(draw, raw, steps):
    """A call of the shell in a pickle's program."""
    place = draw.choice(steps) if steps else draw.randrange(len(raw))
    return raw[:place] + draw.choice(PAYLOADS) + raw[place:]


DAMAGES = (flip, flip_near_an_end, cut, insert, double, swap_words, not_finite, other_step,
           other_step, payload)  # fmt: skip


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    place=st.integers(0, 8),
    seed=st.integers(0, 2**32),
    damages=st.lists(st.sampled_from(DAMAGES), min_size=1, max_size=3),
)
def test_a_changed_file_is_refused_by_name_or_sound(sound, steps, tmp_path, place, seed, damages):
    name = sorted(sound)[place]
    draw = random.Random(seed)
    raw = sound[name]
    for number, damage in enumerate(damages):
        raw = damage(draw, raw, steps.get(name) if number == 0 else None) or b"\0"
    path = tmp_path / name
    path.write_bytes(raw)
    try:
        dataset = load_dataset(path, "mosi")
    except DataError as error:
        event("refused")
        assert name in str(error)
    else:
        event("read")
        is_sound(dataset)
    assert not Path(MARKER).exists()


def is_sound(dataset):
    for split in (dataset.splits.train, dataset.splits.valid, dataset.test):
        assert np.isfinite(split.labels).all()
        assert np.abs(split.labels).max() <= LABEL_SCHEMES["mosi"].bound + 1e-6
        assert len(split.ids) == len(split)
        for modality, features in split.features.items():
            assert features.dtype == np.float32 and len(features) == len(split)
            assert np.isfinite(features).all()
            assert (split.lengths[modality] <= features.shape[1]).all()


@pytest.mark.parametrize("payload", PAYLOADS)
def test_the_payloads_are_real(payload):
    pickle.loads(payload + b"N.")
    assert Path(MARKER).exists()


# Files that would take all time or memory. Each is small.


TUPLES = b")" + b"2\x86" * 60  # a tuple of two of the same tuple, and so on: 2**60 in the end
LISTS = b"]" + b"q\x000(h\x00h\x00l" * 60
NUMBER = b"\x8a\x08" + (10**13).to_bytes(8, "little")


def called(name, argument, module="builtins"):
    return f"c{module}\n{name}\n".encode() + b"(" + argument + b"tR"


def in_text(value):
    """A file whose text features are a value that is already pickled."""
    rest = pickle.dumps(content(), 2)[2:-1]
    return b"\x80\x02" + rest + b"U\x05train(U\x04text" + value + b"ds."


def forged(code, shape, data):
    """An array of parts that are already pickled."""
    dtype = (
        b"cnumpy\ndtype\n(" + code + b"tR(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    )
    made = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR"
    return made + b"(K\x01" + shape + dtype + b"I00\n" + data + b"tb"


def npy(header):
    text = header.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + bytes(64)


def zipped(text):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("train.text.npy", text)
    return file.getvalue()


def tensors(of_text=None, **named):
    header = {"train.text": of_text} if of_text else named
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + bytes(64)


def of_shape(text):
    return npy(f"{{'descr': '<f4', 'fortran_order': False, 'shape': {text}, }}")


def many_ids():
    """One long name and many short ones: in one array all would be long."""
    labels = np.zeros(200_001, np.float32).tobytes()
    file = tensors(**{
        "__metadata__": {"train.id": json.dumps([""] * 200_000 + ["x" * 500_000])},
        "train.regression_labels": entry([200_001], [0, len(labels)]),
        "train.text": entry([200_001, 1], [0, len(labels)]),
        "valid.text": entry([1, 1], [0, 4]),
        "test.text": entry([1, 1], [0, 4]),
    })  # fmt: skip
    return file + labels


def entry(shape, offsets):
    return {"dtype": "F32", "shape": shape, "data_offsets": offsets}


BOMBS = {
    "memo.pkl": b"\x80\x04]r\xf0\xff\xff\xff.",
    "tuple_as_key.pkl": b"\x80\x02}" + TUPLES + b"K\x01s.",
    "tuple_as_key_of_items.pkl": b"\x80\x02}(" + TUPLES + b"K\x01u.",
    "tuple_as_key_of_dict.pkl": b"\x80\x02(" + TUPLES + b"K\x01d.",
    "tuple_in_set.pkl": b"\x80\x04\x8f(" + TUPLES + b"\x90.",
    "tuple_in_frozenset.pkl": b"\x80\x04(" + TUPLES + b"\x91.",
    "tuple_in_called_set.pkl": called("set", b"(" + TUPLES + b"l") + b".",
    "tuple_in_ordered.pkl": called("OrderedDict", b"(" + TUPLES + b"N\x86l", "collections") + b".",
    "lists.pkl": in_text(LISTS),
    "text_of_lists.pkl": called("str", LISTS) + b".",
    "range.pkl": called("list", called("range", NUMBER)) + b".",
    "bytearray.pkl": called("bytearray", NUMBER) + b".",
    "bytes.pkl": called("bytes", NUMBER) + b".",
    "copies.pkl": b"(" + b"K\x01" * 200_000 + b"lq\x00"
    + b"0cbuiltins\nlist\n(h\x00tR" * 50_000 + b".",
    "persistent.pkl": LISTS + b"Q.",
    "type.pkl": in_text(forged(LISTS, b"K\x00\x85", b"U\x00")),
    "shape.pkl": in_text(forged(b"U\x02f4", LISTS, b"U\x00")),
    "axes.pkl": in_text(forged(b"U\x02f4", b"(" + b"K\x01" * 1000 + b"t", b"U\x04aaaa")),
    "shape_of_nothing.pkl": in_text(
        forged(b"U\x02O8", b"(K\x00\x8a\x0a" + (2**70).to_bytes(10, "little") + b"t", b"]")
    ),
    "texts.pkl": in_text(
        forged(
            b"U\x02O8",
            b"J\x40\x0d\x03\x00\x85",
            b"(" + b"U\x00" * 200_000 + b"X\x20\xa1\x07\x00" + b"x" * 500_000 + b"l",
        )
    ),
    "same_array.pkl": in_text(
        forged(b"U\x02f4", b"J\xa0\x86\x01\x00\x85", b"T\x80\x1a\x06\x00" + bytes(400_000))
        + b"q\x010(" + b"h\x01" * 100_000 + b"l"
    ),
    "long_bytes.pkl": b"\x80\x04\x8e" + (2**60).to_bytes(8, "little") + b"x.",
    "long_text.pkl": b"\x80\x04\x8d" + (2**40).to_bytes(8, "little") + b"x.",
    "frame.pkl": b"\x80\x04\x95" + (2**62).to_bytes(8, "little") + b"N.",
    "digits.pkl": b"L" + b"9" * 500_000 + b"L\n.",
    "key_of_digits.pkl": b"}\x8b" + (5000).to_bytes(4, "little") + b"\x7f" * 5000 + b"Ns.",
    "deep.pkl": in_text(b"]" * 500_000 + b"a" * 499_999),
    "shape.npz": zipped(of_shape("(999999999999999,)")),
    "shape_of_digits.npz": zipped(of_shape("(" + "9" * 400 + ",)")),
    "negative.npz": zipped(of_shape("(-5, 3)")),
    "large.npz": zipped(of_shape("(3000000000,)")),
    "code.npz": zipped(npy("__import__('os').system('touch marker')")),
    "deep_header.npz": zipped(npy("(" * 5000)),
    "objects.npz": zipped(
        npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }") + PAYLOADS[0]
    ),
    "alone.npz": of_shape("(999999999999999,)"),
    "zeros.npz": zipped(of_shape("(10000000,)") + bytes(40_000_000)),
    "header.safetensors": (2**63).to_bytes(8, "little") + b"{}",
    "shape.safetensors": tensors(entry([2**62, 2**62], [0, 64])),
    "shape_of_nothing.safetensors": tensors(entry([0, 2**62, 2**62], [0, 0])),
    "digits.safetensors": tensors(entry([0, 10**400], [0, 0])),
    "axes.safetensors": tensors(entry([1] * 1000, [0, 4])),
    "ids.safetensors": many_ids(),
}  # fmt: skip
READ = """
import resource, sys, pathlib
from msa_core.data.dataset import DataError
from msa_core.data.load import load_dataset
resource.setrlimit(resource.RLIMIT_AS, (3 * 2**30, 3 * 2**30))
for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    print(path.name, flush=True)
    try:
        load_dataset(path, "mosi")
    except DataError as error:
        print(str(error)[:300], flush=True)
"""


def test_small_files_cannot_take_all_time_or_memory(tmp_path):
    folder = tmp_path / "bombs"
    folder.mkdir()
    for name, raw in BOMBS.items():
        assert len(raw) < 3_000_000
        (folder / name).write_bytes(raw)
    done = subprocess.run(
        [sys.executable, "-c", READ, str(folder)],
        capture_output=True, text=True, check=False, timeout=150,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    said = done.stdout.splitlines()
    assert done.returncode == 0, said[-2:] + done.stderr.splitlines()[-3:]
    assert len(said) == 2 * len(BOMBS), said
    for name, message in zip(said[::2], said[1::2], strict=True):
        assert name in message
    assert not Path(MARKER).exists()


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(array_formats, "MOST_UNPACKED", 2**20)
    path = tmp_path / "zeros.npz"
    path.write_bytes(BOMBS["zeros.npz"])
    with pytest.raises(DataError, match=r"zeros\.npz: would unpack to 0\.0 GB, more than 100"):
        load_dataset(path, "mosi")


# What stands where a file should be.


def test_pipes_and_devices_are_refused_and_links_are_followed(sound, tmp_path):
    (tmp_path / "real").write_bytes(sound["a.npz"])
    link = tmp_path / "link.npz"
    link.symlink_to(tmp_path / "real")
    is_sound(load_dataset(link, "mosi"))
    os.mkfifo(tmp_path / "pipe.pkl")
    (tmp_path / "zero.npz").symlink_to("/dev/zero")
    (tmp_path / "loop.npz").symlink_to(tmp_path / "loop.npz")
    (tmp_path / "nowhere.npz").symlink_to(tmp_path / "none")
    (tmp_path / "folder.npz").mkdir()
    for name in ("pipe.pkl", "zero.npz", "loop.npz", "nowhere.npz", "folder.npz"):
        with pytest.raises(DataError, match=rf"{name}: (no regular|no such file|a folder)"):
            load_dataset(tmp_path / name, "mosi")
