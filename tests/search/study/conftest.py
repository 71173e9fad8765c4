"""What the tests of stale cells share."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from msa_core.data.planted import generate_planted
from search.study.open import open_study
from tests.cases.feature_files import write_npz
from tests.cases.studies.finished_study import PLUGIN, RECIPE, STUDY, Ground
from tests.cases.studies.sealed_studies import filled, made_up_cells


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished study, its data and its plugin."""
    folder = tmp_path_factory.mktemp("finished")
    write_npz(folder / "features.npz", generate_planted(RECIPE))
    (folder / "own.py").write_text(PLUGIN, encoding="utf-8")
    (folder / "study.yaml").write_text(STUDY, encoding="utf-8")
    (opened,) = open_study(str(folder / "study.yaml"), [], [], folder, need_data=True)
    assert opened.dataset is not None
    opened.folder.mkdir(parents=True)
    filled(
        opened.folder, opened.plan, opened.dataset, made_up_cells(opened.plan, opened.dataset)
    )  # fmt: skip
    return folder


@pytest.fixture
def ground(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ground]:
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    yield Ground(tmp_path, monkeypatch)
