"""Feature files of data sets, written and read without the cache."""

from pathlib import Path
from typing import Any

import numpy as np

from msa_core.data.dataset import Dataset
from msa_core.data.layout import ID_KEY, KEYS, named_arrays, to_dataset
from msa_core.data.load import READERS
from msa_core.data.npz_and_safetensors import ids_as_text
from msa_core.data.tensor_file import write_tensors


def read_features(path: Path, scheme: str) -> Dataset:
    """Read a feature file of any format."""
    return to_dataset(path.name, scheme, READERS[path.suffix](path, KEYS))


def write_npz(path: Path, dataset: Dataset) -> None:
    """Write an archive that is read as an equal data set."""
    arrays: dict[str, Any] = dict(named_arrays(dataset))
    for split in (dataset.splits.train, dataset.splits.valid, dataset.test):
        arrays[f"{split.name}.{ID_KEY}"] = np.array(split.ids)
    np.savez(path, **arrays)


def write_safetensors(path: Path, dataset: Dataset) -> None:
    """Write a file that is read as an equal data set."""
    write_tensors(path, named_arrays(dataset), ids_as_text(dataset))
