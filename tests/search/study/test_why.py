"""`triptych plan --why` names what made cells stale; a run asks about versions alone."""

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from msa_core import version
from msa_core.config.schema import PlantedConfig
from msa_core.data.dataset import Dataset
from msa_core.data.planted import generate_planted
from msa_core.plugins import use_plugins
from search import provenance
from search.cli import main
from search.ledger.ledger import read_ledger
from search.reproduce.origin import find_changes
from search.results.folder import read_manifest
from search.results.layout import ORIGINS
from search.results.origins import origins_of, read_origins
from search.study import why
from search.study.open import OpenedStudy, StaleAnswer, open_study
from search.study.stale import EARLIER_WAY
from search.study.why import ArmReasons, explain_stale, explanation_lines
from spaces.plan.arm_keys import key_of
from spaces.plan.plan import Plan
from tests.cases.core_sources import TIDYING, add_constant, copy_core
from tests.cases.feature_files import write_npz
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


@pytest.fixture(scope="module")
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
    use_plugins([])
    return folder


@pytest.fixture
def ground(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ground]:
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    yield Ground(tmp_path, monkeypatch)
    use_plugins([])


def in_study(old: str, new: str) -> Callable[[Ground], None]:
    return lambda ground: ground.edit("study.yaml", old, new)


def in_core(file: str) -> Callable[[Ground], None]:
    return lambda ground: ground.edit_core(file)


def in_data(ground: Ground) -> None:
    changed = PlantedConfig(seed=7, train=48, valid=24, test=24, steps=3, width=6)
    write_npz(ground.folder / "features.npz", generate_planted(changed))


BUDGET = "tune_seeds: 1"
# Change -> how it is made, what is named, and the arms whose cells it makes stale.
PLANTED: dict[str, tuple[Callable[[Ground], None], str, set[str]]] = {
    "a field of the base": (
        in_study("model.text.width: 8", "model.text.width: 12"),
        "model.text.width: 8 -> 12", ARMS,
    ),
    "a new field of the base": (
        in_study("  train.epochs: 3", "  train.epochs: 3\n  train.batch_size: 16"),
        "train.batch_size: 32 -> 16", ARMS,
    ),
    "a field of one arm": (
        in_study("mode: shared", "mode: private"),
        "loss.alignment.text_audio.mode: shared -> private", {"aligned"},
    ),
    "a domain": (
        in_study("[1e-3, 1e-1]", "[1e-4, 1e-1]"),
        "search of train.learning_rate: log_uniform [0.001, 0.1] -> log_uniform [0.0001, 0.1]",
        ARMS,
    ),
    "a domain of one arm's field": (
        in_study("[1e-2, 1]}", "[1e-2, 2]}"),
        "search of loss.contrast.rbc.weight: log_uniform [0.01, 1] -> log_uniform [0.01, 2]",
        {"rbc"},
    ),
    "another searched field": (
        in_study("constraints:", "  train.weight_decay: {uniform: [0, 0.1]}\nconstraints:"),
        "search of train.weight_decay: none -> uniform [0, 0.1]", ARMS,
    ),
    "tune seeds": (in_study(BUDGET, "tune_seeds: 2"), "budget.tune_seeds: 1 -> 2", ARMS),
    "the seed": (in_study(BUDGET, f"{BUDGET}, seed: 5"), "budget.seed: 0 -> 5", ARMS),
    "the scheduler": (
        in_study(BUDGET, f"{BUDGET}, scheduler: bracket"),
        "budget.scheduler: none -> bracket", ARMS,
    ),
    "the sampler": (in_study("arms:", "sampler: random\narms:"), "sampler: tpe -> random", ARMS),
    "the metric": (in_study("arms:", "metric: corr\narms:"), "metric: mae -> corr", ARMS),
    "a constraint": (
        in_study("< 0.09", "< 0.08"),
        "constraints: train.learning_rate < 0.09 -> train.learning_rate < 0.08", ARMS,
    ),
    "a start point": (
        in_study("arms:", "start: [{train.learning_rate: 0.01}]\narms:"),
        "start: none -> train.learning_rate = 0.01", ARMS,
    ),
    "an arm's name": (in_study("mult: {", "crossed: {"), "arm: mult -> crossed", {"crossed"}),
    "an arm less": (
        in_study("      mult: {model.fusion.kind: mult}\n", ""),
        "the study has no such arm", {"mult"},
    ),
    "a plugin": (
        lambda ground: ground.edit("own.py", "scale = 1", "scale = 2"),
        "plugin own.py: ", {"own"},
    ),
    "the data": (in_data, "the data changed (features.npz: ", ARMS),
    **{
        f"{what} file": (in_core(file), f"msa_core/{file} changed", arms)
        for what, file, arms in (
            ("an encoder's", "modules/encoders.py", ARMS),
            ("a fusion's", "modules/fusion/mult.py", {"mult"}),
            ("a measure's", "modules/alignment/pairs.py", {"aligned"}),
            ("a contrast's", "modules/contrast/rbc.py", {"rbc"}),
            ("a procedure's", "procedures/mla.py", {"mla"}),
            ("the batches'", "data/batching.py", ARMS),
            ("the optimiser's", "tensors/parameters.py", ARMS),
        )
    },
}  # fmt: skip


