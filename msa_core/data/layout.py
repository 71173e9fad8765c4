"""The field's names for the arrays of a split, and how they become a checked `Split`.

The names are those of the MMSA feature files (github.com/thuiar/MMSA); every reader hands its
arrays over under them, so that a wrong file gets the same message whatever its format.

Letters in shapes: N utterances, T frames, d features a frame.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from msa_core.config.paths import nearest
from msa_core.config.schema import LABEL_SCHEMES, MODALITIES
from msa_core.data.dataset import DataError, Dataset, FloatArray, IntArray, Split, assemble

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


def by_split(
    source: str, names: Iterable[str], keys: Collection[str], read: Callable[[str], object]
) -> SplitValues:
    """Sort arrays named `<split>.<key>` or `<split>/<key>` by split and key.

    Args:
        source: names the data in messages.
        names: the names of all arrays.
        keys: those that are read.
        read: gives the array of a name.

    Raises:
        DataError: the array of a split and key is there under both names.
    """
    splits: SplitValues = {}
    for name in names:
        split, _, key = re.sub(r"[./]", "\0", name, count=1).partition("\0")
        values = splits.setdefault(split, {})
        if key in values:
            raise DataError(f"{source}: split '{split}', key '{key}': given twice")
        values[key] = read(name) if split in SPLITS and key in keys else None
    return splits


def named_arrays(dataset: Dataset) -> dict[str, NDArray[np.generic]]:
    """The arrays of a data set under their names `<split>.<key>`; the ids are no numbers."""
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
        source: names the data in messages.
        scheme: a key of `LABEL_SCHEMES`.
        splits: split -> key -> values; see `to_split`. Further splits are ignored.

    Raises:
        DataError: an unknown scheme, a missing split, or anything wrong in a split.
    """
    if scheme not in LABEL_SCHEMES:
        known = ", ".join(LABEL_SCHEMES)
        hint = nearest(scheme, LABEL_SCHEMES)
        raise DataError(f"{source}: '{scheme}' is no label scheme; there are {known}{hint}")
    for name in SPLITS:
        if name not in splits:
            raise DataError(
                f"{source}: split '{name}' is missing; {', '.join(SPLITS)} are needed, "
                f"but the file has {_listed(splits)}{_renaming(name, splits)}"
            )
    checked = {name: to_split(source, name, splits[name]) for name in SPLITS}
    return assemble(source, scheme, checked)


def to_split(source: str, name: str, mapping: Mapping[str, object]) -> Split:
    """Bring the values of one split into the one shape.

    Args:
        source: names the data in messages.
        name: `train`, `valid` or `test`.
        mapping: key -> array or nested list. `regression_labels` [N] and at least one of text,
            audio and vision ([N, T, d], or [N, d] for T = 1) are needed. `id` [N] is made up as
            `<split>/<row>` where absent, `<modality>_lengths` [N] as T. `regression_labels_T`,
            `_A` and `_V` [N] are the modalities' own labels. Other keys are ignored.

    Returns:
        Values of the right type and number of rows; `assemble` checks the rest.

    Raises:
        DataError: the message names the split, the key and, where there is one, the row.
    """
    where = f"{source}: split '{name}'"
    if LABEL_KEY not in mapping:
        hint = nearest(LABEL_KEY, mapping)
        raise DataError(f"{where} has no '{LABEL_KEY}', only {_listed(mapping)}{hint}")
    labels = _column(where, LABEL_KEY, mapping[LABEL_KEY])
    rows = len(labels)
    if rows == 0:
        raise DataError(f"{where} is empty; every split needs at least one utterance")
    features = {
        modality: _features(where, modality, mapping[modality], rows)
        for modality in MODALITIES
        if modality in mapping
    }
    if not features:
        raise DataError(
            f"{where} has none of {', '.join(MODALITIES)}, only {_listed(mapping)}; "
            "at least one modality is needed under its own name"
        )
    return Split(
        name=name,
        ids=_ids(where, name, mapping[ID_KEY], rows)
        if ID_KEY in mapping
        else tuple(f"{name}/{row}" for row in range(rows)),
        features=features,
        lengths={
            modality: _lengths(where, key, mapping[key], rows)
            if (key := LENGTH_KEYS[modality]) in mapping
            else np.full(rows, array.shape[1], dtype=np.int64)
            for modality, array in features.items()
        },
        labels=labels,
        unimodal_labels={
            modality: _column(where, key, mapping[key], rows)
            for modality, key in UNIMODAL_KEYS.items()
            if modality in features and key in mapping
        },
    )


