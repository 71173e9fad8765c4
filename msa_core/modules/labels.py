"""Self-supervised unimodal labels (ULGM).

Shapes: N utterances of train, B of a batch, H = width of a head's hidden layer. The member names
are the modalities of the model and `multimodal`.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

MULTIMODAL = "multimodal"
RATIO_EPSILON = 1e-8


def relative_distance(hidden_BH: Tensor, positive_H: Tensor, negative_H: Tensor) -> Tensor:
    """How much nearer a vector is to the positive centre: (d- - d+) / (d+ + 1e-8), [B]."""
    nearer_B = torch.linalg.vector_norm(hidden_BH - positive_H, dim=1)
    farther_B = torch.linalg.vector_norm(hidden_BH - negative_H, dim=1)
    relative_B: Tensor = (farther_B - nearer_B) / (nearer_B + RATIO_EPSILON)
    return relative_B


def proposed_labels(labels_B: Tensor, own_B: Tensor, multimodal_B: Tensor, bound: float) -> Tensor:
    """The label that the two relative distances suggest for a modality, clamped, [B].

    0.5 * ratio * y + 0.5 * (y + own - multimodal), with ratio = own / (multimodal + 1e-8).
    """
    ratio_B = own_B / (multimodal_B + RATIO_EPSILON)
    return (0.5 * ratio_B * labels_B + 0.5 * (labels_B + own_B - multimodal_B)).clamp(-bound, bound)


def moving_average(current_B: Tensor, proposed_B: Tensor, epoch: int) -> Tensor:
    """Labels after epoch n: (n - 1) / (n + 1) of the old and 2 / (n + 1) of the proposed."""
    return ((epoch - 1) * current_B + 2.0 * proposed_B) / (epoch + 1)


class LabelGenerator:
    """The unimodal label generation module of Self-MM: labels that follow the representations.

    Starts from the multimodal label for every modality. From epoch 2 on, each batch moves its
    rows' labels by the position of their hidden vectors between the centres of the positive and
    of the negative utterances. The rule is written for trainings whose epochs visit every row.
    Source: Yu et al. 2021 (Self-MM), as in the public MMSA code; gradients are not accumulated
        over four batches as there.
    """

    def __init__(self, labels_N: Tensor, widths: Mapping[str, int], bound: float) -> None:
        """Start from the multimodal labels.

        Args:
            labels_N: multimodal labels of train.
            widths: member -> H, `multimodal` included.
            bound: labels are kept in [-bound, bound].
        """
        self.bound = bound
        self.labels = {name: labels_N.clone() for name in widths}
        self.hidden = {name: labels_N.new_zeros(len(labels_N), H) for name, H in widths.items()}
        self.centres = {name: (vectors[0], vectors[0]) for name, vectors in self.hidden.items()}

    @property
    def state(self) -> dict[str, Any]:
        """Its tensors, as a tree that `torch.func.vmap` can batch over the members of a pack."""
        return {"labels": self.labels, "hidden": self.hidden, "centres": self.centres}

    @classmethod
    def of(cls, state: Mapping[str, Any], bound: float) -> "LabelGenerator":
        """The generator with these tensors, which it changes in place."""
        generator = cls.__new__(cls)
        generator.bound = bound
        generator.labels = dict(state["labels"])
        generator.hidden = dict(state["hidden"])
        generator.centres = dict(state["centres"])
        return generator

    def weights(self, modality: str, rows_B: Tensor) -> Tensor:
        """How far each row's own label is from the multimodal one: tanh |Y_s - Y_M|, [B]."""
        difference_B = self.labels[modality][rows_B] - self.labels[MULTIMODAL][rows_B]
        return torch.tanh(difference_B.abs())

    def update(self, epoch: int, rows_B: Tensor, hidden: Mapping[str, Tensor]) -> None:
        """Move the labels of a batch (from epoch 2 on), then its hidden vectors and the centres.

        Args:
            epoch: counts from 1.
            rows_B: rows of train.
            hidden: member -> [B, H].
        """
        detached = {name: vectors.detach() for name, vectors in hidden.items()}
        if epoch > 1:
            self._move_labels(epoch, rows_B, detached)
        for name, vectors_BH in detached.items():
            self.hidden[name][rows_B] = vectors_BH
            positive_N = self.labels[name] > 0
            negative_N = self.labels[name] < 0
            self.centres[name] = (
                _mean_of(self.hidden[name], positive_N),
                _mean_of(self.hidden[name], negative_N),
            )

    def _move_labels(self, epoch: int, rows_B: Tensor, hidden: Mapping[str, Tensor]) -> None:
        nearness = {
            name: relative_distance(vectors, *self.centres[name])
            for name, vectors in hidden.items()
        }
        multimodal_B = self.labels[MULTIMODAL][rows_B]
        for name in hidden:
            if name != MULTIMODAL:
                proposed_B = proposed_labels(
                    multimodal_B, nearness[name], nearness[MULTIMODAL], self.bound
                )
                self.labels[name][rows_B] = moving_average(
                    self.labels[name][rows_B], proposed_B, epoch
                )


def _mean_of(rows_NH: Tensor, chosen_N: Tensor) -> Tensor:
    """Mean of the chosen rows, [H]; zeros where none is chosen."""
    weight_N1 = chosen_N[:, None].to(rows_NH.dtype)
    return (rows_NH * weight_N1).sum(dim=0) / weight_N1.sum().clamp(min=1.0)
