"""Feature files of the MMSA framework: pickles, read without running what is in them."""

from collections.abc import Collection
from pathlib import Path

from msa_core.data.layout import SPLITS, SplitValues
from msa_core.data.unpickling import SizeLimit, describe_kind, make_arrays, unpickle
from spaces.core import DataError


def read_mmsa(path: Path, keys: Collection[str]) -> SplitValues:
    """Read a feature file in the layout of MMSA.

    Args:
        path: Pickle, protocol 0 to 5, of a dictionary split -> key -> values. Splits are `train`,
            `valid` and `test`.
        keys: Keys that are read, of those of `layout.to_split`.

    Returns:
        Values as they are in the file, unchecked.

    Raises:
        DataError: The file is broken or asks to run anything.
        OSError: The file can't be opened.

    Source: github.com/thuiar/MMSA, `src/MMSA/data_loader.py`.
    """
    source = path.name
    content = unpickle(path)
    # One for the whole file: what a split may take is not to be had again by the next.
    limit = SizeLimit(path)
    if not isinstance(content, dict):
        raise DataError(
            f"{source}: holds {describe_kind(content)}, but a dictionary of the splits "
            f"{', '.join(SPLITS)} is needed"
        )
    # Splits that are not read stay as names: the message about a missing one lists what there is.
    splits: SplitValues = {str(name): {} for name in content}
    for name in SPLITS:
        if name in content:
            splits[name] = _read_split(source, name, content[name], keys, limit)
    return splits


def _read_split(
    source: str, name: str, content: object, keys: Collection[str], limit: SizeLimit
) -> dict[str, object]:
    """Read one split: arrays of the keys that are asked for, None for the others."""
    where = f"{source}: split '{name}'"
    if not isinstance(content, dict):
        raise DataError(
            f"{where} holds {describe_kind(content)}, but a dictionary of arrays is needed"
        )
    values: dict[str, object] = {str(key): None for key in content}
    for key in keys:
        if key in content:
            try:
                values[key] = make_arrays(content[key], limit)
            except (ValueError, TypeError, RecursionError, OverflowError, MemoryError) as error:
                raise DataError(f"{where}, key '{key}': cannot be read: {error}") from error
    return values
