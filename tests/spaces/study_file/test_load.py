"""Every rule of a study file, and the message that a mistake gets."""

from collections.abc import Callable
from pathlib import Path

import pytest

from spaces.errors import StudyError
from spaces.fields.paths import value_at
from spaces.search_space.domains import Int, LogUniform
from spaces.study_file.load import SHIPPED, find_study, load_study

WriteStudy = Callable[[str], Path]

GOOD = """\
study: pairs
base:
  model.fusion.kind: sum
  loss: {alignment: {text_audio: {mode: off}}}
search:
  train.learning_rate: {log_uniform: [1e-4, 1e-2]}
  model:
    fusion.width: {int: [8, 64]}
arms:
  - explicit:
      full: {}
      aligned: {loss.alignment.text_audio.mode: shared}
budget: {candidates: 9}
"""


def test_nested_and_dotted_fields_mean_the_same(write_study: WriteStudy) -> None:
    study = load_study(write_study(GOOD))
    assert value_at(study.base, "model.fusion.kind") == "sum"
    assert study.search == {
        "train.learning_rate": LogUniform(1e-4, 1e-2),
        "model.fusion.width": Int(8, 64),
    }
    assert study.arms[1].changes == {"loss.alignment.text_audio.mode": "shared"}


def test_off_is_a_word_and_exponents_are_numbers(write_study: WriteStudy) -> None:
    study = load_study(write_study(GOOD + "margin: {mae: 1e-2}\n"))
    assert study.margins == {"mae": 0.01}


def test_a_merged_mapping_is_written_once_for_several_arms(write_study: WriteStudy) -> None:
    several = (
        GOOD.replace("full: {}", "full: &most {model.fusion.kind: tfn}")
        .replace("aligned: {", "aligned: {<<: *most, ")
        .replace("  model.fusion.kind: sum\n", "")
    )
    study = load_study(write_study(several))
    aligned = {"model.fusion.kind": "tfn", "loss.alignment.text_audio.mode": "shared"}
    assert study.arms[1].changes == aligned
    with pytest.raises(StudyError, match=r"study.yaml:10: .*'model.fusion.knd' is not a field"):
        load_study(write_study(several.replace("fusion.kind: tfn", "fusion.knd: tfn")))


