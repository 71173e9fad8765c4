"""Self-supervised unimodal labels (ULGM).

Shapes: N utterances of train, B of a batch, H = width of a head's hidden layer. The member names
are the modalities of the model and `multimodal`.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from msa_core.config.unimodal import UlgmConfig

MULTIMODAL = "multimodal"
RATIO_EPSILON = 1e-8


def relative_distance(hidden_BH: Tensor, positive_H: Tensor, negative_H: Tensor) -> Tensor:
    """Measure how much nearer a vector is to the positive centre: (d- - d+) / (d+ + 1e-8), [B]."""
    nearer_B = torch.linalg.vector_norm(hidden_BH - positive_H, dim=1)
    farther_B = torch.linalg.vector_norm(hidden_BH - negative_H, dim=1)
    relative_B: Tensor = (farther_B - nearer_B) / (nearer_B + RATIO_EPSILON)
    return relative_B


def proposed_labels(labels_B: Tensor, own_B: Tensor, multimodal_B: Tensor, bound: float) -> Tensor:
    """Compute the label that two relative distances suggest for a modality, clamped, [B].

    0.5 * ratio * y + 0.5 * (y + own - multimodal), with ratio = own / (multimodal + 1e-8).
    """
    ratio_B = own_B / (multimodal_B + RATIO_EPSILON)
    return (0.5 * ratio_B * labels_B + 0.5 * (labels_B + own_B - multimodal_B)).clamp(-bound, bound)


def moving_average(current_B: Tensor, proposed_B: Tensor, epoch: int) -> Tensor:
    """Average labels after epoch n: (n - 1) / (n + 1) of the old, 2 / (n + 1) of the proposed."""
    return ((epoch - 1) * current_B + 2.0 * proposed_B) / (epoch + 1)


def fresh_labels(labels_N: Tensor, widths: Mapping[str, int]) -> dict[str, Any]:
    """Return the state of a generator before the first epoch: all have the multimodal labels.

    Args:
        labels_N: Multimodal labels of train.
        widths: Modality or `multimodal` -> H.
    """
    hidden = {name: labels_N.new_zeros(len(labels_N), H) for name, H in widths.items()}
    return {
        "labels": {name: labels_N.clone() for name in widths},
        "hidden": hidden,
        "centres": {name: (vectors[0], vectors[0]) for name, vectors in hidden.items()},
        "clamped": {name: labels_N.new_zeros(()) for name in widths if name != MULTIMODAL},
    }


class LabelGenerator:
    """The unimodal label generation module of Self-MM: labels that follow the representations.

    Starts from the multimodal label for every modality. From epoch `start` on (2 in the paper),
    each batch moves its rows' labels by the position of their hidden vectors between the centres of
    the positive and of the negative utterances. A later start does not make up for the moves that
    it missed: epoch n always moves a label by 2 / (n + 1) of the way. The rule is written for
    trainings whose epochs visit every row.

    Formula: Y_s <- ((n - 1) Y_s + 2 clamp(0.5 (d_s / d_M) y + 0.5 (y + d_s - d_M))) / (n + 1).
    """

    def __init__(
        self, state: Mapping[str, Any], bound: float, options: UlgmConfig | None = None
    ) -> None:
        """Create a generator of these tensors, which it changes in place.

        Args:
            state: Result of `fresh_labels`, or the `state` of another generator.
            bound: Largest absolute label; labels are kept within it.
            options: Options of the rule; None = the defaults.
        """
        self.bound = bound
        self.options = options or UlgmConfig()
        self.labels = dict(state["labels"])
        self.hidden = dict(state["hidden"])
        self.centres = dict(state["centres"])
        self.clamped = dict(state["clamped"])

    @property
    def state(self) -> dict[str, Any]:
        """Tensors of the generator, as a pytree that `torch.func.vmap` can batch over members."""
        return {
            "labels": self.labels,
            "hidden": self.hidden,
            "centres": self.centres,
            "clamped": self.clamped,
        }

    def row_weights(self, modality: str, rows_B: Tensor) -> Tensor:
        """Weigh each row's own label: tanh |Y_s - Y_M| or, constant, 1; [B]."""
        difference_B = self.labels[modality][rows_B] - self.labels[MULTIMODAL][rows_B]
        if self.options.weighting == "constant":
            return torch.ones_like(difference_B)
        return torch.tanh(difference_B.abs())

    def start_epoch(self) -> None:
        """Count clamped proposals anew."""
        self.clamped = {name: torch.zeros_like(count) for name, count in self.clamped.items()}

    def summarise_labels(self, modality: str, true_N: Tensor | None = None) -> dict[str, float]:
        """Summarise a modality's labels at an epoch's end.

        Args:
            modality: Modality of the labels.
            true_N: Labels of that modality in the data, if there are any.

        Returns:
            `clamp_rate`: rows whose proposal hit the bound in this epoch, as a share of all (0 in
            epochs that move no label). `mean_weight`: over all rows. `label_corr`: Pearson with
            the data's own labels; absent without any, and where it is undefined.
        """
        labels_N = self.labels[modality]
        weights_N = self.row_weights(modality, torch.arange(len(labels_N), device=labels_N.device))
        found = {
            "clamp_rate": float(self.clamped[modality]) / len(labels_N),
            "mean_weight": float(weights_N.double().mean()),
        }
        corr = _pearson_correlation(labels_N, true_N) if true_N is not None else math.nan
        return found if math.isnan(corr) else {**found, "label_corr": corr}

    def update(self, epoch: int, rows_B: Tensor, hidden: Mapping[str, Tensor]) -> None:
        """Move a batch's labels (from epoch `start` on), then its hidden vectors and the centres.

        Args:
            epoch: Number of the epoch, from 1.
            rows_B: Rows of train in the batch.
            hidden: Modality or `multimodal` -> hidden vectors [B, H].
        """
        detached = {name: vectors.detach() for name, vectors in hidden.items()}
        # Labels first: the rule moves them by the centres of the steps before.
        if epoch >= self.options.start:
            self._move_labels(epoch, rows_B, detached)
        for name, vectors_BH in detached.items():
            self.hidden[name][rows_B] = vectors_BH
            positive_N = self.labels[name] > 0
            negative_N = self.labels[name] < 0
            self.centres[name] = (
                _mean_rows(self.hidden[name], positive_N),
                _mean_rows(self.hidden[name], negative_N),
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
                hits = (proposed_B.abs() >= self.bound).sum()
                self.clamped[name] = self.clamped[name] + hits


def _mean_rows(rows_NH: Tensor, chosen_N: Tensor) -> Tensor:
    """Average the chosen rows, [H]; zeros where none is chosen."""
    # Weights and not an index: how many rows are chosen differs between members of a pack.
    weight_N1 = chosen_N[:, None].to(rows_NH.dtype)
    return (rows_NH * weight_N1).sum(dim=0) / weight_N1.sum().clamp(min=1.0)


def _pearson_correlation(first_N: Tensor, second_N: Tensor) -> float:
    """Compute Pearson's correlation; NaN where one of the two is constant."""
    centred = [values.double() - values.double().mean() for values in (first_N, second_N)]
    norm = torch.linalg.vector_norm(centred[0]) * torch.linalg.vector_norm(centred[1])
    return float(centred[0] @ centred[1] / norm) if float(norm) > 0 else math.nan
