"""What pairs of modalities say of the label, estimated from train."""

import json
from dataclasses import replace

import numpy as np
import pytest

from msa_core.analysis import shared_information
from msa_core.analysis.shared_information import METHOD, estimate_shared_information
from msa_core.config.planted import PlantedConfig
from msa_core.data.planted import generate_planted

PARTS = ("unique_first", "unique_second", "redundancy", "synergy")


@pytest.fixture(scope="module")
def copied():
    """Text tells the label, audio is a copy of it, vision is noise."""
    made = generate_planted(PlantedConfig(train=300, valid=64, test=64, steps=2, width=3))
    rng = np.random.default_rng(5)

    def told(split):
        text = np.repeat(split.labels[:, None, None], 3, axis=2).astype(np.float32)
        noise = rng.normal(size=text.shape).astype(np.float32)
        features = {"text": text, "audio": 7 * text + 3, "vision": noise}
        return replace(
            split, features=features, lengths={name: np.ones(len(text), int) for name in features}
        )

    splits = replace(made.splits, train=told(made.splits.train))
    return replace(made, splits=splits, fingerprint="copied")


@pytest.fixture(scope="module")
def found(copied):
    return {(pair["first"], pair["second"]): pair for pair in estimate_shared_information(copied)}


def test_a_copy_is_redundant_and_noise_says_nothing(found):
    assert list(found) == [("text", "audio"), ("text", "vision"), ("audio", "vision")]
    copy = found["text", "audio"]
    assert copy["redundancy"]["value"] == pytest.approx(copy["total"]["value"], abs=1e-3)
    assert copy["total"]["value"] > 0.7 and copy["total"]["p"] == pytest.approx(1 / 200)
    assert copy["total"]["low"] > copy["total"]["null_high"]
    for part in ("unique_first", "unique_second", "synergy"):
        assert copy[part]["value"] == pytest.approx(0.0, abs=1e-3)
    noise = found["text", "vision"]
    assert noise["unique_first"]["value"] > 0.5
    assert noise["unique_second"]["value"] < 0.05 and noise["unique_second"]["low"] == 0.0
    assert (copy["utterances"], copy["split"], copy["method"]) == (300, "train", METHOD)
    assert METHOD.startswith("features averaged over time and standardised, 4 k-means")


def test_it_is_plain(found):
    pairs = list(found.values())
    assert json.loads(json.dumps(pairs)) == pairs


def test_parts_add_up_to_the_total(found):
    for pair in found.values():
        # Each part is corrected for itself, and the correction is linear.
        total = sum(pair[part]["value"] for part in PARTS)
        assert total == pytest.approx(pair["total"]["value"], abs=1e-3)


def test_same_data_same_digits_and_other_modalities_change_none(copied, found):
    assert estimate_shared_information(copied) == list(found.values())
    train = copied.splits.train
    two = {name: train.features[name] for name in ("text", "vision")}
    fewer = replace(copied.splits, train=replace(train, features=two))
    assert estimate_shared_information(replace(copied, splits=fewer)) == [found["text", "vision"]]


def test_the_test_split_changes_nothing(copied, found):
    test = replace(copied.test, labels=np.zeros_like(copied.test.labels))
    assert estimate_shared_information(replace(copied, test=test)) == list(found.values())


def test_of_many_utterances_some_are_looked_at(copied, monkeypatch):
    monkeypatch.setattr(shared_information, "MOST_UTTERANCES", 100)
    assert estimate_shared_information(copied)[0]["utterances"] == 100


def test_frames_beyond_an_utterance_and_features_that_never_vary_do_not_count(copied, found):
    train = copied.splits.train
    padded = {}
    for name, array in train.features.items():
        wider = np.concatenate([array, np.full((len(array), 1, 3), 99.0)], axis=1)
        constant = np.full((*wider.shape[:2], 1), 5.0)
        padded[name] = np.concatenate([wider, constant], axis=2).astype(np.float32)
    splits = replace(copied.splits, train=replace(train, features=padded))
    again = estimate_shared_information(replace(copied, splits=splits))
    before = [pair["total"]["value"] for pair in found.values()]
    assert [pair["total"]["value"] for pair in again] == before
