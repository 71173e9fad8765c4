"""The plan: arms on the data at hand, seeds, keys, warnings."""

from collections.abc import Callable
from pathlib import Path

import pytest

from msa_core.config.fields import MODALITIES
from msa_core.config.on_data import DataFacts
from msa_core.config.rules import resolve_fields
from reports.evidence.statistics import paired
from spaces.fields.declaration import ConfigError
from spaces.plan.arms_on_data import Versions
from spaces.plan.plan import Plan, cell_key, plan_study
from spaces.plan.power import p_floor, seeds_needed
from spaces.study_file.load import load_study

WriteStudy = Callable[[str], Path]
VERSIONS = Versions(data="data", code="code")

STUDY = """\
study: pairs
base:
  loss.alignment.audio_vision.mode: shared
search:
  train.learning_rate: {log_uniform: [1e-4, 1e-2]}
  loss.alignment.text_audio.weight: {log_uniform: [1e-2, 1e3]}
  loss.alignment.audio_vision.weight: {log_uniform: [1e-2, 1e3]}
arms:
  - leave_one_out:
      text: {model.text.use: false}
      audio: {model.audio.use: false}
  - explicit:
      TA: {loss.alignment.text_audio.mode: shared}
      fixed weight: {loss.alignment.audio_vision.weight: 2.0}
"""


def plan(path: Path, *overrides: str, **facts: tuple[str, ...]) -> Plan:
    study = load_study(path, overrides)
    known = {"modalities": MODALITIES, "annotated": MODALITIES, **facts}
    return plan_study(study, VERSIONS, DataFacts(**known))


def test_a_field_is_searched_only_where_it_means_something(write_study: WriteStudy) -> None:
    spaces = {arm.name: set(arm.space) for arm in plan(write_study(STUDY)).arms}
    rate, ta, av = (
        "train.learning_rate",
        "loss.alignment.text_audio.weight",
        "loss.alignment.audio_vision.weight",
    )
    assert spaces == {
        "full": {rate, av},
        "without text": {rate, av},
        "without audio": {rate},
        "TA": {rate, ta, av},
        "fixed weight": {rate},
    }


def test_an_arm_starts_from_the_part_of_a_point_that_it_searches(write_study: WriteStudy) -> None:
    point = "{train.learning_rate: 1e-3, loss.alignment.text_audio.weight: 2}"
    only = "{loss.alignment.text_audio.weight: 3}"
    arms = plan(write_study(f"{STUDY}start: [{point}, {only}]\n")).arms
    starts = {arm.name: [dict(point) for point in arm.start] for arm in arms}
    rate, ta = "train.learning_rate", "loss.alignment.text_audio.weight"
    assert starts["TA"] == [{rate: 1e-3, ta: 2.0}, {ta: 3.0}]
    assert starts["full"] == starts["without audio"] == [{rate: 1e-3}]


def test_a_searched_choice_opens_the_fields_that_it_may_switch_on(
    write_study: WriteStudy,
) -> None:
    mode = "search.loss.alignment.text_audio.mode={choice: [off, shared]}"
    arms = plan(write_study(STUDY.split("  - explicit")[0]), mode).arms
    assert "loss.alignment.text_audio.weight" in arms[0].space
    assert "loss.alignment.text_audio.weight" not in arms[1].space  # no text, no pair


def test_seeds_of_the_two_phases_never_meet(write_study: WriteStudy) -> None:
    path = write_study(STUDY)
    planned = plan(path, "budget.confirm_seeds=10000", "budget.tune_seeds=10000")
    assert not set(planned.tune_seeds) & set(planned.confirm_seeds)


def test_cells_are_counted(write_study: WriteStudy) -> None:
    path = write_study(STUDY)
    planned = plan(path, "budget.candidates=4", "budget.tune_seeds=2", "budget.confirm_seeds=3")
    assert planned.cell_count() == 5 * (4 * 2 + 3)


def test_data_without_text_drops_the_arms_that_it_makes_pointless(
    write_study: WriteStudy,
) -> None:
    planned = plan(write_study(STUDY), modalities=("audio", "vision"))
    assert [arm.name for arm in planned.arms] == ["full", "without audio", "fixed weight"]
    assert not planned.arms[0].config.model.text.use
    assert planned.notes == (
        "the data has no text: it is switched off in every arm",
        "'without text', 'TA' are merged into 'full': on this data the same configuration",
    )


def test_an_arm_left_without_a_modality_is_dropped(write_study: WriteStudy) -> None:
    planned = plan(write_study(STUDY), modalities=("audio",))
    assert (
        "arm 'without audio' is left out: on this data every modality is switched off; keep at "
        "least one 'model.*.use: true'"
    ) in planned.notes


def test_the_baseline_is_never_dropped_as_a_double(write_study: WriteStudy) -> None:
    planned = plan(write_study(STUDY), "baseline=without text", modalities=("audio", "vision"))
    assert [arm.name for arm in planned.arms] == ["without text", "without audio", "fixed weight"]


def test_a_baseline_without_a_modality_is_an_error(write_study: WriteStudy) -> None:
    with pytest.raises(ConfigError, match="every modality is switched off"):
        plan(write_study(STUDY), "baseline=without text", modalities=("text",))


def keys(planned: Plan) -> dict[str, str]:
    return {
        arm.name: cell_key(arm, "confirm", resolve_fields(arm.config), 0) for arm in planned.arms
    }


