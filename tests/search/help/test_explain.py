"""What `triptych explain` says."""

from collections.abc import Callable
from pathlib import Path

import pytest

from msa_core.config.rules import is_active
from msa_core.config.schema import Config
from msa_core.core import CORE
from msa_core.reference.sources import declared_in, sources_of
from search.help.explain import needed_for, packing_lines, show_field, show_fields
from spaces.designs.parse_designs import DESIGNS
from spaces.errors import StudyError
from spaces.fields.paths import fields_of
from spaces.help.topics import (
    DESIGN_EXAMPLES,
    DOMAIN_EXAMPLES,
    SAMPLERS,
    STUDY_EXAMPLES,
    find_topics,
    topic_names,
)
from spaces.help.values import study_fields
from spaces.plan.arms_on_data import Versions
from spaces.plan.plan import plan_study
from spaces.search_space.domains import DOMAINS
from spaces.study_file.file_shape import Budget
from spaces.study_file.load import load_study


def test_every_field_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    show_fields(CORE)
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
    for name, field in study_fields(CORE).items():
        assert f"{'' if '.' in name else 'study.'}{name}" in listed
        assert " ".join(field.meaning.split()[:3]) in said
    assert said.index("study: field") < said.index("features: field")


def test_a_group_is_listed_alone(capsys: pytest.CaptureFixture[str]) -> None:
    show_field("loss.alignment.cov", CORE)
    said = capsys.readouterr().out
    names = [line.split()[0] for line in said.splitlines() if line.strip()]
    assert {"estimate", "momentum*", "queue"} <= set(names)
    assert "bandwidth" not in said


@pytest.mark.parametrize("path", sorted(fields_of(Config)))
def test_every_field_is_explained(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    show_field(path, CORE)
    said = capsys.readouterr().out
    info, _ = fields_of(Config)[path]
    assert said.startswith(f"{path}: {info.meaning}\n")
    assert "default" in said
    assert (f"({info.unit})" in said) == bool(info.unit)
    assert ("papers search it" in said) == (info.searched is not None)
    assert f"  declared in {declared_in(Config, path)}\n" in said
    for value, source in sources_of(Config, path).items():
        assert f"  source{f' of {value}' if value else ''}: {source}\n" in said
    assert ("may train in one step" in said) == info.varies


@pytest.mark.parametrize(
    ("path", "needed"),
    [
        ("train.epochs", ""),
        ("loss.contrast.anchor.use", ""),
        ("model.fusion.lmf.rank", "'model.fusion.kind: lmf'"),
        ("model.encoder.conv.kernel", "'model.<modality>.encoder: conv'"),
        ("loss.unimodal.width", "'loss.unimodal.kind: fixed or ulgm'"),
        ("loss.alignment.layer", "'loss.alignment.<pair>.mode: shared or private'"),
        ("loss.alignment.text_audio.margin", "'loss.alignment.text_audio.mode: private'"),
        (
            "loss.contrast.ial.joint_temperature",
            "'loss.contrast.ial.use: true' and 'loss.contrast.ial.joint: learned'",
        ),
        (
            "loss.alignment.mmd.bandwidth",
            "'loss.alignment.<pair>.measure: mmd' of a pair that is not off",
        ),
    ],
)
def test_a_field_says_when_it_means_something(path: str, needed: str) -> None:
    assert needed_for(path, CORE) == needed


@pytest.mark.parametrize("path", sorted(fields_of(Config)))
def test_only_a_field_that_always_means_something_needs_nothing(path: str) -> None:
    info, _ = fields_of(Config)[path]
    assert bool(needed_for(path, CORE)) == (not is_active(Config(), path) or bool(info.only_with))


@pytest.mark.parametrize("name", topic_names(CORE))
def test_everything_that_has_a_name_in_a_study_is_explained(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    show_field(name, CORE)
    said = capsys.readouterr().out
    for topic in find_topics(name, CORE):
        assert f"{name}, a {topic.what}: {topic.meaning}\n" in said
        for line in topic.example.splitlines():
            assert line in said


def test_topics_are_named_once_and_all_have_an_example() -> None:
    assert list(STUDY_EXAMPLES) == list(study_fields(CORE))
    assert tuple(DESIGN_EXAMPLES) == DESIGNS
    assert tuple(DOMAIN_EXAMPLES) == DOMAINS
    assert list(SAMPLERS) == study_fields(CORE)["sampler"].schema["enum"]
    assert [topic.what for topic in find_topics("grid", CORE)] == ["design", "sampler"]
    assert not set(topic_names(CORE)) & set(fields_of(Config))


def test_a_design_names_the_arms_of_its_example(capsys: pytest.CaptureFixture[str]) -> None:
    show_field("pairs", CORE)
    said = capsys.readouterr().out
    assert "the arms of the example: 'no pair', 'shared TV', 'shared TA', 'shared TA + TV'" in said


def test_the_budget_lists_its_fields(capsys: pytest.CaptureFixture[str]) -> None:
    show_field("budget", CORE)
    said = capsys.readouterr().out
    for name in Budget.model_fields:
        assert f"\n  {name}" in said


def test_an_encoder_that_trains_in_turn_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    show_field("model.text.encoder", CORE)
    said = capsys.readouterr().out
    assert "lstm: one cell after another on a CPU, since PyTorch's fused LSTM" in said
    assert "in packs on a GPU" in said


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("dropout", "did you mean model.text.dropout, "),
        ("model.fusio", "did you mean 'model.fusion'?"),
        ("train.learning_rat", "did you mean 'train.learning_rate'?"),
        ("budget.candidats", "did you mean 'budget.candidates'?"),
        ("candidates", "did you mean budget.candidates?"),
        ("factoral", "did you mean 'factorial'?"),
        ("log_unifrm", "did you mean 'log_uniform'?"),
    ],
)
def test_a_name_that_is_no_field_gets_a_hint(path: str, hint: str) -> None:
    with pytest.raises(StudyError, match=r"is not a field") as raised:
        show_field(path, CORE)
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
