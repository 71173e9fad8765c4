import importlib.util
from pathlib import Path
from types import ModuleType

import large_study
import pytest

HERE = Path(__file__).parent


def _load(name: str) -> ModuleType:
    """By path: import mode importlib puts no folder on `sys.path`."""
    spec = importlib.util.spec_from_file_location(f"reports_{name}", HERE / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def large() -> ModuleType:
    """Results of a large study."""
    return large_study


@pytest.fixture(scope="session")
def planted() -> ModuleType:
    """Results whose test values are given."""
    return _load("planted")
