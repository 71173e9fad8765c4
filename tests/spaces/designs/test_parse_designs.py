"""The `arms` of a study file: designs as they are written, and what a plan makes of them."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from spaces.designs.make_arms import Arm
from spaces.errors import StudyError
from spaces.plan.arms_on_data import Versions
from spaces.plan.plan import Plan, plan_study
from spaces.search_space.domains import Int
from spaces.study_file.load import Study, load_study
from tests.cases.studies.shipped import MSA_TEXTS
from tests.cases.studies.study_cases import STUDIES

WriteStudy = Callable[[str], Path]
HEAD = """\
study: s
components:
  TA: {loss.alignment.text_audio.mode: shared}
  TV: {loss.alignment.text_vision.mode: shared}
  text: {off: {model.text.use: false}}
"""


def study_of(write_study: WriteStudy, arms: str, rest: str = "") -> Study:
    return load_study(write_study(f"{HEAD}{rest}arms:\n{arms}"))


def plan_of(study: Study) -> Plan:
    return plan_study(study, Versions(data="", code=""))


def named(study: Study) -> dict[str, dict[str, object]]:
    return {arm.name: dict(arm.changes) for arm in study.arms}


# Lists whose order is no order; that of a domain, of a path and of starting points is.
UNORDERED = {
    "arms", "product", "union", "leave_one_out", "add_one_in", "factorial", "fractional", "modes",
    "measures", "pairs", "exclude", "constraints", "claims", "model.fusion.kind",
}  # fmt: skip


def mixed(tree: Any, draw: random.Random, name: str = "") -> Any:
    """The same study with everything that has no order in another one."""
    if isinstance(tree, dict):
        names = draw.sample(list(tree), len(tree)) if name != "sets" else list(tree)
        return {inside: mixed(tree[inside], draw, inside) for inside in names}
    if isinstance(tree, list):
        listed = [mixed(inside, draw) for inside in tree]
        return draw.sample(listed, len(listed)) if name in UNORDERED else listed
    return tree


TEXTS = {**STUDIES, **MSA_TEXTS}


@pytest.mark.parametrize("name", TEXTS)
def test_the_order_of_a_file_means_nothing(name: str, tmp_path: Path) -> None:
    """The same arms under the same keys, so their cells are found again; the same merges."""
    path = tmp_path / "study.yaml"
    path.write_text(TEXTS[name], encoding="utf-8")
    study = load_study(path)
    plan = plan_of(study)
    tree = YAML(typ="safe", pure=True).load(TEXTS[name])
    tree["baseline"] = study.baseline  # left out, it is the first design's

    @settings(
        max_examples=3, database=None, derandomize=True, deadline=None, phases=[Phase.generate]
    )
    @given(st.randoms(use_true_random=False))
    def check(draw: random.Random) -> None:
        path.write_text(json.dumps(mixed(tree, draw)), encoding="utf-8")
        again = load_study(path)
        assert named(again) == named(study)
        assert {arm.name: arm.search for arm in again.arms} == {
            arm.name: arm.search for arm in study.arms
        }
        planned = plan_of(again)
        assert {arm.name: arm.key for arm in planned.arms} == {
            arm.name: arm.key for arm in plan.arms
        }
        assert planned.merged == plan.merged

    check()


def test_components_are_listed_by_name_or_brought_along(write_study: WriteStudy) -> None:
    by_name = study_of(write_study, "  - factorial: [TV, TA]\n")
    inline = study_of(
        write_study,
        "  - factorial:\n      TA: {loss.alignment.text_audio.mode: shared}\n"
        "      TV: {on: {loss.alignment.text_vision.mode: shared}}\n",
    )
    assert named(by_name) == named(inline)
    assert list(named(by_name)) == ["none", "TA", "TV", "TA + TV"]
    assert by_name.baseline == "none"


def test_a_path_follows_its_list_its_order_or_the_fields(write_study: WriteStudy) -> None:
    listed = study_of(write_study, "  - path: [TV, TA]\n")
    assert list(named(listed)) == ["base", "TV", "TA + TV"]
    ordered = study_of(write_study, "  - path: [TA, TV]\n    order: [TV, TA]\n")
    assert named(ordered) == named(listed)
    inside = "TV: {loss.alignment.text_vision.mode: shared}, 1: {features.standardise: false}"
    mapping = study_of(write_study, f"  - path: {{{inside}}}\n")
    assert list(named(mapping)) == ["base", "1", "1 + TV"]
    by_number = study_of(write_study, f"  - path: {{{inside}}}\n    order: [TV, 1]\n")
    assert list(named(by_number)) == ["base", "TV", "1 + TV"]


def test_a_path_between_two_configurations_turns_one_field_at_a_time(
    write_study: WriteStudy,
) -> None:
    study = study_of(
        write_study,
        "  - path:\n      from: {model.fusion.kind: concat, train: {epochs: 9, patience: 3}}\n"
        "      to: {train.epochs: 9, train.patience: 5, model: {fusion.kind: tfn}}\n"
        "    reference: ours\n",
    )
    assert list(named(study)) == ["ours", "fusion tfn", "fusion tfn + patience 5"]
    assert named(study)["fusion tfn"] == {"model.fusion.kind": "tfn", "train.patience": 3}


def test_excluded_arms_are_left_out_and_counted(write_study: WriteStudy) -> None:
    arms = """\
  - factorial: [TA, TV]
    exclude: {loss.alignment.text_audio.mode: shared, loss.alignment.text_vision.mode: shared}
  - grid: {train.epochs: [10, 20, 30], model.fusion.kind: [sum, gated]}
    exclude: train.epochs > 20 and model.fusion.kind == sum
