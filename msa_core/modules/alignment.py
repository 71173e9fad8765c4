"""Pair alignment: a loss on two modalities' representations of the same utterances.

Shapes: B utterances, D = width of a projected modality. Every measure is a distance: 0 when the
two are aligned, and never negative.
"""

from collections.abc import Callable

import torch
from torch import Tensor

Measure = Callable[[Tensor, Tensor], Tensor]


def covariance_alignment(first_BD: Tensor, second_BD: Tensor) -> Tensor:
    """Squared distance of two modalities' covariances: ||C_p - C_q||_F^2 / (4 D^2).

    It compares distributions and never uses which row belongs to which: any permutation of the
    rows of either side leaves it as it is.

    Args:
        first_BD: projected utterance vectors of one modality, B >= 2.
        second_BD: the same utterances in the other modality.

    Returns:
        Scalar >= 0, unweighted. Two independent standard normal batches give
        (1 + 1/D) / (2 (B - 1)) on average: below that floor it only follows sampling noise.

    Raises:
        ValueError: fewer than two utterances, or two widths.
    Source: Sun & Saenko 2016 (Deep CORAL) eq. 1; on modality pairs after arXiv:2305.08473, whose
        full text was not at hand.
    """
    if first_BD.shape != second_BD.shape or len(first_BD) < 2:
        raise ValueError(
            "covariance_alignment needs two equal shapes [B >= 2, D], "
            f"but got {tuple(first_BD.shape)} and {tuple(second_BD.shape)}"
        )
    difference_DD = _covariance(first_BD) - _covariance(second_BD)
    return difference_DD.square().sum() / (4 * first_BD.shape[1] ** 2)


def _covariance(rows_BD: Tensor) -> Tensor:
    centred_BD = rows_BD - rows_BD.mean(dim=0, keepdim=True)
    return centred_BD.T @ centred_BD / (len(rows_BD) - 1)


def private_term(distance: Tensor, margin: Tensor | float) -> Tensor:
    """What a pair whose information is kept private adds to the loss, before its weight.

    relu(margin - distance) / margin, in [0, 1]: it pushes the pair apart up to the margin and no
    further (an unbounded -distance would diverge by scaling the features). A shared pair adds
    the distance itself.
    """
    return torch.relu(margin - distance) / margin


MEASURES: dict[str, Measure] = {"cov": covariance_alignment}
