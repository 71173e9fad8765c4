"""Whole runs where something else has the name of a package, and where a worker can't import."""

from pathlib import Path

import pytest

from search.results.folder import read_manifest
from tests.cases.shadows import shadow_packages
from tests.cases.studies.whole_runs import lines_of, run

pytestmark = pytest.mark.slow  # three whole runs of Ray

# Of a file that only a worker fails to import.
PLUGIN = """\
import sys
from dataclasses import dataclass
from msa_core.modules.fusion.base import Fusion, mean_over
from msa_core.plugins import FusionOptions, fusion

if "default_worker" in sys.argv[0]:
    import not_installed_there

@dataclass(frozen=True, kw_only=True)
class OwnOptions(FusionOptions):
    pass

@fusion("own", OwnOptions)
class Own(Fusion):
    def forward(self, seen):
        return mean_over(seen.projected, seen.present), {}
"""


def test_a_run_in_a_folder_with_files_of_the_packages_names_completes(
    tmp_path: Path, small_study_text: str
) -> None:
    (tmp_path / "study.yaml").write_text(small_study_text, encoding="utf-8")
    shadow_packages(tmp_path)
    done = run("run", "study.yaml", "--workers", 2, folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "20 cells trained" in done.stdout
    # Written by the process that the driver starts for MLflow.
    assert read_manifest(tmp_path / "runs" / "small").finished
    assert "MLflow" not in done.stderr


def test_an_import_that_fails_on_a_worker_ends_the_run_at_the_first(
    tmp_path: Path, small_study_text: str
) -> None:
    text = small_study_text.replace("arms:", "plugins: [own.py]\narms:")
    (tmp_path / "study.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "own.py").write_text(PLUGIN, encoding="utf-8")
    done = run("run", "study.yaml", "--workers", 2, folder=tmp_path)
    assert done.returncode not in (0, 2), done.stdout
    told = done.stdout + done.stderr
    assert "a worker can't begin" in told
    assert "own.py:7: No module named 'not_installed_there'" in told
    assert "lost worker" not in told
    assert lines_of(tmp_path / "runs" / "small") == []
    # Once that is mended, the same command goes on.
    (tmp_path / "own.py").write_text(
        PLUGIN.replace("    import not_installed_there", "    pass"), encoding="utf-8"
    )
    again = run("run", "study.yaml", "--workers", 2, folder=tmp_path)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "20 cells trained" in again.stdout
