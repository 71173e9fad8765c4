"""The pages beside the report: where they are, without passwords, and how to get them."""

from pathlib import Path

import pytest

from search.serve.side_servers import (
    BROKEN,
    INSTALL,
    READY,
    free_port,
    mlflow_page,
    optuna_page,
    without_user,
)


def test_addresses_of_servers_are_told_without_passwords(tmp_path: Path) -> None:
    assert mlflow_page(tmp_path, "https://me:secret@host:5000/a@b").ask() == (
        READY, "https://host:5000/a@b"
    )  # fmt: skip
    assert without_user("http://host/x") == "http://host/x"
    how, said = mlflow_page(tmp_path, "postgresql://me:secret@host/db").ask()
    assert how == BROKEN and "secret" not in said and "host/db" in said


def test_without_optuna_dashboard_the_page_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.serve.side_servers.shutil.which", lambda name: None)
    monkeypatch.setattr("search.serve.side_servers.sys.executable", str(tmp_path / "python"))
    assert optuna_page(tmp_path).ask() == (BROKEN, INSTALL)


def test_a_free_port_is_one() -> None:
    assert 1024 <= free_port() <= 65535
