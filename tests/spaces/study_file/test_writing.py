"""A study that is written as a file and read back is the same study."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from spaces.errors import StudyError
from spaces.plan.arms_on_data import Versions
from spaces.plan.plan import plan_study
from spaces.study_file.load import Study, load_study
from spaces.study_file.writing import write_study
from tests.cases.studies.shipped import MSA_TEXTS
from tests.cases.studies.study_cases import STUDIES

TEXTS = {
    **STUDIES,
    **MSA_TEXTS,
}


def read(folder: Path, text: str) -> Study:
    path = folder / "study.yaml"
    path.write_text(text, encoding="utf-8")
    return load_study(path)


def check(folder: Path, study: Study) -> None:
    again = read(folder, write_study(study))
    assert again == study
    assert [(arm.name, arm.changes, arm.search) for arm in again.arms] == [
        (arm.name, arm.changes, arm.search) for arm in study.arms
    ]
    assert again.budget.model_dump() == study.budget.model_dump()
    assert write_study(again) == write_study(study)


@pytest.mark.parametrize("name", TEXTS)
def test_a_study_is_read_back(name: str, tmp_path: Path) -> None:
    study = read(tmp_path, TEXTS[name])
    check(tmp_path, study)
    versions = Versions(data="", code="")
    plans = [plan_study(one, versions) for one in (study, read(tmp_path, write_study(study)))]
    assert [arm.key for arm in plans[0].arms] == [arm.key for arm in plans[1].arms]


# Names that YAML takes for something else, and such that it can't write plainly.
NAMES = st.one_of(
    st.sampled_from(
        ["null", "true", "off", "1", "1.0", "1e3", "~", "<<", "=", "- a", "a: b", "#", "''", '"',
         "&a", "*a", "!x", "%", "@", "`", "2020-01-01", "[a]", "{a}", "a, b", "0x1F", ".inf",
         "search", "?"]
    ),
    st.text(min_size=1, max_size=20).filter(lambda name: name.isprintable() and name.strip()),
    st.text("ab :#-,'\"éλ語", min_size=1, max_size=90).filter(str.strip),
)  # fmt: skip
FLOATS = st.floats(1e-6, 0.4) | st.sampled_from([1e-5, 0.1, 0.30000000000000004, 1e-06])
WHEN = st.sampled_from(
    [{}, {"when": "train.epochs > 3 and not model.fusion.kind in [lmf, 'sum']"},
     {"when": {"model.fusion.kind": ["concat", "gated"]}}]
)  # fmt: skip


def beside(domain: dict[str, Any], when: dict[str, Any]) -> dict[str, Any]:
    return {**domain, **when}


DOMAINS = {
    "train.learning_rate": FLOATS.map(lambda low: {"log_uniform": [low, 0.5]}),
    "train.weight_decay": FLOATS.map(lambda low: {"uniform": [low, 0.9]}),
    "model.fusion.dropout": st.integers(1, 5).map(
        lambda steps: {"uniform": [0, steps / 10], "step": 0.1}
    ),
    "train.batch_size": st.lists(st.integers(2, 99), min_size=2, max_size=4, unique=True).map(
        lambda values: {"choice": values}
    ),
    "model.fusion.width": st.integers(1, 9).map(lambda n: {"int": [n, n + 16], "step": 4}),
    "model.text.width": st.integers(2, 9).map(lambda n: {"int": [n, 64], "log": True}),
    "features.standardise": st.just({"choice": [True, False]}),
}
CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "train.epochs": st.integers(1, 50),
        "model.projection.width": st.sampled_from([4, 8, 16]),
        "loss.alignment.text_audio.mode": st.sampled_from(["off", "shared", "private"]),
        "loss.alignment.text_audio.weight": FLOATS,
        "model.audio.use": st.booleans(),
        "control.placebo": st.just("sugar"),
    },
)


@st.composite
def studies(draw: st.DrawFn) -> dict[str, Any]:
    """A study file as a mapping; most of them are studies."""
    searched = draw(st.lists(st.sampled_from(sorted(DOMAINS)), unique=True, max_size=5))
    search = {path: {**draw(DOMAINS[path]), **draw(WHEN)} for path in searched}
    names = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    arms = {name: dict(draw(CHANGES)) for name in names}
    own = draw(st.sampled_from(sorted(DOMAINS)))
    if draw(st.booleans()):
        arms[names[0]]["search"] = {own: draw(DOMAINS[own])}
    design = draw(
        st.sampled_from(
            [
                {"pairs": {"modes": ["off", "private"], "pairs": ["text_vision"]}},
                {"grid": {"model.fusion.kind": ["sum", "gated"], "train.patience": [3, 4]}},
                {
                    "factorial": {"icl": {"loss.contrast.icl.use": True}},
                    "exclude": "train.epochs > 9",
                },
                {"product": [{"explicit": {"x": {}, "y": {"train.patience": 2}}}]},
                {"leave_one_out": {"text": {"model.text.use": False}}},
            ]
        )
    )
    budget = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "tune_seeds": st.integers(1, 9),
                "confirm_seeds": st.integers(1, 9),
                "seed": st.integers(0, 9),
                "scheduler": st.sampled_from(["none", "bracket"]),
                "max_wall_hours": FLOATS,
            },
        )
    )
    budget |= draw(st.sampled_from([{}, {"candidates": 7}, {"device_seconds": 12.5}]))
    planted = {"planted": {"world": "noisy", "train": draw(st.integers(50, 99))}}
    files = {"sets": {"a.b": {"file": "a.pkl"}, "c": {"file": "/x/c.npz", "text_model": "bert"}}}
    starting = {"train.learning_rate": 0.45} if "train.learning_rate" in searched else {}
    return {
        "study": "s",
        "question": draw(st.text(max_size=40)),
        "data": draw(st.sampled_from(["planted", "mosi.pkl", planted, files, {"labels": "mosi"}])),
        "base": draw(CHANGES),
        "search": search,
        "start": [starting] if starting else [],
        "constraints": draw(
            st.sampled_from([[], "train.epochs >= 1", [{"train.batch_size": [2, 32, 64]}]])
        ),
        "arms": [{"explicit": arms}, *draw(st.sampled_from([[], [design]]))],
        "baseline": names[-1],
        "metric": draw(st.sampled_from(["mae", "corr"])),
        "second_metric": draw(st.sampled_from([None, "parameters", "acc7"])),
        "margin": draw(st.sampled_from([{}, {"mae": 0.02, "corr": 1e-05}])),
        "sampler": draw(st.sampled_from(["tpe", "random", "qmc", "gp", "nsga2"])),
        "retune": draw(st.sampled_from([True, False, "both"])),
        "claims": [f"{names[0]} is better by at least 0.01"] if len(names) > 1 else [],
        "budget": budget,
    }


def planted_asking(question: str) -> dict[str, Any]:
    return {"study": "s", "question": question, "arms": [{"explicit": {"full": {}}}]}


def test_any_study_is_read_back(tmp_path: Path) -> None:
    read_back = 0

    @settings(max_examples=150, database=None, derandomize=True, deadline=None)
    @given(studies())
    @example(planted_asking("a\x85b \u2028 \u2029"))
    @example(planted_asking(f"{'x' * 200}\x85{'y z' * 60}"))  # longer than a line
    @example(planted_asking(f"{'x' * 200}\x01{'y z' * 60}"))
    def check_any(said: dict[str, Any]) -> None:
        nonlocal read_back
        try:
            study = read(tmp_path, json.dumps(said))
        except StudyError:
            return  # what they may hold is another test's matter
        read_back += 1
        check(tmp_path, study)

    check_any()
    assert read_back > 60


def test_a_study_in_another_folder_reads_the_same_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "runs").mkdir()
    monkeypatch.chdir(tmp_path)
    study = read(Path(), TEXTS["seconds"].replace("data: planted", "data: features/mosi.pkl"))
    again = read(Path("runs"), write_study(study))
    assert again.data.file == tmp_path / "features" / "mosi.pkl"
