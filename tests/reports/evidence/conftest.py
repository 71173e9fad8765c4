from types import ModuleType

import large_study
import planted_results
import pytest


@pytest.fixture(scope="session")
def large() -> ModuleType:
    """Results of a large study."""
    return large_study


@pytest.fixture(scope="session")
def planted() -> ModuleType:
    """Results whose test values are given."""
    return planted_results
