"""Names of fields, and what an arm changes."""

from types import ModuleType

from reports.field_names import changes_from_baseline, field_names
from reports.results import FieldFacts


def test_fields_that_share_a_label_are_told_apart() -> None:
    label = FieldFacts(label="weight")
    fields = {
        "loss.text_audio.weight": label,
        "loss.text_vision.weight": label,
        "train.rate": FieldFacts(label="rate"),
        "x.y": FieldFacts(label=""),
    }
    assert field_names(fields) == {
        "loss.text_audio.weight": "weight, text_audio",
        "loss.text_vision.weight": "weight, text_vision",
        "train.rate": "rate",
        "x.y": "x.y",
    }


def test_an_arm_shows_what_sets_it_apart_from_the_baseline(synthetic: ModuleType) -> None:
    facts = synthetic.make_facts(
        ("full", "other", "none"),
        changes={"full": {"a": 1, "b": True}, "other": {"a": 1, "b": False, "c": "x"}, "none": {}},
    )
    assert changes_from_baseline(facts, "full") == ("a: 1", "b: true")
    assert changes_from_baseline(facts, "other") == ("b: false", "c: x")
    assert changes_from_baseline(facts, "none") == (
        "a: as in the base configuration", "b: as in the base configuration",
    )  # fmt: skip
