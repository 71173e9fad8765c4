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

import numpy as np

from msa_core.data.dataset import Dataset
from msa_core.data.layout import ID_KEY, SPLITS, SplitValues, sort_by_split
from msa_core.data.tensor_file import open_tensors
from spaces.core import DataError

MOST_UNPACKED = 2**30  # bytes that an archive may always hold
MOST_COMPRESSED = 100  # times its size that a larger one may unpack to


def read_npz(path: Path, keys: Collection[str]) -> SplitValues:
    """Read an archive whose arrays are named `<split>.<key>` or `<split>/<key>`.

    Args:
        path: Archive. Splits are `train`, `valid` and `test`; other names are ignored.
        keys: Keys that are read, of those of `layout.to_split`; `text` is `train.text` [N, T, d].

    Returns:
        Values as they are in the file, unchecked.

    Raises:
        DataError: The archive is broken or holds Python objects.
        OSError: The file can't be opened.
    """
    with path.open("rb") as file:
        try:
            # Arrays of Python objects are pickles, and loading one would run it.
            archive = np.load(file, allow_pickle=False)
        except Exception as error:  # Broken zip files raise almost anything.
            raise DataError(f"{path.name}: not a readable npz archive ({error})") from error
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise DataError(f"{path.name}: one array, not an npz archive of named arrays")
        with archive:
            _check_size(path, archive)
            return sort_by_split(
                path.name, archive.files, keys, lambda name: _read_member(path.name, archive, name)
            )


def read_safetensors(path: Path, keys: Collection[str]) -> SplitValues:
    """Read a file whose arrays are named `<split>.<key>` or `<split>/<key>`.

    Args:
        path: File. Ids (`train.id`) are a JSON list in its metadata, or whole numbers among its
            arrays.
        keys: Keys that are read; see `read_npz`.

    Returns:
        Values as they are in the file, unchecked.

    Raises:
        DataError: The file is broken.
        OSError: The file can't be opened.
    """
    file = open_tensors(path)
    texts = [name for name in file.metadata if name.replace("/", ".").split(".")[0] in SPLITS]

    def read(name: str) -> object:
        if name in file.arrays:
            return file.arrays[name]
        return texts_from(path.name, name, file.metadata[name])

    return sort_by_split(path.name, [*file.arrays, *texts], keys, read)


def ids_as_text(dataset: Dataset) -> dict[str, str]:
    """Return `<split>.id` -> the ids as a JSON list."""
    splits = (dataset.splits.train, dataset.splits.valid, dataset.test)
    return {f"{split.name}.{ID_KEY}": json.dumps(split.ids) for split in splits}


def texts_from(source: str, name: str, text: str) -> list[str]:
    """Return the texts of a JSON list.

    Args:
        source: Name of the file in messages.
        name: Name of the list in messages.
        text: JSON text.

    Raises:
        DataError: It is no JSON list of texts.
    """
    try:
        texts = json.loads(text)
    except (ValueError, RecursionError):
        texts = None
    if not isinstance(texts, list) or not all(isinstance(item, str) for item in texts):
        raise DataError(
            f"{source}: metadata '{name}' must be a JSON list of texts, one per utterance, but is "
            f"{text[:40]!r}; write it with json.dumps([...])"
        )
    return texts


def _check_size(path: Path, archive: np.lib.npyio.NpzFile) -> None:
    # Arrays of zeros compress a thousandfold: a small file could fill any memory.
    members = archive.zip.infolist() if archive.zip is not None else []
    unpacked = sum(member.file_size for member in members)
    if unpacked > MOST_UNPACKED and unpacked > MOST_COMPRESSED * path.stat().st_size:
        raise DataError(
            f"{path.name}: would unpack to {unpacked / 1e9:.1f} GB, more than "
            f"{MOST_COMPRESSED} times its size, as files do that are made to fill a memory; if it "
            "is a real one, save it with np.savez, which does not compress"
        )


def _read_member(source: str, archive: np.lib.npyio.NpzFile, name: str) -> object:
    try:
        return archive[name]
    except Exception as error:  # Corrupt members raise almost anything.
        raise DataError(
            f"{source}: array '{name}' cannot be read ({error}); "
            "save plain arrays of numbers or text, not Python objects"
        ) from error
