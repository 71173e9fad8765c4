"""Splits as tensors: standardised, pooled where a model only wants the mean, cut into batches.

Shapes: K members of a pack, N utterances of a split, B of a batch, T steps, D features.
"""

import dataclasses
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from msa_core.config.rules import pools_frames
from msa_core.config.schema import Config
from msa_core.data.dataset import FloatArray, Split
from msa_core.tensors.pytrees import map_tensors


@dataclass(frozen=True, slots=True)
class Scaler:
    """Mean and standard deviation of every feature over the valid frames of train.

    Attributes:
        mean, std: Modality -> float32 [D]. A feature that is constant in train has std 1.
    """

    mean: Mapping[str, FloatArray]
    std: Mapping[str, FloatArray]

    @staticmethod
    def fit(train: Split, modalities: tuple[str, ...], standardise: bool) -> "Scaler":
        """Fit on train, or return the identity."""
        mean, std = {}, {}
        for modality in modalities:
            width = train.features[modality].shape[2]
            mean[modality] = np.zeros(width, np.float32)
            std[modality] = np.ones(width, np.float32)
            if standardise:
                # float64: sums over all frames of a split lose digits in float32.
                frames = train.features[modality][_valid_frames(train, modality)].astype(np.float64)
                if len(frames):
                    # A feature that is constant in train but for rounding must not be blown up.
                    spread = frames.std(axis=0)
                    mean[modality] = frames.mean(axis=0).astype(np.float32)
                    std[modality] = np.where(spread > 1e-6, spread, 1.0).astype(np.float32)
        return Scaler(mean=mean, std=std)


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows of a split on one device; in a pack every tensor has a leading axis of K members.

    Attributes:
        features: Modality -> [B, T, D], zero where padded; [B, D] where pooled.
        lengths: Modality -> [B], valid frames; only modalities that are not pooled.
        labels: Labels [B].
        unimodal_labels: Modality -> [B], where there are any.
        rows: Row numbers [B] in the split; stable over epochs.
        unimodal_weights: Modality -> [B], weight of a row's unimodal label (`ulgm` only).
        present: Modality -> [B], 1 where it is there, else 0; empty = all are.
    """

    features: Mapping[str, Tensor]
    lengths: Mapping[str, Tensor]
    labels: Tensor
    unimodal_labels: Mapping[str, Tensor]
    rows: Tensor
    unimodal_weights: Mapping[str, Tensor] = field(default_factory=dict)
    present: Mapping[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: Tensor) -> "Batch":
        """Take rows of a whole split: rows [B] give [B, ...], rows [K, B] give [K, B, ...]."""
        return Batch(**map_tensors(lambda array: take_rows(array, rows), self.to_pytree()))

    def trim_padding(self) -> "Batch":
        """Drop the steps that are padding in every row of the batch; rows are [B] or [1, B]."""
        features = dict(self.features)
        for name, lengths in self.lengths.items():
            frames = features[name]
            longest = max(1, int(lengths.max()))
            # From the end: a pack's features have an axis of members in front.
            features[name] = frames.narrow(-2, 0, min(longest, frames.shape[-2]))
        return dataclasses.replace(self, features=features)

    def to_pytree(self) -> dict[str, Any]:
        """Return a tree of tensors for `torch.func.vmap`; `Batch(**tree)` undoes it."""
        return {part.name: getattr(self, part.name) for part in dataclasses.fields(self)}


def take_rows(array_N: Tensor, rows: Tensor) -> Tensor:
    """Take rows of an array [N, ...]: rows [B] give [B, ...], rows [K, B] give [K, B, ...]."""
    # Much faster than indexing with a tensor of two axes.
    return array_N.index_select(0, rows.flatten()).view(*rows.shape, *array_N.shape[1:])


def prepare_batch(split: Split, scaler: Scaler, config: Config, device: torch.device) -> Batch:
    """Prepare a whole split as one batch, with everything done that no parameter changes.

    A modality whose encoder only reads the mean over time is pooled here, once, instead of at
    every step: its features become [N, D].
    """
    features = {
        modality: to_tensor(
            prepared_features(split, scaler, modality, pools_frames(config, modality)), device
        )
        for modality in scaler.mean
    }
    return whole_batch(split, features, device)


def batch_sizes(rows: int, size: int) -> list[int]:
    """Return the number of utterances in each step of an epoch.

    A last batch of a single row joins the one before it, since a covariance needs two.
    """
    sizes = [size] * (rows // size) + ([rows % size] if rows % size else [])
    if len(sizes) > 1 and sizes[-1] == 1:
        sizes[-2:] = [sizes[-2] + 1]
    return sizes


def prepared_features(split: Split, scaler: Scaler, modality: str, pooled: bool) -> FloatArray:
    """Return scaled features of a modality: [N, D] if pooled, else [N, T, D] to the longest row."""
    length = split.lengths[modality]
    steps = max(1, int(length.max(initial=0)))
    frames = (split.features[modality][:, :steps] - scaler.mean[modality]) / scaler.std[modality]
    # After scaling, which makes padding -mean / std.
    frames[~_valid_frames(split, modality)[:, :steps]] = 0.0
    if pooled:
        # A row without a valid frame is 0, not 0 / 0.
        frames = frames.sum(axis=1) / np.maximum(length, 1)[:, None]
    prepared: FloatArray = frames.astype(np.float32, copy=False)
    return prepared


def whole_batch(split: Split, features: Mapping[str, Tensor], device: torch.device) -> Batch:
    """Return a split as one batch, its features being prepared already."""
    return Batch(
        features=features,
        lengths={
            name: torch.tensor(split.lengths[name], device=device)
            for name, array in features.items()
            if array.dim() == 3
        },
        labels=torch.tensor(split.labels, device=device),
        unimodal_labels={
            name: torch.tensor(labels, device=device)
            for name, labels in split.unimodal_labels.items()
        },
        rows=torch.arange(len(split), device=device),
    )


def to_tensor(array: FloatArray, device: torch.device) -> Tensor:
    """Return an array as a tensor of that device.

    On the CPU it is the array's own memory, which may belong to other processes too: it must
    not be written.
    """
    with warnings.catch_warnings():
        # Nothing writes to features, and arrays of the cache are mapped read-only.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        tensor = torch.from_numpy(array)
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def _valid_frames(split: Split, modality: str) -> "np.ndarray[tuple[int, int], np.dtype[np.bool_]]":
    steps = split.features[modality].shape[1]
    mask: np.ndarray[tuple[int, int], np.dtype[np.bool_]] = (
        np.arange(steps)[None, :] < split.lengths[modality][:, None]
    )
    return mask
