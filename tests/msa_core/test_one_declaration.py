"""A module is declared once: a fusion is added to a copy of the core, and everything follows."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cases.core_sources import copy_core
from tests.cases.paths import REPOSITORY

OPTIONS = '''
@dataclass(frozen=True, kw_only=True, slots=True)
class LargestOptions(FusionOptions):
    """The largest entry of any modality."""

    implementation: ClassVar[str] = "msa_core.modules.fusion.vector_fusions:Largest"
    known_answer: ClassVar[str] = "modules/fusion/test_fusion.py::test_largest"
    source: ClassVar[str] = "made up for a test, eq. 1"
    cites: ClassVar[tuple[str, ...]] = ("zadeh2017tensor",)
    scale: float = field(1.0, "factor of the entries", "scale", above=0.0, maximum=9.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class FusionConfig:'''
SECTION = "    reorg_sum: ReorgSumOptions = section(ReorgSumOptions)\n"
MODULE = '''

class Largest(Fusion):
    """The largest entry of any modality, entry by entry.

    Formula: scale * max_m h_m.
    """

    def forward(self, seen: EncodedBatch) -> tuple[Tensor, Terms]:
        """Fuse M times [B, D] into [B, D]."""
        rows = torch.stack(list(seen.projected.values()))
        return self.options.scale * rows.amax(dim=0), {}
'''
# What a user of the copy sees, as JSON.
LOOK = """
import json, math, sys
import msa_core
from msa_core.core import CORE
from msa_core.reference.modules_page import render_page
from spaces.core import Member
from spaces.fields.paths import default_of, fields_of, replace
from spaces.help.schema import study_schema
from search.help.explain import needed_for

config = replace(default_of(CORE.config_class), {
    "model.fusion.kind": "largest", "train.epochs": 2, "model.projection.width": 4,
})
CORE.check(config, "mosi")
data = CORE.open(CORE.parse_source({"planted": {"train": 48, "valid": 24, "test": 24}}, None))
prepared, test = CORE.prepare(data, [config])
def train(*seeds):
    training = CORE.train([Member(config, seed) for seed in seeds], prepared, device="cpu",
                          size=None, epoch_limit=None, resume={}, identity="",
                          tested=False, compared="")
    training.train_for(math.inf)
    return training
alone, beside = train(1).result(0), train(0, 1, 2).result(1)
part, _ = CORE.thin(data)
roots = CORE.code_roots(config, {})
print(json.dumps({
    "place": msa_core.__file__,
    "page": "model.fusion.kind: largest" in render_page() and "`scale` = 1.0" in render_page(),
    "schema": "value.model.fusion.largest.scale" in study_schema(CORE)["definitions"],
    "sources": CORE.sources_of("model.fusion.kind")["largest"],
    "needed": needed_for("model.fusion.largest.scale", CORE),
    "cites": "zadeh2017tensor" in CORE.cites(config),
    "seconds": CORE.epoch_seconds(config, part)[1],
    "status": alone.status,
    "alike": list(alone.curve["valid.mae"]) == list(beside.curve["valid.mae"]),
    "score": CORE.evaluate(alone, test, device="cpu").metrics["mae"],
    "roots": list(roots.modules),
}))
"""


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    folder = tmp_path_factory.mktemp("copy")
    core = copy_core(folder / "msa_core")
    config, module = core / "config" / "fusion.py", core / "modules/fusion/vector_fusions.py"
    text = config.read_text(encoding="utf-8")
    last = "@dataclass(frozen=True, kw_only=True, slots=True)\nclass FusionConfig:"
    assert text.count(last) == text.count(SECTION) == 1
    text = text.replace(last, OPTIONS.lstrip())
    config.write_text(
        text.replace(SECTION, f"{SECTION}    largest: LargestOptions = section(LargestOptions)\n"),
        encoding="utf-8",
    )
    module.write_text(module.read_text(encoding="utf-8") + MODULE, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", LOOK],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{REPOSITORY}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    assert Path(str(found["place"])).parent == core
    return found


def test_docs_schema_and_explanations_have_it(seen: dict[str, object]) -> None:
    assert seen["page"] and seen["schema"]
    assert seen["sources"] == "made up for a test, eq. 1"
    assert seen["needed"] == "'model.fusion.kind: largest'"


def test_it_is_cited_timed_and_versioned(seen: dict[str, object]) -> None:
    assert seen["cites"]
    assert isinstance(seen["seconds"], float) and seen["seconds"] > 0
    assert "msa_core.modules.fusion.vector_fusions" in str(seen["roots"])


def test_it_trains_and_keeps_the_contract(seen: dict[str, object]) -> None:
    assert seen["status"] == "complete"
    assert seen["alike"]
    assert isinstance(seen["score"], float)
