"""The version of the core: what tidying leaves as it is, and which arms a change reaches."""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from msa_core import version
from msa_core.config.kinds import FAMILIES, kinds_of, module_of
from msa_core.config.schema import Config
from msa_core.core import MsaCore
from msa_core.data.planted import generate_planted
from msa_core.data.prepared import PreparedSplits
from msa_core.training.evaluation import evaluate
from spaces.code_version import CodeTree, CodeVersion
from spaces.core import Member, SourceFile
from spaces.fields.declaration import Value
from spaces.fields.paths import replace
from tests.cases.core_sources import TIDYING, add_constant, copy_core
from tests.cases.pack_cases import BASE, CASES, MODULE_CASES, RECIPE
from tests.cases.train_pack import train_pack

Edit = Callable[[Path], object]
# Arm -> fields that it changes.
ARMS: dict[str, dict[str, Value]] = {
    "concat": {},
    "mult": {"model.fusion.kind": "mult"},
    "aligned": {"loss.alignment.text_audio.mode": "shared"},
    "rbc": {"loss.contrast.rbc.use": True},
    "cpc": {"loss.contrast.cpc.use": True},
    "mla": {"model.fusion.kind": "sum", "procedure.kind": "mla"},
    "stream": {"procedure.kind": "stream"},
}


def version_of(config: Config, plugins: Sequence[SourceFile] = ()) -> CodeVersion:
    tree = CodeTree(version.FOLDERS, version.LEFT_OUT)
    return tree.version(version.training_modules(config, {}, plugins))


def versions_in(core: Path) -> dict[str, str]:
    """The arms' digests of the source in a folder."""
    tree = CodeTree({**version.FOLDERS, "msa_core": core}, version.LEFT_OUT)
    return {
        name: tree.version(version.training_modules(replace(Config(), changes), {})).digest
        for name, changes in ARMS.items()
    }


@pytest.fixture(scope="module")
def before() -> dict[str, str]:
    return versions_in(version.FOLDERS["msa_core"])


def edited(file: str, old: str, new: str) -> Edit:
    def edit(core: Path) -> None:
        text = (core / file).read_text(encoding="utf-8")
        assert old in text, f"{file} has no '{old}' any more"
        (core / file).write_text(text.replace(old, new, 1), encoding="utf-8")

    return edit


def constant_in(file: str) -> Edit:
    return lambda core: add_constant(core / file)


@pytest.mark.parametrize("tidy", TIDYING)
def test_tidying_makes_no_cell_stale(tmp_path: Path, before: dict[str, str], tidy: Edit) -> None:
    core = copy_core(tmp_path / "msa_core")
    tidy(core)
    assert versions_in(core) == before


EVERY = set(ARMS)
REACHED = {
    "encoders.py": (edited("modules/encoders.py", "(kernel - 1) // 2", "kernel // 2"), EVERY),
    "vector_fusions.py": (
        edited("modules/fusion/vector_fusions.py", "math.sqrt(3.0", "math.sqrt(2.0"),
        EVERY - {"mult"},
    ),
    "mult.py": (constant_in("modules/fusion/mult.py"), {"mult"}),
    # RBC standardises with a function of it.
    "measures.py": (constant_in("modules/alignment/measures.py"), {"aligned", "rbc"}),
    "rbc.py": (constant_in("modules/contrast/rbc.py"), {"rbc"}),
    "mmim.py": (constant_in("modules/contrast/mmim.py"), {"cpc"}),
    # A vote of MLA's is of the bins that a contrast declares.
    "contrasts.py": (
        edited("modules/contrast/contrasts.py", "SENTIMENTS = 3", "SENTIMENTS = 4"),
        {"mla"},
    ),
    "mla.py": (constant_in("procedures/mla.py"), {"mla"}),
    "stream.py": (constant_in("procedures/stream.py"), {"stream"}),
    "parameters.py, the optimiser": (edited("tensors/parameters.py", "1e-8", "1e-7"), EVERY),
    "batching.py": (constant_in("data/batching.py"), EVERY),
    "load.py, whose arrays have a fingerprint": (constant_in("data/load.py"), set()),
    "slices.py, an analysis": (constant_in("analysis/slices.py"), set()),
    "citations.py": (constant_in("reference/citations.py"), set()),
}


@pytest.mark.parametrize("case", REACHED)
def test_a_changed_constant_reaches_exactly_the_arms_that_can_use_it(
    tmp_path: Path, before: dict[str, str], case: str
) -> None:
    edit, arms = REACHED[case]
    core = copy_core(tmp_path / "msa_core")
    edit(core)
    now = versions_in(core)
    assert {name for name in ARMS if now[name] != before[name]} == arms


