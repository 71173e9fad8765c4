"""Names for the arrays of a split, and the way from them to a checked `Split`.

The names are those of the MMSA feature files (github.com/thuiar/MMSA); every reader returns its
arrays under them, so that a wrong file gets the same message whatever its format.

Letters in shapes: N utterances, T frames, d features per frame.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from msa_core.config.fields import LABEL_SCHEMES, MODALITIES
from msa_core.data.dataset import Dataset, FloatArray, IntArray, Split, assemble_dataset
from spaces.core import DataError
from spaces.fields.paths import did_you_mean

SPLITS = ("train", "valid", "test")
ID_KEY = "id"
LABEL_KEY = "regression_labels"
LENGTH_KEYS = {modality: f"{modality}_lengths" for modality in MODALITIES}
UNIMODAL_KEYS = {modality: f"{LABEL_KEY}_{modality[0].upper()}" for modality in MODALITIES}
KEYS = (ID_KEY, LABEL_KEY, *MODALITIES, *LENGTH_KEYS.values(), *UNIMODAL_KEYS.values())
"""The keys that are read; a file may hold others, which are ignored."""
RAW_TEXT_KEY = "raw_text"
TOKENS_KEY = "text_bert"
TEXT_KEYS = (RAW_TEXT_KEY, TOKENS_KEY)
"""The keys that are read besides where a text model encodes the text (`frozen_text`)."""

SplitValues = dict[str, dict[str, object]]
"""Split -> key -> values, as a file holds them; None for a key that was not asked for."""

_OTHER_NAMES = {"train": ("training",), "valid": ("val", "dev", "validation"), "test": ("testing",)}


def sort_by_split(
    source: str, names: Iterable[str], keys: Collection[str], read: Callable[[str], object]
) -> SplitValues:
    """Sort arrays named `<split>.<key>` or `<split>/<key>` by split and key.

    Args:
        source: Name of the data in messages.
        names: Names of all arrays.
        keys: Keys that are read.
        read: Function that returns the array of a name.

    Raises:
        DataError: The array of a split and key is there under both names.
    """
    splits: SplitValues = {}
    for name in names:
        split, _, key = re.sub(r"[./]", "\0", name, count=1).partition("\0")
        values = splits.setdefault(split, {})
        if key in values:
            raise DataError(f"{source}: split '{split}', key '{key}': given twice")
        # Named though not read: the message about a missing key lists what there is.
        values[key] = read(name) if split in SPLITS and key in keys else None
    return splits


def named_arrays(dataset: Dataset) -> dict[str, NDArray[np.generic]]:
    """Return the arrays of a data set, without its ids, under their names `<split>.<key>`."""
    arrays: dict[str, NDArray[np.generic]] = {}
    for split in (dataset.splits.train, dataset.splits.valid, dataset.test):
        values: dict[str, NDArray[np.generic]] = {LABEL_KEY: split.labels, **split.features}
        values.update({LENGTH_KEYS[name]: array for name, array in split.lengths.items()})
        values.update({UNIMODAL_KEYS[name]: array for name, array in split.unimodal_labels.items()})
        arrays.update({f"{split.name}.{key}": array for key, array in values.items()})
    return arrays


def to_dataset(source: str, scheme: str, splits: Mapping[str, Mapping[str, object]]) -> Dataset:
    """Bring three splits into the one shape and check them.

    Args:
        source: Name of the data in messages.
        scheme: Key of `LABEL_SCHEMES`.
        splits: Split -> key -> values; see `to_split`. Further splits are ignored.

    Raises:
        DataError: An unknown scheme, a missing split, or anything wrong in a split.
    """
    if scheme not in LABEL_SCHEMES:
        known = ", ".join(LABEL_SCHEMES)
        hint = did_you_mean(scheme, LABEL_SCHEMES)
        raise DataError(f"{source}: '{scheme}' is no label scheme; there are {known}{hint}")
    for name in SPLITS:
        if name not in splits:
            raise DataError(
                f"{source}: split '{name}' is missing; {', '.join(SPLITS)} are needed, "
                f"but the file has {_list_names(splits)}{_suggest_renaming(name, splits)}"
            )
    checked = {name: to_split(source, name, splits[name]) for name in SPLITS}
    return assemble_dataset(source, scheme, checked)


def to_split(source: str, name: str, mapping: Mapping[str, object]) -> Split:
    """Bring the values of one split into the one shape.

    Args:
        source: Name of the data in messages.
        name: `train`, `valid` or `test`.
        mapping: Key -> array or nested list. `regression_labels` [N] and at least one of text,
            audio and vision ([N, T, d], or [N, d] for T = 1) are needed. `id` [N] is made up as
            `<split>/<row>` where absent, `<modality>_lengths` [N] as T. `regression_labels_T`,
            `_A` and `_V` [N] are the modalities' own labels. Other keys are ignored.

    Returns:
        Values of the right type and number of rows; `assemble_dataset` checks the rest.

    Raises:
        DataError: The message names the split, the key and, where there is one, the row.
    """
    where = f"{source}: split '{name}'"
    if LABEL_KEY not in mapping:
        hint = did_you_mean(LABEL_KEY, mapping)
        raise DataError(f"{where} has no '{LABEL_KEY}', only {_list_names(mapping)}{hint}")
    labels = _read_column(where, LABEL_KEY, mapping[LABEL_KEY])
    rows = len(labels)
    if rows == 0:
        raise DataError(f"{where} is empty; every split needs at least one utterance")
    features = {
        modality: _read_features(where, modality, mapping[modality], rows)
        for modality in MODALITIES
        if modality in mapping
    }
    if not features:
        raise DataError(
            f"{where} has none of {', '.join(MODALITIES)}, only {_list_names(mapping)}; "
            "at least one modality is needed under its own name"
        )
    return Split(
        name=name,
        # Made-up ids have the split in them, since an id must be unique over the whole data set.
        ids=_read_ids(where, name, mapping[ID_KEY], rows)
        if ID_KEY in mapping
        else tuple(f"{name}/{row}" for row in range(rows)),
        features=features,
        lengths={
            modality: _read_lengths(where, key, mapping[key], rows)
            if (key := LENGTH_KEYS[modality]) in mapping
            else np.full(rows, array.shape[1], dtype=np.int64)
            for modality, array in features.items()
        },
        labels=labels,
        unimodal_labels={
            modality: _read_column(where, key, mapping[key], rows)
            for modality, key in UNIMODAL_KEYS.items()
            if modality in features and key in mapping
        },
    )


def _read_features(where: str, key: str, value: object, rows: int) -> FloatArray:
    array = _to_float32(where, key, value)
    if array.ndim not in (2, 3) or 0 in array.shape[1:]:
        raise DataError(
            f"{where}, key '{key}': shape {array.shape}, but [N, T, d] or [N, d] is needed"
        )
    _check_rows(where, key, len(array), rows)
    return array[:, np.newaxis, :] if array.ndim == 2 else array


def _read_column(where: str, key: str, value: object, rows: int | None = None) -> FloatArray:
    """Read one number per utterance, [N]; [N, 1] is the same."""
    array = _to_float32(where, key, value)
    if array.ndim == 0 or array.size != len(array):
        raise DataError(
            f"{where}, key '{key}': shape {array.shape}, but [N] is needed, "
            "one number per utterance"
        )
    if rows is not None:
        _check_rows(where, key, len(array), rows)
    return array.reshape(len(array))


def _read_lengths(where: str, key: str, value: object, rows: int) -> IntArray:
    array = _read_column(where, key, value, rows)
    bad = np.flatnonzero(~np.isfinite(array) | (array != np.floor(array)))
    if bad.size:
        raise DataError(
            f"{where}, key '{key}', row {bad[0]}: {array[bad[0]]:g} is not a whole number of frames"
        )
    return array.astype(np.int64)


def _read_ids(where: str, name: str, value: object, rows: int) -> tuple[str, ...]:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        # Not as an array: in one, each text would take as much room as the longest.
        _check_rows(where, ID_KEY, len(value), rows)
        return tuple(value)
    array = _to_array(where, ID_KEY, value)
    if array.ndim != 1 or array.dtype.kind not in "Uiu":
        raise DataError(
            f"{where}, key '{ID_KEY}': {array.dtype} values of shape {array.shape}, but one name "
            f"per utterance is needed, as text [N]; without the key, they are '{name}/0', ..."
        )
    _check_rows(where, ID_KEY, len(array), rows)
    return tuple(str(item) for item in array.tolist())


def _to_float32(where: str, key: str, value: object) -> FloatArray:
    """Convert any integers or floats to writable, contiguous float32."""
    array = _to_array(where, key, value)
    if array.dtype.kind not in "iuf":
        raise DataError(
            f"{where}, key '{key}': holds {array.dtype} values, but numbers (integer or float) "
            "are needed"
        )
    # Writable, because tensors share the memory.
    with np.errstate(over="ignore"):  # Refused below, with the row.
        converted: FloatArray = np.require(array, np.float32, ["C", "W"])
    # Only a wider type can hold what float32 can't.
    if array.dtype.itemsize > converted.dtype.itemsize:
        lost = np.argwhere(np.isinf(converted) & np.isfinite(array))
        if lost.size:
            raise DataError(
                f"{where}, key '{key}', row {lost[0][0]}: {array[tuple(lost[0])]:g} is not finite "
                "in float32, in which features are kept; rescale that feature"
            )
    return converted


def _to_array(where: str, key: str, value: object) -> NDArray[np.generic]:
    try:
        return np.asarray(value)
    except ValueError as error:  # Rows of different shapes.
        rows = value if isinstance(value, list | tuple) else []
        raise DataError(
            f"{where}, key '{key}'{_first_odd_row(rows)}; pad the rows to one array [N, T, d] "
            f"and give their frames as '{key}_lengths'"
        ) from error


def _first_odd_row(rows: Iterable[object]) -> str:
    shapes = [_shape_of(row) for row in rows]
    for row, shape in enumerate(shapes):
        if shape is None:
            return f", row {row}: its frames differ in width"
        if shape != shapes[0]:
            return f", row {row}: shape {shape}, but row 0 has {shapes[0]}"
    return ": its rows differ in shape"


def _shape_of(row: object) -> tuple[int, ...] | None:
    try:
        return np.asarray(row).shape
    except ValueError:
        return None


def _check_rows(where: str, key: str, found: int, rows: int) -> None:
    if found != rows:
        raise DataError(
            f"{where}, key '{key}': {found} rows, but '{LABEL_KEY}' has {rows}; "
            "row n of every key must be the same utterance"
        )


def _list_names(names: Iterable[object]) -> str:
    return ", ".join(f"'{name}'" for name in names) or "nothing"


def _suggest_renaming(name: str, present: Iterable[object]) -> str:
    """Return a hint where a split is there under another of its usual names."""
    for other in map(str, present):
        if other.lower() == name or other.lower() in _OTHER_NAMES[name]:
            return f"; rename '{other}' to '{name}'"
    return did_you_mean(name, map(str, present))