@pytest.mark.parametrize("change", PLANTED)
def test_every_planted_change_is_named_with_its_arms(ground: Ground, change: str) -> None:
    plant, named, arms = PLANTED[change]
    plant(ground)
    found = ground.reasons()
    assert set(found) == arms
    for arm in found.values():
        assert [reason for reason in arm.reasons if reason.startswith(named)], arm.reasons
        assert len(arm.reasons) == (2 if change == "the scheduler" else 1), arm.reasons
        assert (arm.good, arm.stale) == (0, CELLS)


def test_without_a_change_nothing_is_stale(ground: Ground) -> None:
    assert ground.reasons() == {}
    assert ground.opened().stale is None
    lines = list(explanation_lines(explain_stale(ground.opened())))
    assert lines == [f"why: nothing is stale; all {len(ARMS) * CELLS} finished cells count"]


@pytest.mark.parametrize("tidy", TIDYING)
def test_tidying_the_core_costs_nothing(ground: Ground, tidy: Callable[[Path], object]) -> None:
    ground.change_core(tidy)
    assert ground.reasons() == {}
    assert ground.opened().stale is None


def test_what_no_key_holds_makes_nothing_stale(ground: Ground) -> None:
    ground.edit("study.yaml", "confirm_seeds: 2", "confirm_seeds: 3")
    ground.edit("study.yaml", "candidates: 2", "candidates: 4")
    ground.edit("study.yaml", "study: why\n", "study: why\nquestion: Why?\n")
    assert ground.reasons() == {}


def test_another_version_of_a_package_is_named_and_makes_nothing_stale(ground: Ground) -> None:
    ground.monkeypatch.setattr(
        why, "installed_version", lambda name: "9.9" if name == "numpy" else
        provenance.installed_version(name),
    )  # fmt: skip
    found = explain_stale(ground.opened())
    assert found is not None
    then = provenance.installed_version("numpy")
    assert found.beside == (f"numpy: {then} -> 9.9 (in no key, so it makes no cell stale)",)
    assert not any(arm.reasons for arm in found.arms)
    assert ground.opened().stale is None


def test_a_run_asks_about_the_arms_that_a_file_reaches_and_keeps_the_others(
    ground: Ground,
) -> None:
    ground.edit_core("modules/fusion/mult.py")
    ground.edit_core("procedures/mla.py")
    asked = ground.opened()
    assert asked.stale is not None
    assert asked.stale.change_sentence() == (
        "msa_core/modules/fusion/mult.py changed; msa_core/procedures/mla.py changed: 8 cells of "
        f"'mult' and 1 other arm are stale in {ground.results}"
    )
    assert "--rerun trains them again" in asked.stale.rerun_question()
    # Kept, they count under their own keys, with a note; the others never were in question.
    kept = ground.opened(StaleAnswer.KEEP)
    before = read_manifest(ground.results).arm_keys
    assert {arm.name: arm.key for arm in kept.plan.arms} == before
    assert asked.plan.arms[0].key == before["full"]
    assert kept.plan.notes[-1].startswith("older cells of 'mult', 'mla' count (--keep): msa_core/")
    assert kept.dataset is not None
    told = provenance.collect_provenance(kept.plan, kept.dataset)
    assert told["training core"] != told["training core, now"]
    assert [name for name in told if name.startswith("training core of")] == [
        "training core of 'mult'", "training core of 'mla'",
    ]  # fmt: skip
    # What is kept is asked about again, as long as the code is another.
    filled(ground.results, kept.plan, kept.dataset, [])
    again = ground.opened().stale
    assert again is not None
    assert again.change_sentence() == asked.stale.change_sentence()
    assert {arm.name: arm.key for arm in ground.opened(StaleAnswer.KEEP).plan.arms} == before


def test_an_edit_of_the_study_is_not_asked_about(ground: Ground) -> None:
    ground.edit("study.yaml", "model.text.width: 8", "model.text.width: 12")
    assert ground.opened().stale is None


