"""A run asks about cells that versions of data or code make stale, and about no others."""

from dataclasses import replace

from search import provenance
from search.results.folder import read_manifest
from search.results.layout import ORIGINS
from search.results.origins import origins_of, read_origins
from search.study.open import StaleAnswer
from search.study.stale import EARLIER_WAY
from spaces.plan.arm_keys import key_of
from tests.cases.studies.finished_study import ARMS, CELLS, Ground, refill
from tests.cases.studies.sealed_studies import filled


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
    ground.monkeypatch.setattr(provenance, "code_version", lambda core: "0123456789abcdef")
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
