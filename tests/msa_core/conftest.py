"""What the tests of the training core share."""

import pickle

import pytest


@pytest.fixture
def write(tmp_path):
    """Writes bytes, or pickles anything else, and gives the path."""

    def write(content, protocol=4):
        path = tmp_path / "features.pkl"
        is_raw = isinstance(content, bytes)
        path.write_bytes(content if is_raw else pickle.dumps(content, protocol))
        return path

    return write