def test_keys_differ_by_arm_phase_and_seed(write_study: WriteStudy) -> None:
    planned = plan(write_study(STUDY))
    assert len(set(keys(planned).values())) == len(planned.arms)
    arm = planned.arms[0]
    config = resolve_fields(arm.config)
    made = {cell_key(arm, phase, config, seed) for phase in ("tune", "confirm") for seed in (0, 1)}
    assert len(made) == 4


@pytest.mark.parametrize(
    ("override", "same"),
    [
        ("budget.candidates=50", True),  # more of the same only adds to what is there
        ("budget.confirm_seeds=20", True),
        ("margin.mae=0.1", True),
        ("question=another", True),
        ("budget.seed=1", False),
        ("budget.tune_seeds=5", False),
        ("sampler=random", False),
        ("metric=corr", False),
        ("train.epochs=3", False),
    ],
)
def test_what_changes_the_numbers_changes_the_keys(
    override: str, same: bool, write_study: WriteStudy
) -> None:
    path = write_study(STUDY)
    assert (keys(plan(path)) == keys(plan(path, override))) is same


def test_data_and_code_change_the_keys(write_study: WriteStudy) -> None:
    study = load_study(write_study(STUDY))
    made = [
        keys(plan_study(study, versions))["full"]
        for versions in (VERSIONS, Versions(data="x", code="code"), Versions(data="data", code="x"))
    ]
    assert len(set(made)) == 3


def test_keys_do_not_depend_on_the_order_of_the_file(write_study: WriteStudy) -> None:
    head, arms = STUDY.split("arms:\n")
    loo, explicit = arms.split("  - explicit")
    turned = f"{head}arms:\n  - explicit{explicit}{loo}"
    assert keys(plan(write_study(STUDY))) == keys(plan(write_study(turned)))


def test_more_fields_than_the_budget_serves_is_a_warning(write_study: WriteStudy) -> None:
    path = write_study(STUDY)
    assert "3 searched fields in 'TA' but only 8" in plan(path, "budget.candidates=8").warnings[0]
    assert not plan(path, "budget.candidates=9").warnings


def test_too_few_seeds_for_any_verdict_is_a_warning(write_study: WriteStudy) -> None:
    (warning,) = plan(write_study(STUDY), "budget.confirm_seeds=5").warnings
    assert "smallest possible p is 0.0625" in warning
    assert "raise budget.confirm_seeds to 8" in warning


def test_p_floor_and_the_seeds_that_holm_needs() -> None:
    assert p_floor(5) == 0.0625
    assert seeds_needed(arms=8) == 9


def test_annotated_targets_need_the_labels(write_study: WriteStudy) -> None:
    path = write_study(STUDY)
    overrides = ("loss.unimodal.kind=fixed", "loss.unimodal.target=annotated")
    plan(path, *overrides)
    with pytest.raises(ConfigError, match="the data has none of audio, vision"):
        plan(path, *overrides, annotated=("text",))


@pytest.mark.parametrize("number", range(2, 17))
def test_plan_and_report_agree_on_what_seeds_can_show(number: int) -> None:
    assert p_floor(number) == paired.p_floor(number)  # up to 16 seeds, where the test is exact
    assert seeds_needed(arms=number) == paired.seeds_needed(number - 1)


ALIKE = """\
study: alike
arms:
  - explicit:
      turned: {features.standardise: false}
      long way round: {features.standardise: false, model.fusion.kind: concat}
      nothing: {loss.alignment.text_audio.margin: 0.7}
      full: {}
      same: {model.fusion.kind: concat}
"""


def merged(path: Path, *overrides: str) -> tuple[dict[str, str], list[str]]:
    made = plan(path, *overrides)
    return dict(made.merged), [note for note in made.notes if "merged" in note]


def test_arms_that_are_the_same_are_merged_with_a_note(write_study: WriteStudy) -> None:
    """Into the baseline, or into the plainest of them."""
    into, notes = merged(write_study(ALIKE))
    assert into == {"long way round": "turned", "nothing": "full", "same": "full"}
    assert notes == [
        "'long way round' is merged into 'turned': the same configuration",
        "'nothing', 'same' are merged into 'full': the same configuration",
    ]
    into, _ = merged(write_study(ALIKE), "baseline=long way round")
    assert into == {"turned": "long way round", "nothing": "full", "same": "full"}


def test_who_is_merged_does_not_depend_on_the_order_of_the_file(write_study: WriteStudy) -> None:
    head, lines = ALIKE.split("explicit:\n")
    turned = f"{head}explicit:\n" + "".join(f"{line}\n" for line in lines.splitlines()[::-1])
    path = write_study(ALIKE)
    before = keys(plan(path))
    assert merged(write_study(turned))[0] == merged(write_study(ALIKE))[0]
    assert keys(plan(write_study(turned))) == before


def test_arms_that_differ_in_what_is_searched_are_not_the_same(write_study: WriteStudy) -> None:
    searched = ALIKE + "search: {model.fusion.kind: {choice: [concat, sum]}}\n"
    into, _ = merged(write_study(searched))
    assert into == {"nothing": "full"}


def test_a_field_that_means_nothing_makes_no_arm_of_its_own(write_study: WriteStudy) -> None:
    changed = STUDY.replace("text_audio.mode: shared}", "text_audio.margin: 0.7}")
    into, notes = merged(write_study(changed))
    assert into == {"TA": "full"}
    assert notes == ["'TA' is merged into 'full': the same configuration"]


def test_frozen_arms_need_names_that_are_free(write_study: WriteStudy) -> None:
    taken = STUDY + "      TA, frozen: {features.standardise: false}\n"
    with pytest.raises(ConfigError, match="arm 'TA, frozen': 'retune: both' needs this name"):
        plan(write_study(taken), "retune=both")
