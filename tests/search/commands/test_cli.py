"""The front door: what a person reads after a mistake, and what each command prints."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from jsonschema import Draft7Validator

from search.cli import main
from spaces.study_file.load import SHIPPED, load_study
from spaces.syntax.document import read_document

Triptych = Callable[..., Result]


LOUD = """\
from dataclasses import dataclass
from msa_core.modules.fusion.vector_fusions import Fusion
from msa_core.plugins import FusionOptions, field, fusion

@dataclass(frozen=True, kw_only=True, slots=True)
class LoudOptions(FusionOptions):
    volume: int = field(5, "how loud", "volume", minimum=0, maximum=11)

@fusion("loud", LoudOptions)
class Loud(Fusion):
    '''It shouts.'''
"""


@pytest.fixture
def triptych(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Triptych:
    """Calls a command in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> Result:
        return CliRunner().invoke(main, [str(argument) for argument in arguments])

    return call


def assert_refused(result: Result, *parts: str) -> None:
    assert result.exit_code == 2, result.output
    (message,) = result.stderr.splitlines()
    assert message.startswith("error: ")
    for part in parts:
        assert part in message


class Attack:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        import os

        return os.system, ("touch executed",)


def features(**changes: object) -> dict[str, dict[str, object]]:
    """A small feature file in the MMSA layout."""
    draw = np.random.default_rng(0)
    return {
        split: {
            "id": [f"{split}{row}" for row in range(8)],
            "text": draw.normal(size=(8, 2, 3)).astype(np.float32),
            "regression_labels": draw.uniform(-3, 3, 8).astype(np.float32),
            **(changes if split == "train" else {}),
        }
        for split in ("train", "valid", "test")
    }


def write_features(path: Path, content: object) -> Path:
    path.write_bytes(pickle.dumps(content))
    return path


def test_a_missing_study_is_refused(triptych: Triptych) -> None:
    assert_refused(triptych("run", "mosi-pair"), "no such file", "did you mean 'mosi-pairs'?")


def test_a_missing_feature_file_is_refused(triptych: Triptych) -> None:
    assert_refused(triptych("run", "mosi-pairs", "--data", "mosi.pkl"), "mosi.pkl: no such file")


def test_a_study_without_data_asks_for_it(triptych: Triptych) -> None:
    assert_refused(triptych("run", "mosi-pairs"), "mosi-pairs.yaml", "--data FILE")


def test_nan_features_are_refused_with_their_row(triptych: Triptych, tmp_path: Path) -> None:
    broken = np.zeros((8, 2, 3), np.float32)
    broken[5, 1, 2] = np.nan
    path = write_features(tmp_path / "nan.pkl", features(text=broken))
    assert_refused(
        triptych("run", "mosi-pairs", "--data", path), "split 'train', key 'text', row 5"
    )


def test_an_empty_split_is_refused(triptych: Triptych, tmp_path: Path) -> None:
    content = features()
    content["valid"] = {key: value[:0] for key, value in content["valid"].items()}  # type: ignore[index]
    path = write_features(tmp_path / "empty.pkl", content)
    assert_refused(triptych("run", "mosi-pairs", "--data", path), "split 'valid' is empty")


def test_a_pickle_that_calls_the_system_is_refused_and_does_not_run(
    triptych: Triptych, tmp_path: Path
) -> None:
    path = write_features(tmp_path / "attack.pkl", features(text=Attack()))
    assert_refused(triptych("run", "mosi-pairs", "--data", path), "system")
    assert not (tmp_path / "executed").exists()
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("budget.candidats=3", "did you mean 'candidates'?"),
        ("train.batch_size=0", "must lie in [2, 65536]"),
        ("train.epoch=3", "did you mean 'train.epochs'?"),
        ("loss.unimodal.kind=fixed", None),
        ("model.projection.width=512", "'model.fusion.kind: tfn': it multiplies 3 modalities"),
    ],
)
def test_overrides_are_checked_like_the_file(
    triptych: Triptych, override: str, message: str | None
) -> None:
    result = triptych("plan", "planted-quick", "--no-probe", "--set", override)
    if message is None:
        assert result.exit_code == 0
    else:
        assert_refused(result, message)