def _features(where: str, key: str, value: object, rows: int) -> FloatArray:
    array = _numbers(where, key, value)
    if array.ndim not in (2, 3):
        raise DataError(
            f"{where}, key '{key}': shape {array.shape}, but [N, T, d] or [N, d] is needed"
        )
    _check_rows(where, key, len(array), rows)
    return array[:, np.newaxis, :] if array.ndim == 2 else array


def _column(where: str, key: str, value: object, rows: int | None = None) -> FloatArray:
    """One number an utterance, [N]; [N, 1] is the same."""
    array = _numbers(where, key, value)
    if array.ndim == 0 or array.size != len(array):
        raise DataError(
            f"{where}, key '{key}': shape {array.shape}, but [N] is needed, one number an utterance"
        )
    if rows is not None:
        _check_rows(where, key, len(array), rows)
    return array.reshape(len(array))


def _lengths(where: str, key: str, value: object, rows: int) -> IntArray:
    array = _column(where, key, value, rows)
    bad = np.flatnonzero(~np.isfinite(array) | (array != np.floor(array)))
    if bad.size:
        raise DataError(
            f"{where}, key '{key}', row {bad[0]}: {array[bad[0]]:g} is not a whole number of frames"
        )
    return array.astype(np.int64)


def _ids(where: str, name: str, value: object, rows: int) -> tuple[str, ...]:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        # In one array each would take as much room as the longest.
        _check_rows(where, ID_KEY, len(value), rows)
        return tuple(value)
    array = _array(where, ID_KEY, value)
    if array.ndim != 1 or array.dtype.kind not in "Uiu":
        raise DataError(
            f"{where}, key '{ID_KEY}': {array.dtype} values of shape {array.shape}, but one name "
            f"an utterance is needed, as text [N]; without the key, they are '{name}/0', ..."
        )
    _check_rows(where, ID_KEY, len(array), rows)
    return tuple(str(item) for item in array.tolist())


def _numbers(where: str, key: str, value: object) -> FloatArray:
    """Any integers or floats as writable, contiguous float32."""
    array = _array(where, key, value)
    if array.dtype.kind not in "iuf":
        raise DataError(
            f"{where}, key '{key}': holds {array.dtype} values, but numbers (integer or float) "
            "are needed"
        )
    with np.errstate(over="ignore"):  # Said below, with the row.
        converted: FloatArray = np.require(array, np.float32, ["C", "W"])
    if array.dtype.itemsize > converted.dtype.itemsize:
        lost = np.argwhere(np.isinf(converted) & np.isfinite(array))
        if lost.size:
            raise DataError(
                f"{where}, key '{key}', row {lost[0][0]}: {array[tuple(lost[0])]:g} is not finite "
                "in float32, in which features are kept; rescale that feature"
            )
    return converted


def _array(where: str, key: str, value: object) -> NDArray[np.generic]:
    try:
        return np.asarray(value)
    except ValueError as error:  # Rows of different shapes.
        rows = value if isinstance(value, list | tuple) else []
        raise DataError(
            f"{where}, key '{key}'{_first_odd_row(rows)}; pad the rows to one array [N, T, d] "
            f"and give their frames as '{key}_lengths'"
        ) from error


def _first_odd_row(rows: Iterable[object]) -> str:
    shapes = [_shape(row) for row in rows]
    for row, shape in enumerate(shapes):
        if shape is None:
            return f", row {row}: its frames differ in width"
        if shape != shapes[0]:
            return f", row {row}: shape {shape}, but row 0 has {shapes[0]}"
    return ": its rows differ in shape"


def _shape(row: object) -> tuple[int, ...] | None:
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


def _listed(names: Iterable[object]) -> str:
    return ", ".join(f"'{name}'" for name in names) or "nothing"


def _renaming(name: str, present: Iterable[object]) -> str:
    """A hint where a split is there under another of its usual names."""
    for other in map(str, present):
        if other.lower() == name or other.lower() in _OTHER_NAMES[name]:
            return f"; rename '{other}' to '{name}'"
    return nearest(name, map(str, present))
