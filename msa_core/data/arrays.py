"""Feature files of named arrays, `.npz` and `.safetensors`: the formats to write your own in.

```python
np.savez("features.npz", **{"train.text": text, "train.regression_labels": labels, ...})
```

A `.safetensors` file has the same names. It holds no text, so what is text (`train.id`,
`train.raw_text`) is a JSON list in its metadata:

```python
save_file({"train.text": text, ...}, "features.safetensors", {"train.id": json.dumps(ids), ...})
```
"""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from msa_core.data.dataset import DataError, Dataset
from msa_core.data.layout import (
    ID_KEY,
    KEYS,
    SPLITS,
    SplitValues,
    by_split,
    named_arrays,
    to_dataset,
)
from msa_core.data.tensor_file import open_tensors, write_tensors

MOST_UNPACKED = 2**30  # bytes that an archive may always hold
MOST_COMPRESSED = 100


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
    return to_dataset(path.name, scheme, npz_values(path))


def npz_values(path: Path, keys: Collection[str] = KEYS) -> SplitValues:
    """The values of some keys, unchecked; see `read_npz`.

    Raises:
        DataError: the archive is broken or holds Python objects.
        OSError: the file can't be opened.
    """
    with path.open("rb") as file:
        try:
            archive = np.load(file, allow_pickle=False)
        except Exception as error:  # Broken zip files raise almost anything.
            raise DataError(f"{path.name}: not a readable npz archive ({error})") from error
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise DataError(f"{path.name}: one array, not an npz archive of named arrays")
        with archive:
            _check_size(path, archive)
            return by_split(
                path.name, archive.files, keys, lambda name: _member(path.name, archive, name)
            )


def write_npz(path: Path, dataset: Dataset) -> None:
    """Write a data set so that `read_npz` gives an equal one, with an equal fingerprint.

    Raises:
        OSError: the file can't be written.
    """
    arrays: dict[str, Any] = dict(named_arrays(dataset))
    for split in (dataset.splits.train, dataset.splits.valid, dataset.test):
        arrays[f"{split.name}.{ID_KEY}"] = np.array(split.ids)
    with path.open("wb") as file:
        np.savez(file, **arrays)


def read_safetensors(path: Path, scheme: str) -> Dataset:
    """Read a file whose arrays are named `<split>.<key>` or `<split>/<key>`.

    Args:
        path: the file; see `read_npz`. Names (`train.id`) are a JSON list in its metadata, or
            whole numbers among its arrays.
        scheme: a key of `LABEL_SCHEMES`.

    Raises:
        DataError: the file is broken, or its contents are wrong.
        OSError: the file can't be opened.
    """
    return to_dataset(path.name, scheme, safetensors_values(path))


def safetensors_values(path: Path, keys: Collection[str] = KEYS) -> SplitValues:
    """The values of some keys, unchecked; see `read_safetensors`.

    Raises:
        DataError: the file is broken.
        OSError: the file can't be opened.
    """
    file = open_tensors(path)
    texts = [name for name in file.metadata if name.replace("/", ".").split(".")[0] in SPLITS]

    def read(name: str) -> object:
        if name in file.arrays:
            return file.arrays[name]
        return texts_from(path.name, name, file.metadata[name])

    return by_split(path.name, [*file.arrays, *texts], keys, read)


def write_safetensors(path: Path, dataset: Dataset) -> None:
    """Write a data set so that `read_safetensors` gives an equal one, with an equal fingerprint.

    Raises:
        OSError: the file can't be written.
    """
    write_tensors(path, named_arrays(dataset), ids_as_text(dataset))


def ids_as_text(dataset: Dataset) -> dict[str, str]:
    """`<split>.id` -> the ids as a JSON list."""
    splits = (dataset.splits.train, dataset.splits.valid, dataset.test)
    return {f"{split.name}.{ID_KEY}": json.dumps(split.ids) for split in splits}


def texts_from(source: str, name: str, text: str) -> list[str]:
    """The texts of a JSON list.

    Args:
        source: names the file in messages.
        name: names the list there.
        text: JSON.

    Raises:
        DataError: something else.
    """
    try:
        texts = json.loads(text)
    except (ValueError, RecursionError):
        texts = None
    if not isinstance(texts, list) or not all(isinstance(item, str) for item in texts):
        raise DataError(
            f"{source}: metadata '{name}' must be a JSON list of texts, one an utterance, but is "
            f"{text[:40]!r}; write it with json.dumps([...])"
        )
    return texts


def _check_size(path: Path, archive: np.lib.npyio.NpzFile) -> None:
    """Arrays of zeros compress a thousandfold: a small file could fill any memory."""
    members = archive.zip.infolist() if archive.zip is not None else []
    unpacked = sum(member.file_size for member in members)
    if unpacked > MOST_UNPACKED and unpacked > MOST_COMPRESSED * path.stat().st_size:
        raise DataError(
            f"{path.name}: would unpack to {unpacked / 1e9:.1f} GB, more than "
            f"{MOST_COMPRESSED} times its size, as files do that are made to fill a memory; if it "
            "is a real one, save it with np.savez, which does not compress"
        )


def _member(source: str, archive: np.lib.npyio.NpzFile, name: str) -> object:
    try:
        return archive[name]
    except Exception as error:  # Corrupt members raise almost anything.
        raise DataError(
            f"{source}: array '{name}' cannot be read ({error}); "
            "save plain arrays of numbers or text, not Python objects"
        ) from error
