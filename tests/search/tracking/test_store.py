"""The file of the local store: there whole, or not at all."""

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from search.tracking.store import local_store, open_client
from tests.cases.studies.whole_runs import wait_for

MAKE = "import sys; from search.tracking.store import open_client; open_client(sys.argv[1])"


def tables(path: Path) -> set[str]:
    with sqlite3.connect(path) as database:
        return {name for (name,) in database.execute("select name from sqlite_master")}


def test_a_store_whose_making_was_killed_is_made_anew(tmp_path: Path) -> None:
    making = subprocess.Popen([sys.executable, "-c", MAKE, local_store(tmp_path)])
    wait_for(lambda: any(tmp_path.glob(".mlflow.db.*")), 60, "its first tables")
    os.kill(making.pid, signal.SIGKILL)
    making.wait()
    assert not (tmp_path / "mlflow.db").exists()
    client = open_client(local_store(tmp_path))
    assert [found.name for found in client.search_experiments()] == ["Default"]
    assert "alembic_version" in tables(tmp_path / "mlflow.db")


def test_a_store_that_could_not_be_made_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: object, max_results: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("mlflow.MlflowClient.search_experiments", fail)
    with pytest.raises(OSError, match="disk full"):
        open_client(local_store(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_another_process_made_meanwhile_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_client(local_store(tmp_path)).create_experiment("theirs")
    real = Path.exists
    monkeypatch.setattr(Path, "exists", lambda path: path.name != "mlflow.db" and real(path))
    client = open_client(local_store(tmp_path))
    assert "theirs" in [found.name for found in client.search_experiments()]
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]


def test_without_hard_links_it_is_renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise PermissionError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    open_client(local_store(tmp_path)).create_experiment("mine")
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]
