"""A finished study with arms of several kinds, of which a test changes something."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from msa_core import version
from msa_core.config.planted import PlantedConfig
from msa_core.data.dataset import Dataset
from search import provenance
from search.study.open import OpenedStudy, StaleAnswer, open_study
from search.study.why import ArmReasons, explain_stale
from spaces.plan.plan import Plan
from tests.cases.core_sources import add_constant, copy_core
from tests.cases.studies.sealed_studies import filled, made_up_cells

RECIPE = PlantedConfig(train=48, valid=24, test=24, steps=3, width=6)
STUDY = """\
study: why
data: {file: features.npz}
plugins: [own.py]
base:
  model.text.width: 8
  train.epochs: 3
search:
  train.learning_rate: {log_uniform: [1e-3, 1e-1]}
  loss.contrast.rbc.weight: {log_uniform: [1e-2, 1]}
constraints: ["train.learning_rate < 0.09"]
arms:
  - explicit:
      full: {}
      mult: {model.fusion.kind: mult}
      aligned: {loss.alignment.text_audio.mode: shared}
      rbc: {loss.contrast.rbc.use: true}
      mla: {model.fusion.kind: sum, procedure.kind: mla}
      own: {model.fusion.kind: own}
budget: {candidates: 2, tune_seeds: 1, confirm_seeds: 2}
"""
PLUGIN = """\
from dataclasses import dataclass
from msa_core.modules.fusion.base import Fusion
from msa_core.plugins import FusionOptions, fusion

@dataclass(frozen=True, kw_only=True)
class OwnOptions(FusionOptions):
    pass

@fusion("own", OwnOptions)
class Own(Fusion):
    scale = 1
"""
ARMS = {"full", "mult", "aligned", "rbc", "mla", "own"}
CELLS = 2 + 2  # of an arm


@dataclass
class Ground:
    """A finished study in a folder, of which a test changes something."""

    folder: Path
    monkeypatch: pytest.MonkeyPatch

    @property
    def results(self) -> Path:
        return self.folder / "runs" / "why"

    def opened(self, answer: StaleAnswer = StaleAnswer.ASK) -> OpenedStudy:
        study = str(self.folder / "study.yaml")
        (one,) = open_study(study, [], [], self.folder, need_data=True, stale_answer=answer)
        return one

    def reasons(self) -> dict[str, ArmReasons]:
        found = explain_stale(self.opened())
        assert found is not None
        return {arm.arm: arm for arm in found.arms if arm.reasons}

    def edit(self, file: str, old: str, new: str) -> None:
        text = (self.folder / file).read_text(encoding="utf-8")
        assert old in text
        (self.folder / file).write_text(text.replace(old, new, 1), encoding="utf-8")

    def edit_core(self, file: str) -> None:
        """Add a constant to a file of a copy of the core, whose versions count from now on."""
        self.change_core(lambda core: add_constant(core / file))

    def change_core(self, change: Callable[[Path], object]) -> None:
        """Change a copy of the core, whose versions count from now on."""
        core = self.folder / "msa_core"
        if not core.exists():
            copy_core(core)
        change(core)
        self.monkeypatch.setitem(version.FOLDERS, "msa_core", core)
        provenance._version_from.cache_clear()
        provenance._code_tree.cache_clear()


def refill(ground: Ground, plan: Plan, dataset: Dataset) -> None:
    """Finish another plan in the folder."""
    shutil.rmtree(ground.results)
    ground.results.mkdir()
    filled(ground.results, plan, dataset, made_up_cells(plan, dataset))
