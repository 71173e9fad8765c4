import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def synthetic() -> ModuleType:
    """`synthetic.py`, loaded by path: import mode importlib puts no folder on `sys.path`."""
    spec = importlib.util.spec_from_file_location("reports_synthetic", HERE / "synthetic.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def check_snapshot() -> Callable[[str, str], None]:
    """Compare with a stored file; `TRIPTYCH_UPDATE_SNAPSHOTS=1 pytest` writes it instead."""

    def check(name: str, text: str) -> None:
        path = HERE / "snapshots" / name
        if os.environ.get("TRIPTYCH_UPDATE_SNAPSHOTS"):
            path.write_text(text, encoding="utf-8")
        assert text == path.read_text(encoding="utf-8")

    return check
