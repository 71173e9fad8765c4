"""What tests share: small data, study files, and programs or files that may not be here."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from msa_core.config.planted import PlantedConfig
from msa_core.data.dataset import Dataset
from msa_core.data.planted import generate_planted
from tests.cases.paths import SHARED_DATA

# Every run of CI tries the same examples, so that what it says is about the change; at home they
# are new ones each time. No deadline: two processes share the cores with whatever else runs.
settings.register_profile("home", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "home")


SMALL_STUDY = """\
study: small
question: Does text matter?
data:
  planted: {train: 96, valid: 64, test: 64, steps: 3, width: 6}
base:
  model.text.width: 8
  model.audio.width: 8
  model.vision.width: 8
  model.projection.width: 4
  model.fusion.width: 8
  train.epochs: 3
search:
  train.learning_rate: {log_uniform: [1e-3, 1e-1]}
arms:
  - leave_one_out:
      text: {model.text.use: false}
margin: {mae: 0.05}
budget: {candidates: 3, tune_seeds: 2, confirm_seeds: 4}
"""


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """One thread, as in a worker."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Converted feature files go to a folder of the tests, not to the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRIPTYCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def small_study_text() -> str:
    """A study that trains 20 cells in a second or two of work."""
    return SMALL_STUDY


@pytest.fixture(scope="session")
def small_data() -> Dataset:
    """The data of `SMALL_STUDY`."""
    return generate_planted(PlantedConfig(train=96, valid=64, test=64, steps=3, width=6))


@pytest.fixture
def write_study(tmp_path: Path) -> Callable[[str], Path]:
    """Writes a study file."""

    def write(text: str, name: str = "study.yaml") -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def shared_data() -> Callable[[str], Path]:
    """Finds a real feature file, or skips the test."""

    def find(name: str) -> Path:
        path = SHARED_DATA / name
        if not path.exists():
            pytest.skip(f"the real feature file {name} is not here ({SHARED_DATA})")
        return path

    return find


@pytest.fixture
def program() -> Callable[[str], str]:
    """Finds a system program, or skips the test; in CI, which installs them, it fails instead."""

    def find(name: str) -> str:
        found = shutil.which(name)
        if found is None and os.environ.get("TRIPTYCH_REQUIRE_PROGRAMS"):
            pytest.fail(f"{name} is not installed, and this run was to have it")
        if found is None:
            pytest.skip(f"{name} is not installed")
        return found

    return find