MISTAKES = {
    "misspelt study field": (
        GOOD + "budgte: {}\n",
        "study.yaml:14: 'budgte' is not a field of a study; did you mean 'budget'?",
    ),
    "misspelt budget field": (
        GOOD.replace("candidates", "candidats"),
        "study.yaml:13: 'budget.candidats' is not a field of a study; did you mean 'candidates'?",
    ),
    "misspelt base field": (
        GOOD.replace("model.fusion.kind", "model.fusion.knd"),
        "study.yaml:3: base: 'model.fusion.knd' is not a field; did you mean 'model.fusion.kind'?",
    ),
    "misspelt searched field": (
        GOOD.replace("fusion.width", "fusion.widht"),
        "study.yaml:8: search: 'model.fusion.widht' is not a field; "
        "did you mean 'model.fusion.width'?",
    ),
    "unknown arm field": (
        GOOD.replace("text_audio.mode: shared", "text_audo.mode: shared"),
        "study.yaml:12: arms: 'aligned': 'loss.alignment.text_audo.mode' is not a field; did you "
        "mean 'loss.alignment.text_audio.mode'?",
    ),
    "value out of bounds": (
        GOOD.replace("model.fusion.kind: sum", "train.batch_size: 1"),
        "study.yaml:3: base: 'train.batch_size' must lie in [2, 65536], but got 1",
    ),
    "value not among the choices": (
        GOOD.replace("kind: sum", "kind: tnf"),
        "study.yaml:3: base: 'model.fusion.kind' must be one of concat, sum, gated, tfn, lmf, "
        "mult, misa, reorg_sum, but got 'tnf'; did you mean 'tfn'?",
    ),
    "domain out of the field's bounds": (
        GOOD.replace("[1e-4, 1e-2]", "[0, 1e-2]"),
        "study.yaml:6: search: 'train.learning_rate' must lie in (0, 1], but got 0.0",
    ),
    "unknown domain": (
        GOOD.replace("log_uniform", "loguniform"),
        "study.yaml:6: search: 'train.learning_rate': 'loguniform' is not a domain; allowed are "
        "uniform, log_uniform, int, choice; did you mean 'log_uniform'?",
    ),
    "domain of the wrong type": (
        GOOD.replace("{int: [8, 64]}", "{uniform: [8, 64]}"),
        "study.yaml:8: search: 'model.fusion.width' cannot be searched as uniform; "
        "use int or choice",
    ),
    "a bare value in search": (
        GOOD.replace("{int: [8, 64]}", "64"),
        "study.yaml:8: search: 'model.fusion.width' needs one domain",
    ),
    "low above high": (
        GOOD.replace("[8, 64]", "[64, 8]"),
        "study.yaml:8: search: 'model.fusion.width': `low < high` must hold, "
        "but got (low=64, high=8)",
    ),
    "searched and fixed": (
        GOOD.replace("model.fusion.kind: sum", "train.learning_rate: 0.1"),
        "study.yaml:6: search: 'train.learning_rate' is searched here and fixed in 'base'",
    ),
    "set twice": (
        GOOD.replace("model.fusion.kind: sum", "loss.alignment.text_audio.mode: off"),
        "study.yaml:4: 'loss.alignment.text_audio.mode' is set a second time; first at "
        "study.yaml:3",
    ),
    "key twice": (GOOD + "study: other\n", "study.yaml:14: found duplicate key"),
    "unknown design": (
        GOOD.replace("explicit", "explict"),
        "study.yaml:10: arms: 'explict' is not a design; allowed are explicit, leave_one_out, "
        "add_one_in, one_at_a_time, factorial, fractional, pairs, path, grid, product, union; did "
        "you mean 'explicit'?",
    ),
    "no arms": (GOOD.split("arms:")[0], "study.yaml:1: 'arms' is missing"),
    "empty arms": (GOOD.split("  - explicit")[0].replace("arms:", "arms: []"), "at least one arm"),
    "baseline that is no arm": (
        GOOD + "baseline: ful\n",
        "study.yaml:14: baseline: 'ful' is not an arm; did you mean 'full'?",
    ),
    "unknown metric": (
        GOOD + "metric: mea\n",
        "study.yaml:14: metric: 'mea' is not a metric of the 'mosi' labels; did you mean 'mae'?",
    ),
    "margin of an unknown metric": (
        GOOD + "margin: {acc: 0.1}\n",
        "study.yaml:14: margin: 'acc' is not a metric",
    ),
    "negative margin": (GOOD + "margin: {mae: -1}\n", "study.yaml:14: 'margin.mae'"),
    "text where a number belongs": (
        GOOD.replace("candidates: 9", "candidates: many"),
        "study.yaml:13: 'budget.candidates': must be a whole number, but got 'many'",
    ),
    "unknown sampler": (GOOD + "sampler: tpa\n", "study.yaml:14: 'sampler': must be 'tpe'"),
    "a name that leaves the folder": (
        GOOD.replace("study: pairs", "study: ../../etc"),
        "study.yaml:1: study: '../../etc' names a folder",
    ),
    "no modality left": (
        GOOD.replace(
            "{loss.alignment.text_audio.mode: shared}",
            "{model.text.use: false, model.audio.use: false, model.vision.use: false}",
        ),
        "study.yaml:12: arms: 'aligned': every modality is switched off",
    ),
    "unknown monitor": (
        GOOD.replace("model.fusion.kind: sum", "train.monitor: maee"),
        "'train.monitor' must be a metric of the 'mosi' labels",
    ),
    "unknown data field": (
        GOOD + "data: {fiel: x.pkl}\n",
        "study.yaml:14: data: 'fiel' is not one of file, labels, planted, text_model; "
        "did you mean 'file'?",
    ),
    "unknown labels": (
        GOOD + "data: {labels: mose}\n",
        "study.yaml:14: data.labels: must be one of mosi, sims, but got 'mose'; "
        "did you mean 'mosi'?",
    ),
    "shares that do not add up": (
        GOOD + "data: {planted: {noise: 0.5}}\n",
        "study.yaml:14: data.planted: shared + text_private + synergy + noise must be 1",
    ),
    "not a mapping": ("- a\n", "study.yaml:1: a study file is a mapping"),
    "not YAML": ("study: [a\n", "study.yaml:2:"),
    "empty": ("", "study.yaml:1: a study file is a mapping"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake_is_refused_with_its_place_and_its_fix(name: str, write_study: WriteStudy) -> None:
    text, message = MISTAKES[name]
    with pytest.raises(StudyError) as caught:
        load_study(write_study(text))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


OVERRIDES = {
    "train.epochs=5": ("base", 5),
    "base.train.epochs=5": ("base", 5),
    "budget.candidates=5": ("budget", 5),
}


@pytest.mark.parametrize("override", OVERRIDES)
def test_override_changes_the_study(override: str, write_study: WriteStudy) -> None:
    study = load_study(write_study(GOOD), [override])
    part, value = OVERRIDES[override]
    changed = study.base.train.epochs if part == "base" else study.budget.candidates
    assert changed == value


def test_override_of_a_nested_field_replaces_it(write_study: WriteStudy) -> None:
    study = load_study(write_study(GOOD), ["loss.alignment.text_audio.mode=private"])
    assert study.base.loss.alignment.text_audio.mode == "private"


def test_override_of_a_domain_replaces_it(write_study: WriteStudy) -> None:
    study = load_study(write_study(GOOD), ["search.model.fusion.width={int: [2, 4]}"])
    assert study.search["model.fusion.width"] == Int(2, 4)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.epoch=5", "did you mean 'train.epochs'?"),
        ("budget.candidats=5", "did you mean 'candidates'?"),
        ("train.epochs", "needs the form field=value"),
        ("train.epochs=0", "--set train.epochs=0: base: 'train.epochs' must lie in [1, 100000]"),
        ("train.epochs=[", "--set train.epochs=["),
    ],
)
def test_wrong_override_is_refused(override: str, message: str, write_study: WriteStudy) -> None:
    with pytest.raises(StudyError) as caught:
        load_study(write_study(GOOD), [override])
    assert message in str(caught.value)


def test_relative_data_file_starts_at_the_study_file(write_study: WriteStudy) -> None:
    path = write_study(GOOD + "data: features/mosi.pkl\n")
    assert load_study(path).data.file == path.parent / "features" / "mosi.pkl"


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_study_is_found_by_its_name_and_loads(path: Path) -> None:
    assert load_study(find_study(path.stem)).name == path.stem


def test_unknown_study_names_the_nearest() -> None:
    with pytest.raises(StudyError, match="did you mean 'mosi-pairs'"):
        find_study("mosi-pair")
