"""A copy of the results elsewhere: whole files, only what changed, and back again."""

from pathlib import Path

import pytest

from search.errors import RunError
from search.ledger.lines import LEDGER
from search.submit import mirror
from search.submit.mirror import Mirror


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A results folder."""
    made = tmp_path / "runs" / "small"
    (made / "report").mkdir(parents=True)
    (made / LEDGER).write_text("one\n")
    (made / "plan.json").write_text("{}")
    (made / "report" / "report.html").write_text("<p>")
    return made


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where the copy goes; it does not exist yet."""
    return tmp_path / "elsewhere" / "deep"


def files(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_everything_arrives_and_comes_back_on_another_machine(folder: Path, place: Path) -> None:
    assert Mirror(folder, place.as_uri()).copy_changes()
    assert files(place / "small") == files(folder)
    other = folder.parent.parent / "other" / "small"
    assert Mirror(other, place.as_uri()).fetch_copy() == 3
    assert files(other) == files(folder)


def test_a_folder_with_a_ledger_is_not_overwritten(folder: Path, place: Path) -> None:
    Mirror(folder, place.as_uri()).copy_changes()
    (folder / LEDGER).write_text("one\ntwo\n")
    assert Mirror(folder, place.as_uri()).fetch_copy() == 0
    assert (folder / LEDGER).read_text() == "one\ntwo\n"


def test_an_empty_place_gives_nothing(folder: Path, place: Path) -> None:
    (folder / LEDGER).unlink()
    assert Mirror(folder, place.as_uri()).fetch_copy() == 0


def test_only_what_changed_is_written_again(folder: Path, place: Path) -> None:
    copy = Mirror(folder, place.as_uri())
    copy.copy_changes()
    (place / "small" / "plan.json").write_text("theirs")
    (folder / LEDGER).write_text("one\ntwo\n")
    copy.copy_changes()
    assert files(place / "small") == {**files(folder), "plan.json": "theirs"}


def test_locks_checkpoints_and_unfinished_files_stay_here(folder: Path, place: Path) -> None:
    for name in ("lock", "mlflow.db", "plan.json.tmp"):
        (folder / name).write_text("x")
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "key.pt").write_text("x")
    Mirror(folder, place.as_uri()).copy_changes()
    assert set(files(place / "small")) == {LEDGER, "plan.json", "report/report.html"}


def test_large_files_stay_here_but_the_ledger_never(
    folder: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror, "MOST_BYTES", 2)
    Mirror(folder, place.as_uri()).copy_changes()
    assert set(files(place / "small")) == {LEDGER, "plan.json"}


def test_the_end_copies_what_the_last_round_missed(folder: Path, place: Path) -> None:
    with Mirror(folder, place.as_uri(), every_seconds=3600):
        (folder / LEDGER).write_text("one\ntwo\n")
    assert files(place / "small") == files(folder)


def test_a_place_that_is_away_is_said_once_and_when_it_is_back(folder: Path, place: Path) -> None:
    place.parent.mkdir()
    place.write_text("a file where the folder should be")
    said: list[str] = []
    copy = Mirror(folder, place.as_uri(), say=said.append)
    assert not copy.copy_changes()
    assert not copy.copy_changes()
    place.unlink()
    assert copy.copy_changes()
    assert files(place / "small") == files(folder)
    assert [line.split(" ")[0] for line in said] == ["warning:", place.as_uri()]


def test_an_unknown_storage_is_refused_without_its_password(folder: Path) -> None:
    with pytest.raises(RunError, match="not a storage") as refused:
        Mirror(folder, "nowhere://me:secret@bucket/path")
    assert "secret" not in str(refused.value)
