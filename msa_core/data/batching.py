"""Splits as tensors: standardised, pooled where a model only wants the mean, cut into batches.

Shapes: N utterances of a split, B of a batch, T steps, D features.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from msa_core.config import Config
from msa_core.data.dataset import FloatArray, Split


@dataclass(frozen=True, slots=True)
class Scaler:
    """Mean and standard deviation of every feature over the valid frames of train.

    Attributes:
        mean, std: modality -> float32 [D]. A feature that is constant in train has std 1.
    """

    mean: Mapping[str, FloatArray]
    std: Mapping[str, FloatArray]

    @staticmethod
    def fit(train: Split, modalities: tuple[str, ...], standardise: bool) -> "Scaler":
        """Fitted on train, or the identity."""
        mean, std = {}, {}
        for modality in modalities:
            width = train.features[modality].shape[2]
            mean[modality] = np.zeros(width, np.float32)
            std[modality] = np.ones(width, np.float32)
            if standardise:
                frames = train.features[modality][_mask(train, modality)].astype(np.float64)
                if len(frames):
                    spread = frames.std(axis=0)
                    mean[modality] = frames.mean(axis=0).astype(np.float32)
                    std[modality] = np.where(spread > 1e-6, spread, 1.0).astype(np.float32)
        return Scaler(mean=mean, std=std)


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows of a split on one device.

    Attributes:
        features: modality -> [B, T, D], zero where padded.
        lengths: modality -> [B], valid frames.
        labels: [B].
        unimodal_labels: modality -> [B], where the data has them.
        rows: [B], row numbers in the split; stable over epochs.
    """

    features: Mapping[str, Tensor]
    lengths: Mapping[str, Tensor]
    labels: Tensor
    unimodal_labels: Mapping[str, Tensor]
    rows: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: Tensor) -> "Batch":
        """These rows of this batch."""
        return Batch(
            features={name: array[rows] for name, array in self.features.items()},
            lengths={name: array[rows] for name, array in self.lengths.items()},
            labels=self.labels[rows],
            unimodal_labels={name: array[rows] for name, array in self.unimodal_labels.items()},
            rows=self.rows[rows],
        )


def prepare(split: Split, scaler: Scaler, config: Config, device: torch.device) -> Batch:
    """A whole split as one batch, with everything done that no parameter changes.

    A modality whose encoder only reads the mean over time is pooled here, once, instead of at
    every step: its features become [N, 1, D].
    """
    features, lengths = {}, {}
    for modality in scaler.mean:
        scaled = (split.features[modality] - scaler.mean[modality]) / scaler.std[modality]
        frames = np.where(_mask(split, modality)[:, :, None], scaled, np.float32(0))
        length = split.lengths[modality]
        if getattr(config.model, modality).encoder == "mean_mlp":
            frames = frames.sum(axis=1, keepdims=True) / np.maximum(length, 1)[:, None, None]
            length = np.minimum(length, 1)
        features[modality] = torch.from_numpy(frames.astype(np.float32)).to(device)
        lengths[modality] = torch.tensor(length, device=device)
    return Batch(
        features=features,
        lengths=lengths,
        labels=torch.tensor(split.labels, device=device),
        unimodal_labels={
            name: torch.tensor(labels, device=device)
            for name, labels in split.unimodal_labels.items()
        },
        rows=torch.arange(len(split), device=device),
    )


def shuffled(whole: Batch, size: int, generator: torch.Generator) -> Iterator[Batch]:
    """The rows of a split in random order, in batches of `size`.

    A last batch of a single row joins the one before it, since a covariance needs two.
    """
    order = torch.randperm(len(whole), generator=generator, device=generator.device)
    chunks = list(torch.split(order, size))
    if len(chunks) > 1 and len(chunks[-1]) == 1:
        chunks[-2:] = [torch.cat(chunks[-2:])]
    for rows in chunks:
        yield whole.take(rows)


def _mask(split: Split, modality: str) -> "np.ndarray[tuple[int, int], np.dtype[np.bool_]]":
    steps = split.features[modality].shape[1]
    mask: np.ndarray[tuple[int, int], np.dtype[np.bool_]] = (
        np.arange(steps)[None, :] < split.lengths[modality][:, None]
    )
    return mask
