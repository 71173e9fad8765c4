"""Families of modules: their kinds, and what each kind must be."""

import dataclasses

import pytest

from msa_core.config.fusion import FusionOptions
from msa_core.config.kinds import (
    FAMILIES,
    add_kind,
    chosen_kinds,
    kind_of_path,
    kinds_of,
    options_class,
    options_of,
    remove_kind,
)
from msa_core.config.paths import fields_of, replace
from msa_core.config.rules import check_config, is_active, resolve_fields
from msa_core.config.schema import Config, ConfigError

KINDS = [(family, kind) for family in FAMILIES for kind in kinds_of(family)]
DEFAULTS = {
    "encoder": ["mean_mlp"],
    "fusion": ["concat"],
    "alignment": [],
    "contrast": [],
    "procedure": ["joint"],
}


@pytest.mark.parametrize(("family", "used"), DEFAULTS.items())
def test_the_default_configuration_uses_the_plainest_kinds(family, used):
    assert chosen_kinds(Config(), family) == used
    check_config(Config(), "mosi")


@pytest.mark.parametrize(("family", "kind"), KINDS)
def test_a_kind_says_what_it_changes_and_is_described(family, kind):
    options = options_class(family, kind)
    assert options.changes in ("loss", "state", "model", "loop")
    assert options.__doc__
    assert isinstance(options_of(Config(), family, kind), options)


@pytest.mark.parametrize(("family", "kind"), KINDS)
def test_the_options_of_a_kind_that_is_not_used_mean_nothing(family, kind):
    prefix = f"{FAMILIES[family].section}.{kind}."
    own = [path for path in fields_of(Config) if path.startswith(prefix)]
    for path in own:
        assert kind_of_path(path) == (family, kind, path.removeprefix(prefix))
        expected = kind in chosen_kinds(Config(), family) or path.endswith(".use")
        assert is_active(Config(), path) == expected
        assert path not in resolve_fields(Config())


@pytest.mark.parametrize(
    "path", ["loss.alignment.text_audio.mode", "model.fusion.width", "train.epochs", "model.fusion"]
)
def test_a_field_beside_the_kinds_is_an_option_of_none(path):
    assert kind_of_path(path) is None


def test_an_unused_modality_or_pair_uses_no_kind():
    changes = {
        "model.text.encoder": "lstm",
        "loss.alignment.text_audio.mode": "shared",
        "loss.alignment.text_audio.measure": "rkd",
    }
    config = replace(Config(), changes)
    assert chosen_kinds(config, "encoder") == ["mean_mlp", "lstm"]
    assert chosen_kinds(config, "alignment") == ["rkd"]
    without = replace(config, {"model.text.use": False})
    assert chosen_kinds(without, "encoder") == ["mean_mlp"]
    assert chosen_kinds(without, "alignment") == []


def test_a_kind_that_was_added_and_taken_back_leaves_nothing():
    before = fields_of(Config)
    add_kind("fusion", "mine", FusionOptions)
    assert kinds_of("fusion")[-1] == "mine"
    assert "mine" in fields_of(Config)["model.fusion.kind"][0].choices
    remove_kind("fusion", "mine")
    assert fields_of(Config) == before


def test_an_unknown_family_is_refused():
    with pytest.raises(ConfigError, match="'fusions' is no family of modules; allowed are encoder"):
        add_kind("fusions", "mine", FusionOptions)


@pytest.mark.parametrize(("family", "kind"), KINDS)
def test_every_searched_range_lies_inside_its_field(family, kind):
    for path, (info, wanted) in fields_of(options_class(family, kind)).items():
        if info.searched is None:
            continue
        low, high, scale = info.searched
        assert scale in ("log", "linear"), path
        changed = {f"{FAMILIES[family].section}.{kind}.{path}": wanted(low)}
        replace(Config(), changed | {name: wanted(high) for name in changed})
        assert low < high
        assert low > 0 or scale == "linear"


def test_options_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().model.fusion.mult.heads = 3
