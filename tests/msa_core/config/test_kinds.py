"""Families of modules: their kinds, and what each kind must be."""

import dataclasses

import pytest

from msa_core.config.fusion import FusionOptions
from msa_core.config.kinds import (
    FAMILIES,
    AddedKind,
    chosen_kinds,
    import_named,
    is_added,
    kind_of_path,
    kinds_of,
    module_of,
    options_class,
    options_of,
    with_kind,
)
from msa_core.config.rules import check_config, is_active, resolve_fields
from msa_core.config.schema import Config
from msa_core.modules.fusion.vector_fusions import Concat
from spaces.fields.declaration import ConfigError
from spaces.fields.paths import fields_of, replace

KINDS = [(family, kind) for family in FAMILIES for kind in kinds_of(Config, family)]
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
    options = options_class(Config, family, kind)
    assert options.changes in ("loss", "state", "model", "loop")
    assert options.__doc__
    assert isinstance(options_of(Config(), family, kind), options)


@pytest.mark.parametrize(("family", "kind"), KINDS)
def test_the_options_of_a_kind_that_is_not_used_mean_nothing(family, kind):
    prefix = f"{FAMILIES[family].section}.{kind}."
    own = [path for path in fields_of(Config) if path.startswith(prefix)]
    for path in own:
        assert kind_of_path(Config, path) == (family, kind, path.removeprefix(prefix))
        expected = kind in chosen_kinds(Config(), family) or path.endswith(".use")
        assert is_active(Config(), path) == expected
        assert path not in resolve_fields(Config())


@pytest.mark.parametrize(
    "path", ["loss.alignment.text_audio.mode", "model.fusion.width", "train.epochs", "model.fusion"]
)
def test_a_field_beside_the_kinds_is_an_option_of_none(path):
    assert kind_of_path(Config, path) is None


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


def test_an_added_kind_is_one_of_the_derived_class_alone():
    before = fields_of(Config)
    extended = with_kind(Config, AddedKind("fusion", "mine", FusionOptions, Concat))
    assert kinds_of(extended, "fusion") == (*kinds_of(Config, "fusion"), "mine")
    assert "mine" in fields_of(extended)["model.fusion.kind"][0].choices
    assert module_of(extended, "fusion", "mine") is Concat
    assert is_added("fusion", "mine")
    assert fields_of(Config) == before
    assert "mine" not in before["model.fusion.kind"][0].choices


def test_an_unknown_family_is_refused():
    with pytest.raises(ConfigError, match="'fusions' is no family of modules; allowed are encoder"):
        with_kind(Config, AddedKind("fusions", "mine", FusionOptions, Concat))


@pytest.mark.parametrize(("family", "kind"), KINDS)
def test_a_kind_names_the_module_that_it_is(family, kind):
    module = module_of(Config, family, kind)
    base = FAMILIES[family].base
    assert issubclass(module, import_named(base)) if base else callable(module)
    assert not is_added(family, kind)


@pytest.mark.parametrize(("family", "kind"), KINDS)
def test_every_searched_range_lies_inside_its_field(family, kind):
    for path, (info, wanted) in fields_of(options_class(Config, family, kind)).items():
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
