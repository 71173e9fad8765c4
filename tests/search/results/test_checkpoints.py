"""The store of checkpoints: whole or not at all, never too large, and no error to anybody."""

import errno
import os
from pathlib import Path

import pytest

from search.results.checkpoints import CHECKPOINTS, Checkpoints


def names(folder):
    return sorted(path.name for path in (folder / CHECKPOINTS).iterdir())


@pytest.fixture
def store(tmp_path):
    return Checkpoints(tmp_path, 100)


def test_a_checkpoint_is_there_again_in_the_next_run(tmp_path, store):
    assert store.load_for(["a"]) == {}
    assert store.keep({"a": b"first", "b": b"other"}) == ""
    assert store.keep({"a": b"second"}) == ""
    for one in (store, Checkpoints(tmp_path, 100)):
        assert one.load_for(["a", "b", "c"]) == {"a": b"second", "b": b"other"}
    assert names(tmp_path) == ["a.pt", "b.pt"]


def test_a_finished_cell_leaves_nothing(tmp_path, store):
    store.keep({"a": b"1", "b": b"2"})
    store.drop(key for key in ("a", "never had one"))
    assert names(tmp_path) == ["b.pt"]
    assert store.load_for(["a"]) == {}


def test_the_oldest_go_where_all_together_would_be_too_large(tmp_path, store):
    for key in "abcd":
        store.keep({key: key.encode() * 25})
    store.keep({"a": b"A" * 25})  # the newest now
    store.keep({"e": b"e" * 50})
    assert sorted(store.load_for("abcde")) == ["a", "d", "e"]
    for place, key in enumerate("ead"):
        os.utime(tmp_path / CHECKPOINTS / f"{key}.pt", (place, place))
    smaller = Checkpoints(tmp_path, 60)
    smaller.clean_up(())
    assert sorted(smaller.load_for("abcde")) == ["a", "d"]


def test_one_in_place_of_its_older_one_drives_nobody_out(store):
    store.keep({"a": b"a" * 50, "b": b"b" * 50})
    store.keep({"b": b"B" * 50})
    assert sorted(store.load_for("ab")) == ["a", "b"]


def test_one_larger_than_all_may_be_is_not_kept_and_drives_nobody_out(tmp_path, store):
    store.keep({"a": b"a" * 40, "b": b"b" * 40})
    assert store.keep({"b": b"b" * 101}) == ""
    assert names(tmp_path) == ["a.pt"]  # the older one of b is of no use beside a lost newer one


def test_a_run_starts_by_tidying_up(tmp_path, store):
    store.keep({"finished": b"1", "waits": b"2"})
    folder = tmp_path / CHECKPOINTS
    (folder / "torn.pt.tmp").write_bytes(b"3")
    (folder / "notes.txt").write_text("a person's")
    again = Checkpoints(tmp_path, 100)
    again.clean_up({"finished": None, "more": None})
    assert names(tmp_path) == ["notes.txt", "waits.pt"]
    Checkpoints(tmp_path / "empty", 100).clean_up(())


@pytest.mark.parametrize("key", ["", "../up", "a/b", "a.pt", "a\n", "a" * 201, "\0"])
def test_a_key_that_is_no_safe_name_is_refused(tmp_path, store, key):
    with pytest.raises(ValueError, match="is no key of a cell"):
        store.keep({key: b"1"})
    assert store.load_for([key]) == {}
    assert not list(tmp_path.rglob("*.pt"))


def test_a_link_is_not_followed(tmp_path, store):
    store.keep({"a": b"1"})
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    (tmp_path / CHECKPOINTS / "b.pt").symlink_to(secret)
    assert Checkpoints(tmp_path, 100).load_for(["a", "b"]) == {"a": b"1"}


def test_a_full_disk_is_said_once_and_is_no_error(tmp_path, store, monkeypatch):
    store.keep({"a": b"old"})
    full = True
    before = os.fsync

    def fsync(descriptor):
        if full:
            raise OSError(errno.ENOSPC, "No space left on device")
        before(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    said = store.keep({"a": b"new", "b": b"new"})
    assert "No space left on device" in said
    assert "first epoch" in said
    assert store.keep({"b": b"newer"}) == ""
    assert store.load_for("ab") == {"a": b"old"}  # what was whole before is whole still
    assert names(tmp_path) == ["a.pt"]
    full = False
    assert store.keep({"b": b"newest"}) == ""
    full = True
    assert store.keep({"b": b"later"})  # a disk that is full again is said again
    assert store.load_for(["b"]) == {"b": b"newest"}


def test_a_folder_that_is_a_file_is_no_error(tmp_path):
    (tmp_path / CHECKPOINTS).write_text("somebody's")
    store = Checkpoints(tmp_path, 100)
    assert store.keep({"a": b"1"})
    assert store.load_for(["a"]) == {}
    store.clean_up(())


def test_a_checkpoint_that_somebody_took_away_is_not_there(tmp_path, store):
    store.keep({"a": b"1"})
    (tmp_path / CHECKPOINTS / "a.pt").unlink()
    assert store.load_for(["a"]) == {}


def test_an_interrupted_write_leaves_the_older_one(tmp_path, store, monkeypatch):
    """As by a signal: an exception that is no error of the system."""
    store.keep({"a": b"old"})

    def interrupted(self, target):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            store.keep({"a": b"new"})
    again = Checkpoints(tmp_path, 100)
    again.clean_up(())
    assert again.load_for(["a"]) == {"a": b"old"}
    assert names(tmp_path) == ["a.pt"]
