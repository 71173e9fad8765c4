"""Atomic writes: the old file or the new one, and nothing beside it."""

import os
from pathlib import Path

import pytest

from search.atomic_files import append_line, write_text_atomically, written_atomically


def test_a_file_is_replaced_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    for text in ("old\r\n", "new ä\n"):
        write_text_atomically(path, text)
        assert path.read_bytes() == text.encode()
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt(), ValueError("mine")])
def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(type(error)), written_atomically(path) as part:
        part.write_text("half")
        raise error
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_durable_write_is_on_the_disk_before_it_takes_the_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file.txt"
    synced = []
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(path.exists()))
    with written_atomically(path, durable=True) as part:
        part.write_text("new")
    assert synced == [False]
    assert path.read_text() == "new"


def test_two_writers_do_not_share_a_temporary_file(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    with written_atomically(path) as first, written_atomically(path) as second:
        assert first != second
        first.write_text("first")
        second.write_text("second")
    assert path.read_text() == "first"  # it was replaced last


def test_a_file_that_another_process_made_meanwhile_can_be_kept(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    with written_atomically(path, keep_existing=True) as part:
        part.write_text("mine")
        path.write_text("theirs")
    assert path.read_text() == "theirs"
    assert list(tmp_path.iterdir()) == [path]


def test_a_torn_line_is_closed_off_by_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    append_line(path, "one")
    path.write_text(path.read_text() + '{"torn')
    append_line(path, "two")
    assert path.read_text() == 'one\n{"torn\ntwo\n'
