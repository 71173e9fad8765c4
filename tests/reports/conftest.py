import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from tests.cases.results import synthetic as cases

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def synthetic() -> ModuleType:
    """Results whose truth is known."""
    return cases


@pytest.fixture
def check_snapshot() -> Callable[[str, str], None]:
    """Compare with a stored file; `TRIPTYCH_UPDATE_SNAPSHOTS=1 pytest` writes it instead."""

    def check(name: str, text: str) -> None:
        path = HERE / "snapshots" / name
        if os.environ.get("TRIPTYCH_UPDATE_SNAPSHOTS"):
            path.write_text(text, encoding="utf-8")
        assert text == path.read_text(encoding="utf-8")

    return check
