"""`triptych plan --why` names what made cells stale; a run asks about versions alone."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from msa_core.config.planted import PlantedConfig
from msa_core.data.planted import generate_planted
from search import provenance
from search.cli import main
from search.ledger.ledger import read_ledger
from search.reproduce.origin import find_changes
from search.results.folder import read_manifest
from search.results.origins import read_origins
from search.study import why
from search.study.why import explain_stale, explanation_lines
from tests.cases.core_sources import TIDYING
from tests.cases.feature_files import write_npz
from tests.cases.studies.finished_study import ARMS, CELLS, Ground, refill


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
