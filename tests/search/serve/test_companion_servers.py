"""The pages beside the report: where they are, without passwords, and how to get them."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from search.errors import RunError
from search.serve.companion_servers import (
    INSTALL,
    find_mlflow_page,
    find_optuna_page,
    free_port,
    without_user,
)


def test_addresses_of_servers_are_shown_without_passwords(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = SimpleNamespace(tracking_uri="https://me:secret@host:5000/a@b")
    monkeypatch.setattr("search.serve.companion_servers.read_manifest", lambda folder: manifest)
    assert find_mlflow_page(tmp_path) == "https://host:5000/a@b"
    manifest.tracking_uri = "postgresql://me:secret@host/db"
    with pytest.raises(RunError, match="host/db") as refused:
        find_mlflow_page(tmp_path)
    assert "secret" not in str(refused.value)
    assert without_user("http://host/x") == "http://host/x"


def test_without_optuna_dashboard_the_page_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.serve.companion_servers.shutil.which", lambda name: None)
    monkeypatch.setattr("search.serve.companion_servers.sys.executable", str(tmp_path / "python"))
    with pytest.raises(RunError, match="is not installed") as refused:
        find_optuna_page(tmp_path)
    assert str(refused.value) == INSTALL


def test_a_free_port_is_one() -> None:
    assert 1024 <= free_port() <= 65535
