"""Every number of a configuration has a unit, or stands here with the reason why it has none."""

from fnmatch import fnmatchcase

import pytest

from msa_core.config.planted import PlantedConfig
from msa_core.config.schema import Config
from spaces.fields.paths import fields_of

# Pattern of a path -> why a number of that name has no unit.
PURE = {
    "*.weight": "multiplies a term of the loss",
    "loss.alignment.paircov.off_diagonal": "multiplies a part of the measure",
    "loss.contrast.rbc.gamma": "multiplies a density",
    "procedure.mla.bins_weight": "multiplies a term of the loss",
    "*temperature": "divides cosines, which have none",
    "loss.alignment.*.margin": "a distance on the scale of the pair's measure",
    "loss.contrast.bound.ridge": "a variance on the scale of the representations",
    "loss.contrast.views.noise": "a deviation on the scale of the features",
    "train.learning_rate": "multiplies Adam's step",
    "train.weight_decay": "multiplies a penalty",
}
PURE_OF_PLANTED = {
    "*_error": "multiplies a variance",
    "shared_noise": "a variance on the scale of the generated features",
    "frame_noise": "a deviation on the scale of the generated features",
    "seed": "a name, not an amount",
}


@pytest.mark.parametrize(("tree", "pure"), [(Config, PURE), (PlantedConfig, PURE_OF_PLANTED)])
def test_a_number_has_a_unit_or_a_reason_why_it_has_none(tree, pure):
    numbers = {path: info for path, (info, kind) in fields_of(tree).items() if kind in (int, float)}
    without = {path for path, info in numbers.items() if not info.unit}
    listed = {path for path in numbers if any(fnmatchcase(path, pattern) for pattern in pure)}
    assert without == listed
    for pattern in pure:
        assert any(fnmatchcase(path, pattern) for path in without), f"{pattern} is of no field"


@pytest.mark.parametrize("tree", [Config, PlantedConfig])
def test_what_is_no_number_has_no_unit(tree):
    for path, (info, kind) in fields_of(tree).items():
        assert kind in (int, float) or not info.unit, path


def test_whole_numbers_count_something():
    for path, (info, kind) in fields_of(Config).items():
        assert kind is not int or info.unit, path
