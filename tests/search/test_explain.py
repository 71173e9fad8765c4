"""What `triptych explain` says."""

from collections.abc import Callable
from pathlib import Path

import pytest

from msa_core.config import Config
from msa_core.config_paths import fields_of
from search.explain import packing_lines, show_field, show_fields
from spaces.errors import StudyError
from spaces.plan import Versions, plan_study
from spaces.study import load_study


def test_every_field_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    show_fields()
    said = capsys.readouterr().out
    group, listed = "", set()
    for line in said.splitlines():
        if line.rstrip().endswith(": field, default, meaning"):
            group = line.partition(":")[0]
        elif line.startswith("  ") and line.split():
            listed.add(f"{group}.{line.split()[0]}")
    for path, (info, _) in fields_of(Config).items():
        assert path + ("*" if info.varies else "") in listed
    assert "lstm: " in said


def test_a_group_is_listed_alone(capsys: pytest.CaptureFixture[str]) -> None:
    show_field("loss.alignment.cov")
    said = capsys.readouterr().out
    names = [line.split()[0] for line in said.splitlines() if line.strip()]
    assert {"estimate", "momentum*", "queue"} <= set(names)
    assert "bandwidth" not in said


@pytest.mark.parametrize("path", sorted(fields_of(Config)))
def test_every_field_is_explained(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    show_field(path)
    said = capsys.readouterr().out
    info, _ = fields_of(Config)[path]
    assert said.startswith(f"{path}: {info.meaning}\n")
    assert "default" in said
    assert ("may train in one step" in said) == info.varies


def test_an_encoder_that_trains_in_turn_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    show_field("model.text.encoder")
    said = capsys.readouterr().out
    assert "lstm: one cell after another on a CPU, since PyTorch's fused LSTM" in said
    assert "in packs on a GPU" in said


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("dropout", "did you mean model.text.dropout, "),
        ("model.fusio", "did you mean 'model.fusion'?"),
        ("train.learning_rat", "did you mean 'train.learning_rate'?"),
    ],
)
def test_a_name_that_is_no_field_gets_a_hint(path: str, hint: str) -> None:
    with pytest.raises(StudyError, match=r"is not a field") as raised:
        show_field(path)
    assert hint in str(raised.value)


def test_a_plan_says_which_arms_train_in_packs_and_why_not_the_others(
    write_study: Callable[[str], Path], small_study_text: str
) -> None:
    def lines(*overrides: str) -> list[str]:
        study = load_study(write_study(small_study_text), overrides)
        return packing_lines(plan_study(study, Versions(data="", code="")))

    assert lines() == ["packs: every arm, up to dozens of cells in one step"]
    in_turn, packs = lines("base.model.text.encoder=lstm")
    assert in_turn.startswith("in turn: 'full', on a CPU one cell after another, since PyTorch's")
    assert packs.startswith("packs: 'without text', ")