"""
    rules = "exclude:\n  - {train.epochs: [10, 11]}\n  - train.epochs == 1\n"
    study = study_of(write_study, arms, rules)
    assert list(named(study)) == [
        "none", "TA", "TV", "fusion sum, epochs 20", "fusion gated, epochs 20",
        "fusion gated, epochs 30",
    ]  # fmt: skip
    counts = [note.rsplit(" leaves out ", 1)[1] for note in study.notes]
    assert counts == ["1 arm", "1 arm", "2 arms", "0 arms"]
    assert plan_of(study).notes[:4] == study.notes


def test_a_product_is_of_designs_and_a_union_puts_them_together(write_study: WriteStudy) -> None:
    arms = """\
  - product:
      - leave_one_out: [text]
      - union:
          - grid: {train.epochs: [5, 6]}
            reference: epochs 5
          - explicit: {placebo: {control.placebo: sugar}}
"""
    study = study_of(write_study, arms)
    assert study.baseline == "full / epochs 5"
    assert set(named(study)) == {
        f"{first} / {second}"
        for first in ("full", "without text")
        for second in ("epochs 5", "epochs 6", "placebo")
    }


def test_a_product_of_contradictions_is_refused_at_its_line(write_study: WriteStudy) -> None:
    arms = """\
  - product:
      - grid: {train.epochs: [5]}
      - explicit: {x: {train: {epochs: 6}}}
"""
    with pytest.raises(StudyError) as caught:
        study_of(write_study, arms)
    assert str(caught.value).startswith("study.yaml:7: arms: 'epochs 5 / x': 'train.epochs' is set")


@pytest.mark.parametrize(
    ("arms", "baseline"),
    [
        ("  - leave_one_out: [text]\n", "full"),
        ("  - leave_one_out: [text]\n    reference: ours\n", "ours"),
        ("  - add_one_in: [TA]\n", "base"),
        ("  - explicit: {x: {}}\n  - fractional: [TA, TV, text]\n    resolution: III\n", "none"),
        ("  - one_at_a_time: {train.epochs: [5]}\n", "base"),
        ("  - pairs: {modes: [off, private]}\n", "no pair"),
        ("  - explicit: {x: {}, full: {train.epochs: 3}}\n", "full"),
        ("  - grid: {train.epochs: [5, 6]}\n    reference: epochs 6\n", "epochs 6"),
    ],
)
def test_the_reference_of_a_design_is_the_baseline(
    arms: str, baseline: str, write_study: WriteStudy
) -> None:
    assert study_of(write_study, arms).baseline == baseline


def test_an_arm_searches_fields_of_its_own(write_study: WriteStudy) -> None:
    arms = """\
  - explicit:
      full: {}
      own: {model.fusion.kind: lmf, search: {model.fusion.lmf.rank: {int: [2, 8]}}}
      other: {search: {model: {fusion.width: {int: [4, 6]}}}}
      fixed: {model.fusion.width: 9}
"""
    rest = "search: {model.fusion.width: {int: [8, 64]}}\n"
    plan = plan_of(study_of(write_study, arms, rest))
    spaces = {arm.name: dict(arm.space) for arm in plan.arms}
    width, rank = "model.fusion.width", "model.fusion.lmf.rank"
    assert spaces == {
        "full": {width: Int(8, 64)},
        "own": {width: Int(8, 64), rank: Int(2, 8)},
        "other": {width: Int(4, 6)},
        "fixed": {},
    }


def test_an_arm_in_two_designs_is_one_arm(write_study: WriteStudy) -> None:
    again = "  - explicit: {TA: {loss.alignment.text_audio.mode: shared}}\n"
    study = study_of(write_study, f"  - factorial: [TA, TV]\n{again}")
    assert [arm.name for arm in study.arms].count("TA") == 1
    found: Arm = study.arms[1]
    assert (found.name, found.where) == ("TA", "study.yaml:7")
