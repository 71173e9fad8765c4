"""What the tests of the training core share."""

import pickle

import pytest
import torch

from msa_core.tensors.recorded_ops import Recordings


@pytest.fixture
def write(tmp_path):
    """Writes bytes, or pickles anything else, and gives the path."""

    def write(content, protocol=4):
        path = tmp_path / "features.pkl"
        is_raw = isinstance(content, bytes)
        path.write_bytes(content if is_raw else pickle.dumps(content, protocol))
        return path

    return write


@pytest.fixture
def nothing_recorded(monkeypatch):
    """Modules and terms are called at every step, so that a test can watch or change them."""
    monkeypatch.setattr(Recordings, "call", lambda self, function, inputs: function(inputs))


@pytest.fixture
def draw(request):
    """Draws standard normal numbers: shape -> float64 tensor. Seeded by the test file's `SEED`."""
    generator = torch.Generator().manual_seed(request.module.SEED)
    return lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)