def test_a_mistake_in_the_file_is_refused_with_its_line(triptych: Triptych, tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text("study: x\narms:\n  - explicit:\n      full: {model.txt.use: false}\n")
    assert_refused(
        triptych("run", path),
        "study.yaml:4: arms: 'full': 'model.txt.use' is not a field",
        "did you mean 'model.text.use'?",
    )


def test_too_small_a_budget_is_only_a_warning(triptych: Triptych) -> None:
    result = triptych("plan", "mosi-pairs", "--set", "budget.candidates=5")
    assert result.exit_code == 0
    assert (
        "warning: 4 searched fields in 'shared TA + TV + AV' but only 5 candidates" in result.output
    )


def test_plan_shows_arms_cells_and_the_floor_of_p(triptych: Triptych) -> None:
    result = triptych("plan", "planted-quick", "--no-probe")
    assert result.exit_code == 0
    for part in (
        "full (baseline)",
        "without vision",
        "110 cells",
        "smallest possible p 0.002",
        "train.learning_rate: log_uniform",
        "0 of 110 cells are in the ledger",
    ):
        assert part in result.output


def test_init_writes_a_study_that_can_be_planned_and_never_overwrites(
    triptych: Triptych, tmp_path: Path
) -> None:
    assert "Next: triptych plan mine.yaml" in triptych("init", "mine.yaml").output
    assert load_study(tmp_path / "mine.yaml").name == "mine"
    assert triptych("plan", "mine.yaml", "--no-probe").exit_code == 0
    assert_refused(triptych("init", "mine.yaml"), "is there already")
    assert_refused(triptych("init", "nowhere/mine.yaml"), "cannot be written")


def test_a_study_of_init_is_known_to_an_editor(triptych: Triptych, tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    result = triptych("init", "below/mine.yaml")
    assert "below/study.schema.json written" in result.output
    study = tmp_path / "below" / "mine.yaml"
    first = study.read_text().splitlines()[0]
    assert first == "# yaml-language-server: $schema=study.schema.json"
    schema = json.loads((tmp_path / "below" / "study.schema.json").read_text())
    assert Draft7Validator(schema).is_valid(read_document(study).plain_value())
    assert {path.name for path in (tmp_path / "below").iterdir()} == {
        "mine.yaml", "study.schema.json",
    }  # fmt: skip


def test_init_refreshes_a_schema_of_ours_and_leaves_another_alone(
    triptych: Triptych, tmp_path: Path
) -> None:
    schema = tmp_path / "study.schema.json"
    schema.write_text(json.dumps({"$comment": "Written by `triptych schema`; an older one"}))
    assert "study.schema.json written" in triptych("init", "one.yaml").output
    assert "definitions" in json.loads(schema.read_text())
    for other in ('{"title": "mine"}', "no JSON", "[]"):
        schema.write_text(other)
        result = triptych("init", f"{len(other)}.yaml")
        assert result.exit_code == 0
        assert "study.schema.json is not from here and stays as it is" in result.output
        assert_refused(triptych("schema"), "study.schema.json is there already and no schema of")
        assert schema.read_text() == other


def test_schema_writes_a_file_or_prints(triptych: Triptych, tmp_path: Path) -> None:
    result = triptych("schema")
    assert result.output.startswith("study.schema.json written")
    assert result.output.endswith("\n# yaml-language-server: $schema=study.schema.json\n")
    written = (tmp_path / "study.schema.json").read_text()
    assert triptych("schema", "-").output == written
    assert triptych("schema").exit_code == 0
    assert_refused(triptych("schema", "nowhere/a.json"), "cannot be written")
    assert_refused(triptych("schema", "--study", "nothing.yaml"), "no such file")
    assert (tmp_path / "study.schema.json").read_text() == written


def test_the_schema_of_a_study_has_the_fields_of_its_plugins(
    triptych: Triptych, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "loud.py").write_text(LOUD)
    study = tmp_path / "mine" / "study.yaml"
    study.write_text("study: x\nplugins: [loud.py]\narms:\n  - explicit: {full: {}}\n")
    result = triptych("schema", "own.json", "--study", study)
    assert result.output.endswith("\n# yaml-language-server: $schema=../own.json\n")
    assert "value.model.fusion.loud.volume" in (tmp_path / "own.json").read_text()
    triptych("schema", "plain.json")
    assert "loud" not in (tmp_path / "plain.json").read_text()


def test_status_and_report_without_results_say_so(triptych: Triptych) -> None:
    assert "no study has been run" in triptych("status").output
    for command in ("status", "report"):
        assert_refused(triptych(command, "planted-quick"), "holds no results; run the study first")


def test_every_command_has_help(triptych: Triptych) -> None:
    listed = triptych("--help").output
    for command in main.commands:
        assert command in listed
        assert triptych(command, "--help").exit_code == 0


def test_every_shipped_study_is_listed_when_none_is_found(triptych: Triptych) -> None:
    message = triptych("plan", "zzz").stderr
    for path in SHIPPED.glob("*.yaml"):
        assert path.stem in message
