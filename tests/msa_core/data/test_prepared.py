"""Train and valid prepared once: each form made once, and the same as prepared one by one."""

import pickle

import numpy as np
import pytest
import torch

from msa_core.config.fields import MODALITIES
from msa_core.config.planted import PlantedConfig
from msa_core.config.schema import Config
from msa_core.data import prepared as prepared_module
from msa_core.data.batching import Scaler, prepare_batch, prepared_features
from msa_core.data.planted import generate_planted
from msa_core.data.prepared import PreparedSplits
from spaces.fields.paths import replace

CPU = torch.device("cpu")
LSTM = {f"model.{name}.encoder": "lstm" for name in MODALITIES}
CHANGES = {
    "pooled": {},
    "whole": LSTM,
    "both": {"model.text.encoder": "lstm"},
    "raw": {"features.standardise": False},
    "raw and whole": {"features.standardise": False, **LSTM},
    "two modalities": {"model.audio.use": False},
    "one modality": {"model.audio.use": False, "model.text.use": False, **LSTM},
}
CONFIGS = {name: replace(Config(), changes) for name, changes in CHANGES.items()}


@pytest.fixture(scope="module")
def splits():
    return generate_planted(PlantedConfig(train=12, valid=7, test=2, steps=4, width=3)).splits


@pytest.fixture
def data(splits):
    return PreparedSplits(splits)


@pytest.fixture
def made(monkeypatch):
    """What has been made so far: split, modality, and whether it is pooled."""
    forms = []

    def watch(split, scaler, modality, pooled):
        forms.append((split.name, modality, pooled))
        return prepared_features(split, scaler, modality, pooled)

    monkeypatch.setattr(prepared_module, "prepared_features", watch)
    return forms


def assert_same(first, second):
    """Two batches, in every tensor."""
    assert list(first.features) == list(second.features)
    torch.testing.assert_close(first.to_pytree(), second.to_pytree(), rtol=0, atol=0)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_split_is_what_prepare_makes_of_it(splits, data, name):
    for earlier in CONFIGS.values():  # Whatever was asked for before.
        data.train_batch(earlier, CPU)
    config = CONFIGS[name]
    used = tuple(kind for kind in MODALITIES if getattr(config.model, kind).use)
    scaler = Scaler.fit(splits.train, used, config.features.standardise)
    assert_same(data.train_batch(config, CPU), prepare_batch(splits.train, scaler, config, CPU))
    assert_same(data.valid_batch(config, CPU), prepare_batch(splits.valid, scaler, config, CPU))
    found = data.scaler(config)
    for mine, fitted in ((found.mean, scaler.mean), (found.std, scaler.std)):
        assert {kind: array.tolist() for kind, array in mine.items()} == {
            kind: array.tolist() for kind, array in fitted.items()
        }


def test_the_scheme_is_that_of_the_splits(splits, data):
    assert data.scheme == splits.scheme
    assert data.splits is splits


def test_each_form_is_made_once(data, made):
    for _ in range(2):
        for config in CONFIGS.values():
            data.prepare_arrays(config)
            data.train_batch(config, CPU)
            data.valid_batch(config, CPU)
    # Two splits, three modalities, pooled or not, standardised or not.
    assert len(made) == 2 * 3 * 2 * 2
    assert len(set(made)) == 2 * 3 * 2


def test_a_form_is_made_when_it_is_asked_for(data, made):
    data.train_batch(CONFIGS["two modalities"], CPU)
    assert set(made) == {("train", "text", True), ("train", "vision", True)}
    data.valid_batch(CONFIGS["one modality"], CPU)
    assert made[2:] == [("valid", "vision", False)]


def test_the_tensors_of_a_device_are_shared(data):
    first, second = (data.train_batch(Config(), CPU).features for _ in range(2))
    assert all(second[name] is tensor for name, tensor in first.items())


def test_what_is_warmed_is_there_when_it_is_asked_for(data, made):
    data.prepare_arrays(CONFIGS["both"])
    assert sorted(made) == sorted(
        (split, name, name != "text") for split in ("train", "valid") for name in MODALITIES
    )
    made.clear()
    data.train_batch(CONFIGS["both"], CPU)
    data.valid_batch(CONFIGS["both"], CPU)
    assert made == []


def test_a_pickle_keeps_what_was_made(splits, data, made):
    data.prepare_arrays(Config())
    again = pickle.loads(pickle.dumps(data))
    made.clear()
    assert_same(again.train_batch(Config(), CPU), data.train_batch(Config(), CPU))
    assert_same(again.valid_batch(Config(), CPU), data.valid_batch(Config(), CPU))
    assert made == []
    raw = CONFIGS["raw"]  # And what was not made is made then.
    assert_same(again.train_batch(raw, CPU), PreparedSplits(splits).train_batch(raw, CPU))


def test_a_pickle_drops_the_tensors(data):
    data.prepare_arrays(Config())
    before = len(pickle.dumps(data))
    batch = data.train_batch(Config(), CPU)
    assert len(pickle.dumps(data)) == before
    # And only the pickle: the tensors are still those of this process.
    assert data.train_batch(Config(), CPU).features["text"] is batch.features["text"]


def test_a_transport_that_shares_arrays_shares_those_that_were_made(data):
    """Arrays out of shared memory may not be written, and PyTorch is not to warn of it."""
    data.prepare_arrays(CONFIGS["whole"])
    buffers = []
    frame = pickle.dumps(data, protocol=5, buffer_callback=buffers.append)
    shared = [bytes(buffer) for buffer in buffers]
    again = pickle.loads(frame, buffers=shared)
    for name in ("train", "valid"):
        method = f"{name}_batch"
        batch, expected = (getattr(d, method)(CONFIGS["whole"], CPU) for d in (again, data))
        assert_same(batch, expected)
        addresses = {np.frombuffer(part, np.uint8).ctypes.data for part in shared}
        assert all(tensor.data_ptr() in addresses for tensor in batch.features.values())
