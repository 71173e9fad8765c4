from types import ModuleType

import pytest

from tests.cases.results import large_study, planted_results


@pytest.fixture(scope="session")
def large() -> ModuleType:
    """Results of a large study."""
    return large_study


@pytest.fixture(scope="session")
def planted() -> ModuleType:
    """Results whose test values are given."""
    return planted_results
