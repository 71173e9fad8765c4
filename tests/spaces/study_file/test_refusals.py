"""Wrong combinations are refused when a study is loaded, with place, arm, reason and fix."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from msa_core.config.fields import MODALITIES
from msa_core.config.on_data import DataFacts
from spaces.errors import StudyError
from spaces.fields.declaration import ConfigError
from spaces.plan.arms_on_data import Versions
from spaces.plan.plan import plan_study
from spaces.study_file.load import load_study

WriteStudy = Callable[[str], Path]

SEQUENCES = "model.text.encoder: lstm, model.audio.encoder: lstm, model.vision.encoder: lstm"
ALIGNED = "loss.alignment.text_audio.mode: shared"
BY_CCA = f"{ALIGNED}, loss.alignment.text_audio.measure: cca"
MLA = "procedure.kind: mla, model.fusion.kind: sum"
UNSEEN = "missing.protocol: unseen"

# What an arm changes -> the words of its refusal that say why and what to do.
ARMS = {
    "mla with one modality": (
        f"{MLA}, model.text.use: false, model.audio.use: false",
        "'procedure.kind: mla': modalities take turns, but 'model.*.use' leaves vision alone",
    ),
    "mla with a fusion that reads several": (
        "procedure.kind: mla",
        "its head reads one modality at a time, so it needs 'model.fusion.kind: sum', not 'concat'",
    ),
    "mla with a pair": (f"{MLA}, {ALIGNED}", "no pair can be aligned; set every pair's mode"),
    "mla with a contrast": (
        f"{MLA}, loss.contrast.icl.use: true", "set 'loss.contrast.icl.use: false'",
    ),
    "mla with unimodal heads": (
        f"{MLA}, loss.unimodal.kind: fixed", "set 'loss.unimodal.kind: none'",
    ),
    "cca of a batch that is no larger than the width": (
        BY_CCA,
        "'loss.alignment.*.measure: cca': 'train.batch_size' is 32, not above the width 32 of what "
        "is aligned: every canonical correlation would be 1, whatever the data; raise the batch "
        "size or lower the width",
    ),
    "cca of more components than there are": (
        f"{BY_CCA}, train.batch_size: 64, loss.alignment.cca.components: 40",
        "'loss.alignment.cca.components' is 40, above the width 32",
    ),
    "mult on means": (
        "model.fusion.kind: mult",
        "'model.fusion.kind: mult': it reads frames, but 'model.text.encoder: mean_mlp' keeps only "
        "their mean; choose lstm, gru, conv or transformer",
    ),
    "reorg_sum on a mean": (
        "model.fusion.kind: reorg_sum, model.text.encoder: lstm",
        "it reads frames, but 'model.audio.encoder: mean_mlp' keeps only their mean",
    ),
    "reorg_sum's pseudo branch without heads to follow": (
        f"model.fusion.kind: reorg_sum, {SEQUENCES}, model.fusion.reorg_sum.pseudo.weight: 1",
        "'loss.unimodal.kind: fixed'",
    ),
    "misa with a width that is no multiple of its heads": (
        "model.fusion.kind: misa, model.fusion.misa.heads: 5",
        "'model.projection.width' is 32, but it is divided into 5 heads: choose a multiple of 5",
    ),
    "a transformer with a width that is no multiple of its heads": (
        "model.text.encoder: transformer, model.encoder.transformer.heads: 5",
        "'model.text.width' is 64, but the encoder 'transformer' divides it into 5 heads",
    ),
    "too wide a tensor product": (
        "model.fusion.kind: tfn, model.projection.width: 128",
        "it multiplies 3 modalities to 2,146,689 entries, more than 1,048,576; lower "
        "'model.projection.width' from 128 to 100",
    ),
    "draws of a mixture that modalities can't take in turn": (
        "loss.contrast.rbc.use: true, loss.contrast.rbc.draws: 5",
        "'loss.contrast.rbc.draws' is 5, but the 3 modalities take the draws of a mixture in turn",
    ),
    "anchors of an absent text": (
        "loss.contrast.anchor.use: true, model.text.use: false", "needs 'model.text.use: true'",
    ),
    "views of nothing": (
        "loss.contrast.views.use: true, model.audio.use: false, model.vision.use: false",
        "it makes views of audio and vision, and neither is used",
    ),
    "a contrast of modalities with one": (
        "loss.contrast.ial.use: true, model.text.use: false, model.audio.use: false",
        "it needs 2 modalities, but 'model.*.use' leaves vision",
    ),
    "two_stage without a bound": (
        "procedure.kind: two_stage", "set 'loss.contrast.bound.use: true'",
    ),
    "the head layer without heads": (
        f"{ALIGNED}, loss.alignment.layer: head",
        "'loss.alignment.layer: head' with 'text_audio' needs unimodal heads of text and audio",
    ),
    "the head layer without one of the heads": (
        f"{ALIGNED}, loss.alignment.layer: head, loss.unimodal.kind: fixed, "
        "loss.unimodal.audio.weight: 0",
        "needs unimodal heads of audio",
    ),
    "the encoder layer of two widths": (
        f"{ALIGNED}, loss.alignment.layer: encoder, model.text.width: 32",
        "'model.text.width' is 32 and 'model.audio.width' 64; make them equal",
    ),
    "unseen with a pair": (f"{UNSEEN}, {ALIGNED}", "modalities that never meet can't be aligned"),
    "unseen with generated labels": (
        f"{UNSEEN}, loss.unimodal.kind: ulgm", "choose none or fixed",
    ),
    "unseen without vision": (
        f"{UNSEEN}, model.vision.use: false", "it needs vision and text or audio",
    ),
    "unseen with mla": (f"{UNSEEN}, {MLA}", "set 'procedure.kind: joint'"),
    "a stream with generated labels": (
        "procedure.kind: stream, loss.unimodal.kind: ulgm",
        "set 'loss.unimodal.kind' to none or fixed",
    ),
    "a stream of more tasks than epochs": (
        "procedure.kind: stream, train.epochs: 2",
        "3 tasks need as many epochs, but 'train.epochs' is 2",
    ),
    "labels that move before they were seen": (
        "loss.unimodal.kind: ulgm, loss.unimodal.ulgm.start: 1", "must lie in [2, 1000], but got 1",
    ),
}  # fmt: skip


def refused(write_study: WriteStudy, text: str) -> str:
    with pytest.raises(StudyError) as caught:
        load_study(write_study(text))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", ARMS)
def test_an_arm_of_what_does_not_go_together_is_refused(name: str, write_study: WriteStudy) -> None:
    changes, words = ARMS[name]
    text = f"study: s\narms:\n  - explicit:\n      full: {{}}\n      other: {{{changes}}}\n"
    message = refused(write_study, text)
    assert message.startswith("study.yaml:5: arms: 'other': ")
    assert words in message


# Base and search of a study of two arms -> the words of its refusal.
SEARCHES = {
    "a fusion": (
        "{}",
        "model.fusion.kind: {choice: [concat, mult]}",
        "the search can choose 'model.fusion.kind: mult'. 'model.fusion.kind: mult': it reads "
        "frames, but 'model.text.encoder: mean_mlp' keeps only their mean; choose lstm, gru, conv "
        "or transformer. Leave that value out of 'search', or give it an arm of its own",
    ),
    "a fusion with an encoder": (
        "{model.audio.encoder: lstm, model.vision.encoder: lstm}",
        "model.fusion.kind: {choice: [concat, mult]}, "
        "model.text.encoder: {choice: [lstm, mean_mlp]}, model.audio.width: {int: [8, 64]}",
        "the search can choose 'model.fusion.kind: mult' with 'model.text.encoder: mean_mlp', "
        "which do not go together.",
    ),
    "a width that is no multiple": (
        "{}",
        "model.projection.width: {int: [8, 64]}, model.fusion.kind: {choice: [concat, misa]}",
        "'model.fusion.kind: misa' with 'model.projection.width: 9'",
    ),
    "heads among many": (
        "{model.fusion.kind: misa}",
        "model.fusion.misa.heads: {int: [1, 8]}",
        "the search can choose 'model.fusion.misa.heads: 3'",
    ),
    "the end of an interval": (
        "{model.fusion.kind: tfn}",
        "model.projection.width: {int: [8, 128]}",
        "'model.projection.width' from 127 to 100",
    ),
    "a batch size": (
        f"{{{BY_CCA}}}",
        "train.batch_size: {choice: [64, 16]}",
        "the search can choose 'train.batch_size: 16'. 'loss.alignment.*.measure: cca'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SEARCHES)
def test_a_search_that_can_lead_to_what_does_not_go_together_is_refused(
    name: str, write_study: WriteStudy
) -> None:
    base, search, words = SEARCHES[name]
    text = (
        f"study: s\nbase: {base}\nsearch: {{{search}}}\n"
        "arms:\n  - explicit:\n      full: {}\n      other: {features.standardise: false}\n"
    )
    message = refused(write_study, text)
    assert message.startswith("study.yaml:6: arms: 'full': the search can choose ")
    assert words in message


def test_a_search_all_of_whose_values_go_together_is_not_held_to_the_default(
    write_study: WriteStudy,
) -> None:
    """The default fusion and batch size would be refused, but are never chosen."""
    text = (
        f"study: s\nbase: {{{BY_CCA}, model.audio.encoder: gru, model.vision.encoder: gru}}\n"
        "search:\n  model.fusion.kind: {choice: [mult, reorg_sum]}\n"
        "  model.text.encoder: {choice: [lstm, gru]}\n  train.batch_size: {int: [33, 64]}\n"
        "arms:\n  - explicit:\n      full: {}\n"
    )
    assert load_study(write_study(text)).search.keys() >= {"model.fusion.kind"}


def test_an_arm_that_fixes_one_of_two_is_free_of_the_search(write_study: WriteStudy) -> None:
    frames = f"{{model.fusion.kind: mult, {SEQUENCES}}}"
    text = (
        "study: s\nsearch:\n  model.text.encoder: {choice: [lstm, mean_mlp]}\n"
        f"arms:\n  - explicit:\n      full: {{}}\n      frames: {frames}\n"
    )
    assert len(load_study(write_study(text)).arms) == 2


# What only the data can tell.

ORACLE = (
    "study: s\nbase: {loss.unimodal.kind: fixed}\n"
    "arms:\n  - explicit:\n      full: {}\n      oracle: {loss.unimodal.target: annotated}\n"
)


@pytest.mark.parametrize("annotated", [(), ("text", "audio")])
def test_oracle_labels_without_unimodal_labels_are_refused(
    annotated: tuple[str, ...], write_study: WriteStudy
) -> None:
    study = load_study(write_study(ORACLE))
    versions = Versions(data="", code="")
    lacking = ", ".join(name for name in ("text", "audio", "vision") if name not in annotated)
    with pytest.raises(ConfigError) as caught:
        plan_study(study, versions, DataFacts(modalities=MODALITIES, annotated=annotated))
    assert str(caught.value) == (
        "arm 'oracle': 'loss.unimodal.target: annotated' needs unimodal labels "
        f"(regression_labels_T, _A, _V), but the data has none of {lacking}"
    )
    assert len(plan_study(study, versions).arms) == 2


def test_an_arm_that_the_data_makes_impossible_is_left_out_with_the_reason(
    write_study: WriteStudy,
) -> None:
    text = f"study: s\narms:\n  - explicit:\n      full: {{}}\n      turns: {{{MLA}}}\n"
    study = load_study(write_study(text))
    plan = plan_study(
        study, Versions(data="", code=""), DataFacts(modalities=("text",), annotated=MODALITIES)
    )
    assert [arm.name for arm in plan.arms] == ["full"]
    (note,) = [note for note in plan.notes if "turns" in note]
    assert re.match(r"arm 'turns' is left out: on this data .* leaves text alone", note)
