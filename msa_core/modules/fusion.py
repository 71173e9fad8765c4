"""Fusion operators: the projected modalities become one vector.

Shapes: B utterances, M modalities of the model, D = width of a projected modality, F = entries of
the fused vector, as `fused_width` of the operator's options says.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from msa_core.modules.seen import Seen

Terms = dict[str, Tensor]


class Fusion(nn.Module):
    """Base of the operators.

    An operator may bring terms of the loss along: name -> raw value, a scalar. The weight of each
    is an option `<name>.weight` of the operator.
    """

    def __init__(self, modalities: Sequence[str], width: int, options: Any) -> None:
        """Build it.

        Args:
            modalities: of the model, in the field's order.
            width: D.
            options: of the operator (`msa_core.config_fusion`).
        """
        super().__init__()
        self.modalities = list(modalities)
        self.width = width
        self.options = options

    def forward(self, seen: Seen) -> tuple[Tensor, Terms]:
        """The fused vector [B, F] and the operator's own terms."""
        raise NotImplementedError


class Concat(Fusion):
    """The M vectors side by side.

    Formula: f = [z_1; ...; z_M].
    Source: common practice (late fusion).
    """

    def forward(self, seen: Seen) -> tuple[Tensor, Terms]:
        """M times [B, D] -> [B, M D]."""
        return torch.cat(list(seen.projected.values()), dim=1), {}


class Average(Fusion):
    """The mean of the vectors of the modalities that are there.

    The field calls it sum fusion; dividing by the number of modalities keeps the scale when one is
    left out.

    Formula: f = sum_m mu_m z_m / sum_m mu_m.
    Source: common practice (late fusion).
    """

    def forward(self, seen: Seen) -> tuple[Tensor, Terms]:
        """M times [B, D] -> [B, D]."""
        vectors_MBD = torch.stack(list(seen.projected.values()))
        if not seen.present:
            return vectors_MBD.mean(dim=0), {}
        count_B = torch.stack(list(seen.present.values())).sum(dim=0).clamp(min=1.0)
        return vectors_MBD.sum(dim=0) / count_B[:, None], {}


class TensorProduct(Fusion):
    """All products of entries of different modalities.

    Each vector gets a leading 1, so the products of fewer modalities are in it too.

    Formula: f = vec([1; z_1] x ... x [1; z_M]); z = (1), (2), (3) gives {1, 1, 2, 2, 3, 3, 6, 6}.
    Source: Zadeh et al. 2017 (Tensor Fusion Network), eq. 5.
    """

    def forward(self, seen: Seen) -> tuple[Tensor, Terms]:
        """M times [B, D] -> [B, (D + 1)^M]."""
        first_BD, *others = seen.projected.values()
        ones_B1 = torch.ones_like(first_BD[:, :1])
        fused_BF = torch.cat([ones_B1, first_BD], dim=1)
        for vector_BD in others:
            extended_BE = torch.cat([ones_B1, vector_BD], dim=1)
            fused_BF = (fused_BF[:, :, None] * extended_BE[:, None, :]).flatten(start_dim=1)
        return fused_BF, {}


FUSIONS: dict[str, type[Fusion]] = {"concat": Concat, "sum": Average, "tfn": TensorProduct}