def test_what_a_search_can_choose_counts() -> None:
    def kinds(changes: Mapping[str, Value] = {}, **choices: Any) -> set[tuple[str, str]]:
        named = {path.replace("__", "."): values for path, values in choices.items()}
        return set(version.usable_kinds(replace(Config(), changes), named))

    plain = {("encoder", "mean_mlp"), ("fusion", "concat"), ("procedure", "joint")}
    assert kinds() == plain
    assert kinds(model__fusion__kind=("tfn", "mult")) == (
        plain - {("fusion", "concat")} | {("fusion", "tfn"), ("fusion", "mult")}
    )
    switched = kinds(loss__alignment__text_audio__mode=("off", "shared"))
    assert switched == plain | {("alignment", "cov")}
    # Not of a modality that is off.
    aligned = {"loss.alignment.text_audio.mode": "shared", "model.audio.encoder": "lstm"}
    assert kinds({**aligned, "model.audio.use": False}) == plain
    assert ("encoder", "lstm") in kinds({**aligned, "model.audio.use": False},
                                        model__audio__use=(True, False))  # fmt: skip
    assert kinds(loss__contrast__rbc__use=(True, False)) == plain | {("contrast", "rbc")}


def test_every_kind_is_found_in_the_module_that_has_it() -> None:
    for family in FAMILIES:
        for kind in kinds_of(Config, family):
            module = module_of(Config, family, kind)
            assert module.__module__ in version.modules_of_kind(Config, family, kind)


def test_what_is_left_out_is_imported_and_comes_back_with_a_kind() -> None:
    core = version.FOLDERS["msa_core"]
    whole = set(CodeTree(version.FOLDERS, version.LEFT_OUT).version(version.core_modules()).files)
    for importer, targets in version.LEFT_OUT.items():
        if not importer:  # of any module
            continue
        text = (core.parent / f"{importer.replace('.', '/')}.py").read_text()
        for target in targets:
            assert f"from {target} import" in text, f"{importer} does not import {target} any more"
            assert f"{target.replace('.', '/')}.py" in whole or "analysis" in target


def test_no_file_that_counts_reads_a_file_beside_it() -> None:
    """Or that file would decide numbers too, and be in no digest."""
    core = version.FOLDERS["msa_core"]
    for file in CodeTree(version.FOLDERS, version.LEFT_OUT).version(version.core_modules()).files:
        text = (core.parent / file).read_text()
        assert "__file__" not in text, file
        # Modules that options name are among the roots.
        assert "importlib" not in text or file == "msa_core/config/kinds.py", file


PLUGIN = """\
from dataclasses import dataclass
from msa_core.modules.fusion.base import Fusion
from msa_core.modules.fusion.misa import Misa
from msa_core.plugins import FusionOptions, fusion

@dataclass(frozen=True, kw_only=True)
class OwnOptions(FusionOptions):
    pass

@fusion("own", OwnOptions)
class Own(Fusion):
    pass
"""


def test_what_a_plugin_imports_of_the_core_counts_in_arms_that_can_use_it() -> None:
    core = MsaCore().with_plugins([SourceFile("own.py", PLUGIN)])
    default = core.config_class()
    own = replace(default, {"model.fusion.kind": "own"})
    files = version_of(own, core.used_plugins(own, {})).files
    assert "msa_core/modules/fusion/misa.py" in files
    assert "msa_core/plugins.py" not in files
    other = version_of(default, core.used_plugins(default, {}))
    assert "msa_core/modules/fusion/misa.py" not in other.files


QUICK = ("lstm beside mean_mlp", "mult", "measures cmd, mmd, rkd")
TRACED = {**CASES, **MODULE_CASES}


@pytest.mark.parametrize(
    "case",
    [case if case in QUICK else pytest.param(case, marks=pytest.mark.slow) for case in TRACED],
)
def test_every_file_that_a_training_executes_is_in_its_version(case: str) -> None:
    dataset = generate_planted(RECIPE)
    config = replace(Config(), {**BASE, "train.epochs": 3, **TRACED[case]})
    prepared = PreparedSplits(dataset.splits)
    executed: set[str] = set()

    def note(frame: Any, event: str, argument: object) -> None:
        # `<module>`, classes and comprehensions aside: importing a file is not using it.
        if event == "call" and frame.f_code.co_name != "<module>":
            executed.add(frame.f_code.co_filename)

    sys.setprofile(note)
    try:
        (result,) = train_pack([Member(config=config, seed=1)], prepared)
        evaluate(result, dataset.test)
    finally:
        sys.setprofile(None)
    root = version.FOLDERS["msa_core"].parent
    used = {
        Path(name).relative_to(root).as_posix() for name in executed if name.startswith(str(root))
    }
    used = {name for name in used if name.startswith(("msa_core/", "spaces/"))}
    assert len(used) > 20
    assert used <= set(version_of(config).files)
