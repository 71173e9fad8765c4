"""Feature files as plain numpy archives (`.npz`): the format to write your own features in.

```python
np.savez("features.npz", **{"train.text": text, "train.regression_labels": labels, ...})
```
"""

import re
from pathlib import Path
from typing import Any

import numpy as np

from msa_core.data.dataset import DataError, Dataset
from msa_core.data.layout import (
    ID_KEY,
    KEYS,
    LABEL_KEY,
    LENGTH_KEYS,
    SPLITS,
    UNIMODAL_KEYS,
    to_dataset,
)


def read_npz(path: Path, scheme: str) -> Dataset:
    """Read an archive whose arrays are named `<split>.<key>` or `<split>/<key>`.

    Args:
        path: the archive. Splits are `train`, `valid` and `test`; the keys are those of
            `layout.to_split`, for example `train.text` [N, T, d]. Other names are ignored.
        scheme: a key of `LABEL_SCHEMES`.

    Raises:
        DataError: the archive is broken, holds Python objects, or its contents are wrong.
        OSError: the file can't be opened.
    """
    splits: dict[str, dict[str, object]] = {}
    with path.open("rb") as file:
        try:
            archive = np.load(file, allow_pickle=False)
        except Exception as error:  # Broken zip files raise almost anything.
            raise DataError(f"{path.name}: not a readable npz archive ({error})") from error
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise DataError(f"{path.name}: one array, not an npz archive of named arrays")
        with archive:
            for name in archive.files:
                split, _, key = re.sub(r"[./]", "\0", name, count=1).partition("\0")
                values = splits.setdefault(split, {})
                if key in values:
                    raise DataError(f"{path.name}: split '{split}', key '{key}': given twice")
                is_read = split in SPLITS and key in KEYS
                values[key] = _member(path.name, archive, name) if is_read else None
    return to_dataset(path.name, scheme, splits)


def write_npz(path: Path, dataset: Dataset) -> None:
    """Write a data set so that `read_npz` gives an equal one, with an equal fingerprint.

    Raises:
        OSError: the file can't be written.
    """
    arrays: dict[str, Any] = {}
    for split in (dataset.splits.train, dataset.splits.valid, dataset.test):
        values: dict[str, Any] = {ID_KEY: np.array(split.ids), LABEL_KEY: split.labels}
        values.update(split.features)
        values.update({LENGTH_KEYS[name]: array for name, array in split.lengths.items()})
        values.update({UNIMODAL_KEYS[name]: array for name, array in split.unimodal_labels.items()})
        arrays.update({f"{split.name}.{key}": array for key, array in values.items()})
    with path.open("wb") as file:
        np.savez(file, **arrays)


def _member(source: str, archive: np.lib.npyio.NpzFile, name: str) -> object:
    try:
        return archive[name]
    except Exception as error:  # Corrupt members raise almost anything.
        raise DataError(
            f"{source}: array '{name}' cannot be read ({error}); "
            "save plain arrays of numbers or text, not Python objects"
        ) from error
