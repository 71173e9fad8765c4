"""The cache of converted feature files: fast, never stale, and never in the way."""

import json
import logging
import mmap
import os
import pickle
import subprocess
import sys
import time

import numpy as np
import pytest

from msa_core.config.planted import PlantedConfig
from msa_core.data import cache
from msa_core.data.load import READERS, load_dataset
from msa_core.data.planted import generate_planted
from spaces.core import DataError
from tests.cases.feature_files import write_npz, write_safetensors

RECIPES = [PlantedConfig(train=12, valid=5, test=6, steps=6, width=4, seed=s) for s in (0, 1)]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty cache."""
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def settled(monkeypatch):
    monkeypatch.setattr(cache, "TICK_SECONDS", -1)  # files count as at rest at once


@pytest.fixture
def reads(monkeypatch):
    """The files that were read and not opened from the cache."""
    seen = []

    def counted(reader):
        def read(path, keys):
            seen.append(path.name)
            return reader(path, keys)

        return read

    for suffix, reader in list(READERS.items()):
        monkeypatch.setitem(READERS, suffix, counted(reader))
    return seen


@pytest.fixture
def features(tmp_path):
    """A feature file."""
    return written(tmp_path / "features.npz", 0)


def written(path, seed):
    write_npz(path, generate_planted(RECIPES[seed]))
    return path


def fingerprint(seed):
    return generate_planted(RECIPES[seed]).fingerprint


def entries(folder):
    return sorted((folder / "datasets").glob("*.safetensors"))


def assert_equal(found, expected):
    assert found.fingerprint == expected.fingerprint
    assert found.source == expected.source
    assert found.modalities == expected.modalities
    assert found.splits.scheme == expected.splits.scheme
    for name in ("train", "valid", "test"):
        first, second = split_of(found, name), split_of(expected, name)
        assert first.name == second.name
        assert first.ids == second.ids
        np.testing.assert_array_equal(first.labels, second.labels)
        for part in ("features", "lengths", "unimodal_labels"):
            one, other = getattr(first, part), getattr(second, part)
            assert one.keys() == other.keys()
            for key, array in one.items():
                assert array.dtype == other[key].dtype
                np.testing.assert_array_equal(array, other[key])


def split_of(dataset, name):
    return dataset.test if name == "test" else getattr(dataset.splits, name)


# --- What it is for.


@pytest.mark.parametrize("name", ["f.npz", "f.pkl", "f.safetensors"])
def test_a_file_is_read_once_and_then_opened_to_the_same_bits(name, tmp_path, reads, monkeypatch):
    path = tmp_path / name
    dataset = generate_planted(RECIPES[0])
    if name == "f.safetensors":
        write_safetensors(path, dataset)
    else:
        write_npz(tmp_path / "f.npz", dataset)
    if name == "f.pkl":
        with np.load(tmp_path / "f.npz") as archive:
            content = {}
            for key in archive.files:
                split, _, inside = key.partition(".")
                content.setdefault(split, {})[inside] = archive[key]
        path.write_bytes(pickle.dumps(content))
    monkeypatch.setenv("TRIPTYCH_CACHE", "off")
    expected = load_dataset(path, "mosi")
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path / "cache"))
    reads.clear()
    for _ in range(3):
        assert_equal(load_dataset(path, "mosi"), expected)
    assert reads == [name]


def test_features_are_plain_arrays_lie_in_the_file_and_travel(features):
    load_dataset(features, "mosi")
    dataset = load_dataset(features, "mosi")
    array = dataset.splits.train.features["text"]
    assert type(array) is np.ndarray
    assert not array.flags.writeable
    assert dataset.splits.train.labels.flags.writeable
    base = array
    while isinstance(base, np.ndarray):
        base = base.base
    assert isinstance(base, mmap.mmap) or isinstance(base.obj, mmap.mmap)
    assert_equal(pickle.loads(pickle.dumps(dataset, 5)), dataset)


def test_the_labels_scheme_is_part_of_the_key(tmp_path, reads):
    quiet = PlantedConfig(train=6, valid=3, test=3, steps=2, width=3)
    path = tmp_path / "f.npz"
    write_npz(path, generate_planted(quiet))
    with np.load(path) as archive:
        arrays = dict(archive)
    np.savez(path, **{n: a / 3 if "labels" in n else a for n, a in arrays.items()})
    for scheme in ("mosi", "sims", "mosi", "sims"):
        assert load_dataset(path, scheme).splits.scheme == scheme
    assert len(reads) == 2


def test_a_copy_under_another_name_is_not_read_again(features, tmp_path, reads):
    load_dataset(features, "mosi")
    copy = tmp_path / "copy.npz"
    copy.write_bytes(features.read_bytes())
    assert load_dataset(copy, "mosi").source == "copy.npz"
    assert reads == ["features.npz"]


def test_a_file_at_rest_is_not_hashed_again(features, folder, settled, monkeypatch):
    load_dataset(features, "mosi")
    monkeypatch.setattr(cache.hashlib, "file_digest", None)
    assert load_dataset(features, "mosi").fingerprint == fingerprint(0)


def test_a_file_that_may_still_change_within_its_clocks_tick_is_hashed_again(features, folder):
    assert time.time_ns() - features.stat().st_mtime_ns < 2e9
    load_dataset(features, "mosi")
    assert not (folder / "contents").exists()
    past = time.time_ns() - 10**10
    os.utime(features, ns=(past, past))
    # The time of the change itself can't be set back, so the file still counts as fresh.
    load_dataset(features, "mosi")
    assert not (folder / "contents").exists()


# --- Never stale.


def test_a_changed_file_is_read_again_even_with_its_old_size_and_time(features, settled):
    assert load_dataset(features, "mosi").fingerprint == fingerprint(0)
    before = features.stat()
    written(features, 1)
    os.utime(features, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert features.stat().st_size == before.st_size
    assert features.stat().st_mtime_ns == before.st_mtime_ns
    assert load_dataset(features, "mosi").fingerprint == fingerprint(1)


def test_another_file_moved_into_its_place_is_read(features, tmp_path, settled):
    load_dataset(features, "mosi")
    before = features.stat()
    other = written(tmp_path / "other.npz", 1)
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(features)
    assert load_dataset(features, "mosi").fingerprint == fingerprint(1)


def test_a_file_that_changes_while_it_is_read_is_not_kept(features, folder, settled, monkeypatch):
    reader = READERS[".npz"]

    def meddled(path, keys):
        values = reader(path, keys)
        written(path, 1)
        return values

    monkeypatch.setitem(READERS, ".npz", meddled)
    assert load_dataset(features, "mosi").fingerprint == fingerprint(0)
    assert not entries(folder)
    monkeypatch.setitem(READERS, ".npz", reader)
    assert load_dataset(features, "mosi").fingerprint == fingerprint(1)


def test_other_sources_of_the_readers_read_again(features, folder, reads, monkeypatch):
    load_dataset(features, "mosi")
    (old,) = entries(folder)
    monkeypatch.setattr(cache, "_code_digest", lambda: "other")
    load_dataset(features, "mosi")
    assert len(reads) == 2
    assert old in entries(folder)  # Another version may have it open.
    past = time.time() - 8 * 24 * 3600
    os.utime(old, (past, past))
    monkeypatch.setattr(cache, "_code_digest", lambda: "third")
    load_dataset(features, "mosi")
    assert old not in entries(folder)
    assert len(entries(folder)) == 2


def test_a_wrong_file_is_refused_every_time(tmp_path, folder):
    path = tmp_path / "f.npz"
    path.write_bytes(b"PK nothing")
    for _ in range(2):
        with pytest.raises(DataError, match=r"f\.npz: not a readable npz archive"):
            load_dataset(path, "mosi")
    assert not entries(folder)


# --- Never in the way.


def cut_off(entry):
    entry.write_bytes(entry.read_bytes()[:-100])


def emptied(entry):
    entry.write_bytes(b"")


def zeroed(entry):
    entry.write_bytes(bytes(entry.stat().st_size))


def one_bit_flipped(entry):
    with entry.open("r+b") as file:
        file.seek(-5, os.SEEK_END)
        file.write(bytes([file.read(1)[0] ^ 1]))


def foreign(entry):
    write_safetensors(entry, generate_planted(RECIPES[1]))


def of_other_inputs(entry):
    """A sound entry under a name that is not its own."""
    path = entry.parent / "other.npz"
    load_dataset(written(path, 1), "mosi")
    (other,) = set(entry.parent.glob("*.safetensors")) - {entry}
    other.replace(entry)


@pytest.mark.parametrize(
    "damage", [cut_off, emptied, zeroed, one_bit_flipped, foreign, of_other_inputs]
)
def test_a_damaged_entry_is_made_anew(damage, features, folder, reads):
    load_dataset(features, "mosi")
    (entry,) = entries(folder)
    damage(entry)
    reads.clear()
    for _ in range(2):
        assert load_dataset(features, "mosi").fingerprint == fingerprint(0)
        labels = load_dataset(features, "mosi").test.labels
        np.testing.assert_array_equal(labels, generate_planted(RECIPES[0]).test.labels)
    assert reads == ["features.npz"]


@pytest.mark.parametrize("record", [b"", b"[1]", b"{}", b"\xff", b'{"stamp": 3}', b"[" * 100_000])
def test_a_damaged_record_of_contents_is_made_anew(record, features, folder, settled):
    load_dataset(features, "mosi")
    (known,) = (folder / "contents").iterdir()
    sound = known.read_bytes()
    known.write_bytes(record)
    assert load_dataset(features, "mosi").fingerprint == fingerprint(0)
    assert known.read_bytes() == sound


@pytest.mark.parametrize("place", ["cache", "cache/datasets", "cache/contents"])
def test_a_folder_that_cannot_be_written_costs_one_note(
    place, features, tmp_path, settled, caplog, reads
):
    cache._warn_once.cache_clear()
    blocked = tmp_path / place
    blocked.parent.mkdir(parents=True, exist_ok=True)
    blocked.write_text("a file where a folder should be")
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert load_dataset(features, "mosi").fingerprint == fingerprint(0)
    assert len(caplog.records) == 1
    assert "Set TRIPTYCH_CACHE to another folder, or to 'off'" in caplog.text
    assert blocked.read_text() == "a file where a folder should be"


def test_a_disk_that_is_full_leaves_nothing_behind(features, folder, monkeypatch, caplog):
    cache._warn_once.cache_clear()

    def full(path, arrays, metadata):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache, "write_tensors", full)
    assert load_dataset(features, "mosi").fingerprint == fingerprint(0)
    assert not list((folder / "datasets").iterdir())
    assert "No space left on device" in caplog.text


def test_what_killed_processes_left_is_removed_in_the_end(features, folder):
    (folder / "datasets").mkdir(parents=True)
    old, new = folder / "datasets" / "old.part", folder / "datasets" / "new.part"
    for part in (old, new):
        part.write_bytes(b"half")
    past = time.time() - 8 * 24 * 3600
    os.utime(old, (past, past))
    load_dataset(features, "mosi")
    assert not old.exists()
    assert new.exists()  # Somebody may be writing it.


LOAD = """\
import pathlib, sys, time
from msa_core.data.load import load_dataset
while not pathlib.Path(sys.argv[2]).exists():
    time.sleep(0.001)
