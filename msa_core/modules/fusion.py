"""Fusion operators: the projected modalities become one vector.

Shapes: B utterances, M modalities of the model, D = width of a projected modality.
"""

from collections.abc import Callable

import torch
from torch import Tensor

Fusion = Callable[[list[Tensor]], Tensor]


def concat(projected: list[Tensor]) -> Tensor:
    """The M vectors side by side: M times [B, D] -> [B, M D]."""
    return torch.cat(projected, dim=1)


def average(projected: list[Tensor]) -> Tensor:
    """The mean of the M vectors: M times [B, D] -> [B, D].

    The field calls it sum fusion; dividing by the number of modalities present keeps the scale
    when one is left out.
    """
    return torch.stack(projected).mean(dim=0)


def tensor_product(projected: list[Tensor]) -> Tensor:
    """All products of entries of different modalities: M times [B, D] -> [B, (D + 1)^M].

    Each vector gets a leading 1, so the products of fewer modalities are in it too.
    z = (1), (2), (3) gives the entries {1, 1, 2, 2, 3, 3, 6, 6}.
    Source: Zadeh et al. 2017 (Tensor Fusion Network), eq. 5.
    """
    ones_B1 = torch.ones_like(projected[0][:, :1])
    fused_BF = torch.cat([ones_B1, projected[0]], dim=1)
    for vector_BD in projected[1:]:
        extended_BE = torch.cat([ones_B1, vector_BD], dim=1)
        fused_BF = (fused_BF[:, :, None] * extended_BE[:, None, :]).flatten(start_dim=1)
    return fused_BF


FUSIONS: dict[str, Fusion] = {"concat": concat, "sum": average, "tfn": tensor_product}
