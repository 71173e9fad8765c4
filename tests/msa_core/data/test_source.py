"""The data source of a study: what is read, written, and refused with its place."""

from pathlib import Path

import pytest

from msa_core.config.planted import WORLDS, PlantedConfig
from msa_core.data.source import MsaSource, parse_source, write_source
from msa_core.data.source_schema import source_schema
from spaces.core import SettingError

FOLDER = Path("/studies")
READ = {
    "planted": (None, MsaSource(scheme="mosi", planted=PlantedConfig())),
    "a word": ("planted", MsaSource(scheme="mosi", planted=PlantedConfig())),
    "a path": ("mosi.pkl", MsaSource(scheme="mosi", file=FOLDER / "mosi.pkl")),
    "left to the user": ({"labels": "sims"}, MsaSource(scheme="sims")),
    "a text model": (
        {"file": "a.npz", "text_model": "bert"},
        MsaSource(scheme="mosi", file=FOLDER / "a.npz", text_model=FOLDER / "bert"),
    ),
    "a world, changed": (
        {"planted": {"steps": 3, "world": "additive"}},
        MsaSource(
            scheme="mosi",
            planted=PlantedConfig(shared=0.9, text_private=0.0, synergy=0.0, steps=3),
        ),
    ),
    "the null world": (
        {"planted": {"world": None}},
        MsaSource(scheme="mosi", planted=WORLDS["null"]),
    ),
}
REFUSED = {
    "unknown": ({"labls": "mosi"}, ("labls",), "data: 'labls' is not one of file, labels, planted"),
    "no scheme": ({"labels": 3}, ("labels",), "data.labels: must be one of mosi, sims, but got 3"),
    "no path": ({"file": 3}, ("file",), "data.file: must be a path, but got 3"),
    "both": ({"planted": {}, "file": "a"}, (), "data: 'planted' is generated with 'mosi' labels"),
    "no settings": ({"planted": 3}, ("planted",), "data.planted: must be a mapping of settings"),
    "no world": (
        {"planted": {"world": "sinergy"}},
        ("planted", "world"),
        "data.planted.world: must be one of additive, synergy, null, text_private, imbalanced, "
        "noisy, but got 'sinergy'; did you mean 'synergy'?",
    ),
    "out of bounds": (
        {"planted": {"shared": 2}},
        ("planted", "shared"),
        "data.planted: 'shared' must lie in [0, 1], but got 2.0",
    ),
    "shares": (
        {"planted": {"shared": 0.9}},
        (),
        "data.planted: shared + text_private + synergy + noise must be 1, but got 1.6",
    ),
}


@pytest.mark.parametrize("name", READ)
def test_a_source_is_read_and_written(name):
    raw, source = READ[name]
    assert parse_source(raw, FOLDER) == source
    assert parse_source(write_source(source), FOLDER) == source
    assert source.is_named == (name != "left to the user")


@pytest.mark.parametrize("name", REFUSED)
def test_a_wrong_setting_is_refused_with_its_place(name):
    raw, path, message = REFUSED[name]
    with pytest.raises(SettingError) as caught:
        parse_source(raw, FOLDER)
    assert caught.value.path == path
    assert str(caught.value).startswith(message)


def test_the_schema_has_every_setting():
    inside = source_schema()["properties"]
    assert set(inside) == {"file", "labels", "planted", "text_model"}
    assert set(PlantedConfig.__dataclass_fields__) | {"world"} == set(
        inside["planted"]["properties"]
    )
