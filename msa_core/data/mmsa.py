"""Feature files of the MMSA framework: pickles, read without running what is in them."""

from collections.abc import Collection
from pathlib import Path

from msa_core.data.dataset import DataError, Dataset
from msa_core.data.layout import KEYS, SPLITS, SplitValues, to_dataset
from msa_core.data.unpickling import Allowance, described, plain, unpickle


def read_mmsa(path: Path, scheme: str) -> Dataset:
    """Read a feature file in the layout of MMSA.

    Args:
        path: a pickle, protocol 0 to 5, of a dictionary split -> key -> values. Splits are
            `train`, `valid` and `test`; the keys are those of `layout.to_split`.
        scheme: a key of `LABEL_SCHEMES`.

    Raises:
        DataError: the file is broken, asks to run anything, or its contents are wrong.
        OSError: the file can't be opened.

    Source: github.com/thuiar/MMSA, `src/MMSA/data_loader.py`.
    """
    return to_dataset(path.name, scheme, mmsa_values(path))


def mmsa_values(path: Path, keys: Collection[str] = KEYS) -> SplitValues:
    """The values of some keys, unchecked; see `read_mmsa`.

    Raises:
        DataError: the file is broken or asks to run anything.
        OSError: the file can't be opened.
    """
    source = path.name
    content = unpickle(path)
    allowance = Allowance(path)
    if not isinstance(content, dict):
        raise DataError(
            f"{source}: holds {described(content)}, but a dictionary of the splits "
            f"{', '.join(SPLITS)} is needed"
        )
    splits: SplitValues = {str(name): {} for name in content}
    for name in SPLITS:
        if name in content:
            splits[name] = _split(source, name, content[name], keys, allowance)
    return splits


def _split(
    source: str, name: str, content: object, keys: Collection[str], allowance: Allowance
) -> dict[str, object]:
    """The keys of one split; those that are read with real arrays, the others as names only."""
    where = f"{source}: split '{name}'"
    if not isinstance(content, dict):
        raise DataError(f"{where} holds {described(content)}, but a dictionary of arrays is needed")
    values: dict[str, object] = {str(key): None for key in content}
    for key in keys:
        if key in content:
            try:
                values[key] = plain(content[key], allowance)
            except (ValueError, TypeError, RecursionError, OverflowError, MemoryError) as error:
                raise DataError(f"{where}, key '{key}': cannot be read: {error}") from error
    return values
