"""Base class of fusion operators, and means over the modalities that are there.

Shapes: B utterances, T steps, D = width of a projected modality.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from msa_core.modules.parts.inputs import EncodedBatch

Terms = dict[str, Tensor]


class Fusion(nn.Module):
    """Base of the operators.

    An operator may return terms of the loss: name -> raw value, a scalar. The weight of each
    is an option `<name>.weight` of the operator.
    """

    def __init__(self, modalities: Sequence[str], width: int, options: Any) -> None:
        """Create the operator of a model.

        Args:
            modalities: Modalities of the model, in the field's order.
            width: Width of a projected modality, D.
            options: Options of the operator (`msa_core.config.fusion`).
        """
        super().__init__()
        self.modalities = list(modalities)
        self.width = width
        self.options = options

    def forward(self, seen: EncodedBatch) -> tuple[Tensor, Terms]:
        """Compute the fused vector [B, F] and the operator's own terms."""
        raise NotImplementedError


def present_lengths(seen: EncodedBatch) -> dict[str, Tensor]:
    """Return the valid frames [B] of each modality; 0 where it is absent, whatever its length."""
    lengths = {name: seen.lengths[name] for name in seen.frames}
    return {
        name: (of * seen.present[name]).to(of.dtype) if name in seen.present else of
        for name, of in lengths.items()
    }


def mean_over(values: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Tensor:
    """Average the modalities that are there: name -> [B, ...] give [B, ...].

    Args:
        values: Modality -> values, zero where it is absent.
        present: Modality -> 1 or 0, [B]; empty = all are there.
    """
    stacked_MB = torch.stack(list(values.values()))
    if not present:
        return stacked_MB.mean(dim=0)
    count_B = torch.stack([present[name] for name in values]).sum(dim=0).clamp(min=1.0)
    return stacked_MB.sum(dim=0) / count_B.reshape(-1, *[1] * (stacked_MB.dim() - 2))


def row_mean(values_B: Tensor, counts_B: Tensor | None) -> Tensor:
    """Average the rows whose count is 1 and not 0; all rows without counts."""
    if counts_B is None:
        return values_B.mean()
    # At least 1: a batch in which no row counts gives 0 and not NaN.
    return (values_B * counts_B).sum() / counts_B.sum().clamp(min=1.0)