def test_a_folder_without_origins_is_asked_about_once_and_can_be_kept(ground: Ground) -> None:
    """As version 0.1 left it: one digest of the whole core in every key."""
    ground.monkeypatch.setattr("search.study.open.arm_version", None)
    ground.monkeypatch.setattr(provenance, "code_version", lambda: "0123456789abcdef")
    old = ground.opened()
    assert old.dataset is not None
    refill(ground, old.plan, old.dataset)
    (ground.results / ORIGINS).unlink()
    ground.monkeypatch.undo()
    asked = ground.opened()
    assert asked.stale is not None
    assert asked.stale.changed == ["code"]
    assert asked.stale.change_sentence() == (
        f"{EARLIER_WAY}: {len(ARMS) * CELLS} cells of 'full' and 5 other arms are stale in "
        f"{ground.results}"
    )
    assert {arm.reasons for arm in ground.reasons().values()} == {(EARLIER_WAY,)}
    kept = ground.opened(StaleAnswer.KEEP)
    assert {arm.name: arm.key for arm in kept.plan.arms} == read_manifest(ground.results).arm_keys


def test_a_field_that_an_update_of_the_core_added_does_not_hide_the_question(
    ground: Ground,
) -> None:
    opened = ground.opened()
    assert opened.dataset is not None
    arms = []
    for arm in opened.plan.arms:
        config = {n: value for n, value in arm.decides["config"].items() if n != "control.unused"}
        decides = {**arm.decides, "config": config}
        arms.append(replace(arm, decides=decides, key=key_of(decides)))
    older = replace(opened.plan, arms=tuple(arms))
    refill(ground, older, opened.dataset)
    ground.edit_core("model.py")
    asked = ground.opened().stale
    assert asked is not None
    assert asked.causes == ("msa_core/model.py changed",)
    assert set(asked.arms) == ARMS
    kept = ground.opened(StaleAnswer.KEEP)
    assert [arm.key for arm in kept.plan.arms] == [arm.key for arm in older.arms]


def test_origins_are_read_back_and_a_torn_file_costs_the_explanation_alone(ground: Ground) -> None:
    plan = ground.opened().plan
    assert read_origins(ground.results) == origins_of(plan)
    (ground.results / ORIGINS).write_text('{"pairs": [', encoding="utf-8")
    assert ground.opened().stale is None
    assert read_origins(ground.results).values == {}


def test_a_frozen_arm_is_explained_by_the_arm_that_is_tuned_for_it(ground: Ground) -> None:
    ground.edit("study.yaml", "arms:", "retune: false\narms:")
    opened = ground.opened()
    assert opened.dataset is not None
    refill(ground, opened.plan, opened.dataset)
    ground.edit_core("modules/fusion/mult.py")
    found = ground.reasons()
    assert {name: arm.reasons for name, arm in found.items()} == {
        "mult": ("msa_core/modules/fusion/mult.py changed",)
    }
    ground.edit("study.yaml", "[1e-3, 1e-1]", "[1e-4, 1e-1]")
    assert Counter(len(arm.reasons) for arm in ground.reasons().values())[2] >= 4


def test_reproduce_names_the_file_and_the_arms(ground: Ground) -> None:
    def differing() -> dict[str, tuple[str, str]]:
        opened = ground.opened()
        assert opened.dataset is not None
        records = read_ledger(ground.results).values()
        found = find_changes(
            read_manifest(ground.results), records, opened.dataset, opened.study,
            read_origins(ground.results), ["cpu"], "cpu",
        )  # fmt: skip
        return {one.what: (one.then, one.now) for one in found if one.what.startswith("training")}

    assert differing() == {}
    before = ground.opened().plan.arms[1].code.digest
    ground.edit_core("modules/fusion/mult.py")
    now = ground.opened().plan.arms[1].code.digest
    what = "training core of 'mult' (msa_core/modules/fusion/mult.py changed)"
    assert differing() == {what: (before, now)}


def test_the_command_prints_it(ground: Ground) -> None:
    ground.edit_core("modules/fusion/mult.py")
    ground.edit("study.yaml", "mode: shared", "mode: private")
    command = ["plan", str(ground.folder / "study.yaml"), "--workdir", str(ground.folder), "--why"]
    done = CliRunner().invoke(main, command, catch_exceptions=False)
    assert done.exit_code == 0
    assert done.output.splitlines() == [
        "why ",
        "why: 16 finished cells count, 8 are stale",
        "  'mult': 4 stale cells",
        "    msa_core/modules/fusion/mult.py changed",
        "  'aligned': 4 stale cells",
        "    loss.alignment.text_audio.mode: shared -> private",
    ]
    done = CliRunner().invoke(main, [*command, "--json"], catch_exceptions=False)
    assert json.loads(done.output)["why"]["arms"][1] == {
        "arm": "mult",
        "good": 0,
        "stale": 4,
        "reasons": ["msa_core/modules/fusion/mult.py changed"],
    }
