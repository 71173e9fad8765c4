"""Dotted paths into a configuration: round trips, what is active, and the messages of mistakes."""

import dataclasses
import math
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from msa_core.config.fields import LABEL_SCHEMES, MODALITIES, PAIRS
from msa_core.config.planted import PlantedConfig
from msa_core.config.rules import check_config, is_active, resolve_fields, restrict_to
from msa_core.config.schema import Config
from spaces.fields.declaration import ConfigError
from spaces.fields.paths import (
    check_value,
    did_you_mean,
    fields_of,
    flatten,
    replace,
    symbol_of,
    value_at,
)

# A loaded machine is no failure.
LAW = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
PATHS = list(fields_of(Config))
SWITCHES = [path for path, (_, wanted) in fields_of(Config).items() if wanted in (bool, str)]
MOST_NUMBERS_CHANGED = 8


def allowed_values(kind, path):
    """Every value that a field allows."""
    info, wanted = fields_of(kind)[path]
    if wanted is bool:
        return st.booleans()
    if wanted is str:
        return st.sampled_from(info.choices) if info.choices else st.text(min_size=1, max_size=5)
    if wanted is int:
        return st.integers(info.minimum, info.maximum)
    low = info.minimum if info.above is None else info.above
    return st.floats(low, info.maximum, exclude_min=info.above is not None, allow_subnormal=False)


def all_values(kind):
    """Every field with a value that it allows."""
    return st.fixed_dictionaries({path: allowed_values(kind, path) for path in fields_of(kind)})


@st.composite
def configs(draw):
    """Any setting of the switches, which decide what means anything, and of some numbers."""
    numbers = draw(
        st.lists(
            st.sampled_from([path for path in PATHS if path not in SWITCHES]),
            max_size=MOST_NUMBERS_CHANGED,
        )
    )
    changes = {path: draw(allowed_values(Config, path)) for path in [*SWITCHES, *numbers]}
    return replace(Config(), changes)


def outermost_values(kind, path):
    """The ends of what a number allows, or every choice."""
    info, wanted = fields_of(kind)[path]
    if wanted is bool:
        return [False, True]
    if wanted is str:
        return list(info.choices or ["a", "b"])
    low = info.minimum if info.above is None else (info.above + info.maximum) / 2
    return [wanted(low), wanted(info.maximum)]


CONFIGS = configs()


# --- Reading and changing.


def test_fields_are_found_in_the_order_of_their_declarations():
    assert PATHS[:3] == ["features.standardise", "model.text.use", "model.text.encoder"]
    assert "loss.alignment.text_audio.weight" in PATHS
    assert len(PATHS) == len(set(PATHS))


@pytest.mark.parametrize("kind", [Config, PlantedConfig])
def test_every_default_is_allowed_and_described(kind):
    for path, value in flatten(kind()).items():
        info, wanted = fields_of(kind)[path]
        assert check_value(kind, path, value) == value
        assert type(value) is wanted
        assert info.meaning
        assert info.label


@pytest.mark.parametrize("kind", [Config, PlantedConfig])
@LAW
@given(data=st.data())
def test_flatten_and_replace_are_inverse(kind, data):
    values = data.draw(all_values(kind))
    changed = replace(kind(), values)
    assert flatten(changed) == values
    assert replace(kind(), flatten(changed)) == changed


@pytest.mark.parametrize("kind", [Config, PlantedConfig])
def test_replace_changes_one_field_and_no_other(kind):
    tree = kind()
    for path in fields_of(kind):
        for value in outermost_values(kind, path):
            changed = replace(tree, {path: value})
            assert value_at(changed, path) == value
            assert flatten(changed) == flatten(tree) | {path: value}
    assert tree == kind()


def test_replace_leaves_the_sections_that_it_does_not_touch_as_they_are():
    config = Config()
    changed = replace(config, {"train.epochs": 3})
    assert changed.model is config.model
    with pytest.raises(dataclasses.FrozenInstanceError):
        changed.train.epochs = 4


def test_values_take_the_type_of_their_field():
    assert type(check_value(Config, "train.learning_rate", 1)) is float
    assert type(check_value(Config, "train.epochs", 3.0)) is int


@pytest.mark.parametrize(
    ("path", "symbol"),
    [
        ("loss.alignment.text_audio.weight", r"\lambda_{ta}"),
        ("loss.alignment.audio_vision.margin", r"\mu_{av}"),
        ("loss.unimodal.vision.weight", "c_{v}"),
        ("train.learning_rate", r"\eta"),
        ("train.epochs", ""),
    ],
)
def test_symbols_name_their_pair_or_modality(path, symbol):
    assert symbol_of(Config, path) == symbol


