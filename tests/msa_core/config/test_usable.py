"""What a configuration and its search can use of what plugins add."""

import pytest

from msa_core.config.contrast import ContrastOptions
from msa_core.config.encoders import EncoderOptions
from msa_core.config.kinds import AddedKind, import_named, with_kind
from msa_core.config.schema import Config
from msa_core.config.usable import usable_added_kinds, usable_fields
from spaces.fields.paths import flatten, replace

ENCODER = import_named("msa_core.modules.encoders:Encoder")
CONTRAST = import_named("msa_core.modules.contrast.base:Contrast")


@pytest.fixture(scope="module")
def extended():
    made = with_kind(Config, AddedKind("encoder", "mine", EncoderOptions, ENCODER))
    return with_kind(made, AddedKind("contrast", "ours", ContrastOptions, CONTRAST))


@pytest.mark.parametrize(
    ("changes", "searched", "usable"),
    [
        ({}, {}, set()),
        ({"model.audio.encoder": "mine"}, {}, {("encoder", "mine")}),
        ({"model.audio.encoder": "mine"}, {"model.audio.encoder": ("gru",)}, set()),
        ({}, {"model.text.encoder": ("gru", "mine")}, {("encoder", "mine")}),
        ({"loss.contrast.ours.use": True}, {}, {("contrast", "ours")}),
        ({}, {"loss.contrast.ours.use": (True, False)}, {("contrast", "ours")}),
        # A range of numbers has no values of its own.
        ({}, {"train.learning_rate": (), "loss.contrast.ours.weight": ()}, set()),
    ],
)
def test_a_kind_is_usable_where_it_is_on_or_can_be_chosen(extended, changes, searched, usable):
    config = replace(extended(), changes)
    assert usable_added_kinds(config, searched) == usable
    left_out = set(flatten(config)) - set(usable_fields(config, searched))
    own = {path for path in flatten(config) if ".mine." in path or ".ours." in path}
    assert left_out == {path for path in own if not any(f".{kind}." in path for _, kind in usable)}


def test_without_plugins_every_field_is_usable():
    assert usable_added_kinds(Config(), {}) == set()
    assert usable_fields(Config(), {}) == flatten(Config())
