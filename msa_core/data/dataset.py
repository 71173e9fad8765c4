"""The one shape that every source of data is brought into, checked once."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from msa_core.config.fields import LABEL_SCHEMES, MODALITIES
from msa_core.config.on_data import DataFacts
from spaces.core import DataError

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Split:
    """Some utterances; row n of every array is the same utterance.

    Attributes:
        name: `train`, `valid` or `test`.
        ids: N stable names, unique over the whole data set.
        features: Modality -> float32 [N, T, d], zero padded; an absent modality has no key.
        lengths: Modality -> int64 [N], valid frames of each row, 0..T.
        labels: Array float32 [N], inside the label scheme's bounds.
        unimodal_labels: Modality -> float32 [N], where the data has them.
    """

    name: str
    ids: tuple[str, ...]
    features: Mapping[str, FloatArray]
    lengths: Mapping[str, IntArray]
    labels: FloatArray
    unimodal_labels: Mapping[str, FloatArray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, kw_only=True)
class Splits:
    """The splits that a training may see: no test split, by construction."""

    train: Split
    valid: Split
    scheme: str


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A whole data set. Only evaluation and `analysis.kinds_of_utterances` read `test`.

    Attributes:
        source: Name for messages: that of the file, or `planted`.
        fingerprint: Hex digest of the contents; equal contents in another file format are equal.
    """

    source: str
    splits: Splits
    test: Split
    fingerprint: str

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities that the data has, in the order of `MODALITIES`."""
        return tuple(name for name in MODALITIES if name in self.splits.train.features)

    @property
    def facts(self) -> DataFacts:
        """What configurations are restricted to, and checked against."""
        return DataFacts(
            modalities=self.modalities, annotated=tuple(self.splits.train.unimodal_labels)
        )

    @property
    def counts(self) -> dict[str, int]:
        """Name of each split -> number of its utterances."""
        splits = (self.splits.train, self.splits.valid, self.test)
        return {split.name: len(split) for split in splits}

    @property
    def test_labels(self) -> FloatArray:
        """Labels of the test split [N]."""
        return self.test.labels


def assemble_dataset(source: str, scheme: str, splits: Mapping[str, Split]) -> Dataset:
    """Check three splits against each other and put them together.

    Args:
        source: Name of the data in messages.
        scheme: Key of `LABEL_SCHEMES`.
        splits: `train`, `valid` and `test`.

    Raises:
        DataError: Anything wrong; nothing is repaired silently.
    """
    for split in splits.values():
        _check_split(source, scheme, split)
    _check_agreement(source, splits)
    return Dataset(
        source=source,
        splits=Splits(train=splits["train"], valid=splits["valid"], scheme=scheme),
        test=splits["test"],
        fingerprint=_hash_contents(scheme, splits),
    )


def _check_split(source: str, scheme: str, split: Split) -> None:
    where = f"{source}: split '{split.name}'"
    for key, array in split.features.items():
        _check_finite(where, key, array)
    for key, lengths in split.lengths.items():
        steps = split.features[key].shape[1]
        bad = np.flatnonzero((lengths < 0) | (lengths > steps))
        if bad.size:
            raise DataError(
                f"{where}, key '{key}_lengths', row {bad[0]}: {lengths[bad[0]]} frames, "
                f"but the features have 0 to {steps}"
            )
    bound = LABEL_SCHEMES[scheme].bound
    _check_labels(where, "regression_labels", split.labels, scheme, bound)
    for modality, labels in split.unimodal_labels.items():
        _check_labels(where, f"regression_labels_{modality[0].upper()}", labels, scheme, bound)


def _check_labels(where: str, key: str, labels: FloatArray, scheme: str, bound: float) -> None:
    _check_finite(where, key, labels)
    bad = np.flatnonzero(np.abs(labels) > bound + 1e-6)
    if bad.size:
        raise DataError(
            f"{where}, key '{key}', row {bad[0]}: {labels[bad[0]]:g} is outside "
            f"[-{bound:g}, {bound:g}] of the '{scheme}' labels; is 'data.labels' right?"
        )


def _check_finite(where: str, key: str, array: FloatArray) -> None:
    rows = np.flatnonzero(~np.isfinite(array).all(axis=tuple(range(1, array.ndim))))
    if rows.size:
        more = f" and {rows.size - 1} more rows" if rows.size > 1 else ""
        raise DataError(
            f"{where}, key '{key}', row {rows[0]}{more}: holds NaN or infinity; "
            "replace those values or drop those utterances"
        )


def _check_agreement(source: str, splits: Mapping[str, Split]) -> None:
    train = splits["train"]
    for split in splits.values():
        if set(split.features) != set(train.features):
            raise DataError(
                f"{source}: split '{split.name}' has {sorted(split.features)}, "
                f"but train has {sorted(train.features)}"
            )
        for key, array in split.features.items():
            if array.shape[2] != train.features[key].shape[2]:
                raise DataError(
                    f"{source}: split '{split.name}', key '{key}': {array.shape[2]} features "
                    f"a frame, but train has {train.features[key].shape[2]}"
                )
    seen: dict[str, str] = {}
    for split in splits.values():
        for name in split.ids:
            if name in seen:
                raise DataError(
                    f"{source}: utterance '{name}' is in split '{seen[name]}' and again in "
                    f"'{split.name}'; an utterance seen twice would leak into the test"
                )
            seen[name] = split.name


def _hash_contents(scheme: str, splits: Mapping[str, Split]) -> str:
    digest = hashlib.sha256(scheme.encode())
    # Sorted: the order in which a file lists splits and keys is no difference of contents. The ids
    # are left out: names of utterances change no training.
    for name in sorted(splits):
        split = splits[name]
        arrays = {
            **{f"features.{key}": array for key, array in split.features.items()},
            **{f"lengths.{key}": array for key, array in split.lengths.items()},
            **{f"unimodal.{key}": array for key, array in split.unimodal_labels.items()},
            "labels": split.labels,
        }
        for key in sorted(arrays):
            # Type and shape too: the same bytes may be other values.
            array = np.ascontiguousarray(arrays[key])
            digest.update(f"{name}.{key}:{array.dtype}{array.shape}".encode())
            digest.update(array.data)
    return digest.hexdigest()