# --- Mistakes.


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (
            "loss.alignment.text_audo.weight",
            1.0,
            "not a field; did you mean 'loss.alignment.text_a",
        ),
        ("nonsense", 1.0, "'nonsense' is not a field"),
        ("", 1.0, "'' is not a field"),
        ("train", 1.0, "'train' is a group of fields; name one of train.learning_rate, "),
        ("loss.alignment.text_audio", 1.0, "is a group of fields; name one of"),
        ("train.epochs.more", 1, "'train.epochs.more' is not a field"),
        ("model.fusion.kind", "tnf", "misa, reorg_sum, but got 'tnf'; did you mean 'tfn'?"),
        ("model.fusion.kind", 3, "must be a word, but got 3"),
        ("model.text.use", 1, "must be true or false, but got 1"),
        ("model.text.use", "yes", "must be true or false, but got 'yes'"),
        ("train.epochs", True, "must be a whole number, but got True"),
        ("train.epochs", 1.5, "must be a whole number, but got 1.5"),
        ("train.epochs", "3", "must be a whole number, but got '3'"),
        ("train.epochs", math.inf, "must be a whole number, but got inf"),
        ("train.epochs", None, "must be a whole number, but got None"),
        ("train.learning_rate", "1e-3", "must be a number, but got '1e-3'"),
        ("train.learning_rate", math.nan, "must be a number, but got nan"),
        ("train.learning_rate", 0.0, "must lie in (0, 1], but got 0.0"),
        ("train.learning_rate", 1.5, "must lie in (0, 1], but got 1.5"),
        ("train.epochs", 0, "must lie in [1, 100000], but got 0"),
        ("loss.alignment.text_audio.weight", -1.0, "must lie in [0, 1e+06], but got -1.0"),
    ],
)
def test_a_mistake_is_refused_with_what_is_allowed(path, value, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        replace(Config(), {path: value})


def test_reading_an_unknown_field_is_refused():
    for use in (
        lambda: value_at(Config(), "train.epoch"),
        lambda: is_active(Config(), "train.epoch"),
    ):
        with pytest.raises(ConfigError, match=r"'train\.epoch' is not a field; did you mean"):
            use()


def test_nearest_keeps_quiet_where_nothing_is_near():
    assert did_you_mean("text", ["texts", "audio"]) == "; did you mean 'texts'?"
    assert did_you_mean("zzz", ["texts", "audio"]) == ""
    assert did_you_mean("text", []) == ""


# --- What is active.


@LAW
@given(CONFIGS, st.sampled_from(PATHS), st.data())
def test_changing_a_field_shows_in_the_record_exactly_if_it_is_active(config, path, data):
    value = data.draw(allowed_values(Config, path))
    changed = replace(config, {path: value})
    if value == value_at(config, path):
        assert changed == config
    elif is_active(config, path):
        assert resolve_fields(changed) != resolve_fields(config)
    else:
        assert resolve_fields(changed) == resolve_fields(config)


@LAW
@given(CONFIGS)
def test_a_record_holds_the_active_fields_and_rebuilds_an_equal_record(config):
    """Except for quiet ones at their defaults, which change nothing."""
    record = resolve_fields(config)
    assert set(record) == {
        path
        for path, (info, _) in fields_of(Config).items()
        if is_active(config, path)
        and not (info.quiet and value_at(config, path) == value_at(Config(), path))
    }
    assert resolve_fields(replace(Config(), record)) == record


def active(changes):
    config = replace(Config(), changes)
    return {path for path in PATHS if is_active(config, path)}


@pytest.mark.parametrize("modality", MODALITIES)
def test_an_absent_modality_takes_everything_about_it_along(modality):
    left = active(
        {
            f"model.{modality}.use": False,
            "loss.unimodal.kind": "fixed",
            **{f"loss.alignment.{pair}.mode": "private" for pair in PAIRS},
        }
    )
    assert f"model.{modality}.use" in left
    assert not any(path.startswith(f"loss.unimodal.{modality}.") for path in left)
    assert not any(
        path.startswith(f"model.{modality}.") and not path.endswith(".use") for path in left
    )
    for pair, members in PAIRS.items():
        expected = modality not in members
        for name in ("mode", "measure", "weight", "margin"):
            assert (f"loss.alignment.{pair}.{name}" in left) == expected


@pytest.mark.parametrize(
    ("mode", "names"),
    [
        ("off", {"mode"}),
        ("shared", {"mode", "measure", "weight"}),
        ("private", {"mode", "measure", "weight", "margin"}),
    ],
)
def test_a_pair_has_the_fields_of_its_mode(mode, names):
    prefix = "loss.alignment.text_vision."
    left = active({f"{prefix}mode": mode})
    assert {path.removeprefix(prefix) for path in left if path.startswith(prefix)} == names


@pytest.mark.parametrize(
    ("kind", "shared"), [("none", set()), ("fixed", {"width", "target"}), ("ulgm", {"width"})]
)
def test_unimodal_heads_have_the_fields_of_their_kind(kind, shared):
    left = active({"loss.unimodal.kind": kind})
    assert "loss.unimodal.kind" in left
    for name in ("width", "target"):
        assert (f"loss.unimodal.{name}" in left) == (name in shared)
    for modality in MODALITIES:
        assert (f"loss.unimodal.{modality}.weight" in left) == (kind != "none")


# --- Rules between fields.


def test_restrict_switches_absent_modalities_off():
    config = restrict_to(Config(), ["audio", "vision"])
    assert [getattr(config.model, name).use for name in MODALITIES] == [False, True, True]
    assert restrict_to(Config(), MODALITIES) == Config()


def test_restrict_does_not_switch_a_modality_on():
    config = replace(Config(), {"model.audio.use": False})
    assert not restrict_to(config, MODALITIES).model.audio.use


def test_a_model_without_modalities_is_refused():
    with pytest.raises(ConfigError, match="every modality is switched off"):
        check_config(restrict_to(Config(), []), "mosi")


@pytest.mark.parametrize("scheme", LABEL_SCHEMES)
def test_the_monitor_must_be_a_metric_of_the_labels(scheme):
    check_config(Config(), scheme)
    wrong = replace(Config(), {"train.monitor": "acc_7"})
    with pytest.raises(ConfigError, match=f"'train.monitor' must be a metric of the '{scheme}'"):
        check_config(wrong, scheme)
