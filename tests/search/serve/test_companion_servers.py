"""The pages beside the report: where they are, without passwords, and how to get them."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from search.serve.companion_servers import (
    BROKEN,
    INSTALL,
    READY,
    find_mlflow_page,
    find_optuna_page,
    free_port,
    without_user,
)


@pytest.mark.parametrize(
    ("uri", "state", "shown"),
    [
        ("https://me:secret@host:5000/a@b", READY, "https://host:5000/a@b"),
        ("postgresql://me:secret@host/db", BROKEN, "host/db"),
    ],
)
def test_addresses_of_servers_are_shown_without_passwords(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uri: str, state: str, shown: str
) -> None:
    manifest = SimpleNamespace(tracking_uri=uri)
    monkeypatch.setattr("search.serve.companion_servers.read_manifest", lambda folder: manifest)
    found = find_mlflow_page(tmp_path)
    assert isinstance(found, tuple) and found[0] == state
    assert shown in found[1] and "secret" not in found[1]
    assert without_user("http://host/x") == "http://host/x"


def test_without_optuna_dashboard_the_page_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.serve.companion_servers.shutil.which", lambda name: None)
    monkeypatch.setattr("search.serve.companion_servers.sys.executable", str(tmp_path / "python"))
    assert find_optuna_page(tmp_path) == (BROKEN, INSTALL)


def test_a_free_port_is_one() -> None:
    assert 1024 <= free_port() <= 65535
