"""Configurations on data: labels that are asked for, and modalities that are not there."""

import pytest

from msa_core.config.on_data import DataFacts, absence_notes, check_annotations
from msa_core.config.schema import Config
from spaces.fields.declaration import ConfigError
from spaces.fields.paths import replace

ANNOTATED = {"loss.unimodal.kind": "fixed", "loss.unimodal.target": "annotated"}
ALL = ("text", "audio", "vision")


def test_a_modality_that_is_not_there_is_noted():
    facts = DataFacts(modalities=("audio",))
    assert absence_notes(facts) == [
        "the data has no text: it is switched off in every arm",
        "the data has no vision: it is switched off in every arm",
    ]
    assert absence_notes(DataFacts(modalities=ALL)) == []


@pytest.mark.parametrize(
    ("changes", "searched"),
    [
        (ANNOTATED, {}),
        ({"loss.unimodal.kind": "fixed"}, {"loss.unimodal.target": ("task", "annotated")}),
        ({"loss.unimodal.target": "annotated"}, {"loss.unimodal.kind": ("none", "fixed")}),
    ],
)
def test_labels_that_the_data_lack_are_refused(changes, searched):
    config = replace(Config(), changes)
    check_annotations(config, searched, DataFacts(modalities=ALL, annotated=ALL))
    with pytest.raises(ConfigError) as caught:
        check_annotations(config, searched, DataFacts(modalities=ALL, annotated=("text",)))
    assert str(caught.value) == (
        "'loss.unimodal.target: annotated' needs unimodal labels (regression_labels_T, _A, _V), "
        "but the data has none of audio, vision"
    )


def test_labels_that_nothing_asks_for_may_be_absent():
    lacking = DataFacts(modalities=ALL)
    check_annotations(Config(), {}, lacking)
    check_annotations(replace(Config(), {"loss.unimodal.target": "annotated"}), {}, lacking)
    off = {f"model.{name}.use": False for name in ("audio", "vision")}
    with_text = DataFacts(modalities=ALL, annotated=("text",))
    check_annotations(replace(Config(), ANNOTATED | off), {}, with_text)
