"""Golden curves: a refactor of the training core must leave twenty steps of every kind as they are.

`python tests/msa_core/test_golden_curves.py` writes `golden_curves.json` anew. Do it only for a
change that is meant to change numbers: every ledger of an earlier version is then out of date.
"""

import json
from pathlib import Path

import pytest
import torch

from msa_core.config.fields import MODALITIES, PAIRS
from msa_core.config.planted import PlantedConfig
from msa_core.config.schema import Config
from msa_core.data.planted import generate_planted
from spaces.core import Member
from spaces.fields.paths import replace
from tests.cases.train_pack import train_pack

GOLDEN = Path(__file__).with_name("golden_curves.json")
# Five epochs of four steps.
RECIPE = PlantedConfig(train=64, valid=32, test=2, steps=4, width=5)
BASE = {
    **{f"model.{name}.width": 6 for name in MODALITIES},
    "model.projection.width": 3,
    "model.fusion.width": 6,
    "loss.unimodal.width": 4,
    "train.batch_size": 16,
    "train.epochs": 5,
    "train.learning_rate": 0.003,
}
LSTMS = {f"model.{name}.encoder": "lstm" for name in MODALITIES}
CASES = {
    "plain": {},
    "lstm": LSTMS,
    "sum": {"model.fusion.kind": "sum", "train.weight_decay": 0.01},
    "tfn": {"model.fusion.kind": "tfn"},
    # Weights that make the terms large enough to steer the training.
    **{
        mode: {
            **{f"loss.alignment.{pair}.mode": mode for pair in PAIRS},
            **{f"loss.alignment.{pair}.weight": weight for pair in PAIRS},
        }
        for mode, weight in (("shared", 1000.0), ("private", 10.0))
    },
    "fixed": {"loss.unimodal.kind": "fixed", "loss.unimodal.target": "annotated"},
    "ulgm": {"loss.unimodal.kind": "ulgm"},
    "two modalities": {"model.vision.use": False, "features.standardise": False},
}


def curves_of(case):
    """The loss, its terms and the validation error, one value per epoch."""
    config = replace(Config(), {**BASE, **CASES[case]})
    (result,) = train_pack([Member(config, 0)], generate_planted(RECIPE).splits)
    return {
        name: values
        for name, values in result.curve.items()
        if name.startswith("train.") or name == "valid.mae"
    }


@pytest.fixture(scope="module")
def golden():
    return json.loads(GOLDEN.read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", CASES)
def test_the_curves_are_the_golden_ones(golden, case):
    found = curves_of(case)
    assert set(found) == set(golden[case])
    for name, values in found.items():
        assert values == pytest.approx(golden[case][name], rel=1e-4, abs=1e-12), name


def test_no_two_golden_curves_are_equal(golden):
    assert set(golden) == set(CASES)
    curves = [tuple(case["valid.mae"]) for case in golden.values()]
    assert len(set(curves)) == len(CASES)
    assert all(len(values) == 5 for case in golden.values() for values in case.values())


if __name__ == "__main__":
    torch.set_num_threads(1)
    written = {case: curves_of(case) for case in CASES}
    GOLDEN.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