for _ in range(20):
    print(load_dataset(pathlib.Path(sys.argv[1]), "mosi").fingerprint)
"""


def test_processes_that_start_at_once_get_the_same_data(features, folder, tmp_path):
    go = tmp_path / "go"
    command = [sys.executable, "-c", LOAD, str(features), str(go)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    time.sleep(0.5)
    go.touch()
    for process in processes:
        output, _ = process.communicate(timeout=60)
        assert output.split() == [fingerprint(0)] * 20
        assert process.returncode == 0
    assert len(entries(folder)) == 1
    assert not list(folder.rglob("*.part"))


# --- Where it is.


def test_off_writes_nothing(features, folder, reads, monkeypatch, tmp_path):
    monkeypatch.setenv("TRIPTYCH_CACHE", "OFF")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    for _ in range(2):
        assert load_dataset(features, "mosi").test.features["text"].flags.writeable
    assert len(reads) == 2
    assert list(tmp_path.iterdir()) == [features]


def test_the_folder_is_the_users_choice_then_the_systems_then_in_the_home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TRIPTYCH_CACHE", "~/mine")
    assert cache.cache_folder() == tmp_path / "mine"
    monkeypatch.delenv("TRIPTYCH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache.cache_folder() == tmp_path / "xdg" / "triptych"
    for unset in ("", "relative"):  # A relative one is to be ignored, its definition says.
        monkeypatch.setenv("XDG_CACHE_HOME", unset)
        assert cache.cache_folder() == tmp_path / ".cache" / "triptych"


def test_no_home_is_no_cache(monkeypatch, features):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("TRIPTYCH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setattr(cache.Path, "home", staticmethod(homeless))
    assert cache.cache_folder() is None
    assert load_dataset(features, "mosi").fingerprint == fingerprint(0)


def test_a_real_file_opens_to_the_same_bits(shared_data, monkeypatch, folder):
    path = shared_data("mosi_utterance.pkl")
    monkeypatch.setenv("TRIPTYCH_CACHE", "off")
    expected = load_dataset(path, "mosi")
    monkeypatch.setenv("TRIPTYCH_CACHE", str(folder))
    for _ in range(2):
        assert_equal(load_dataset(path, "mosi"), expected)
    assert json.loads(next((folder / "contents").iterdir()).read_bytes())["path"] == str(path)
