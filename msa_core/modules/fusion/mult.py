"""Fusion by attention between the frames of different modalities.

Shapes: B utterances, T steps, M modalities of the model, D = width of a projected modality.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from msa_core.modules.fusion.base import Fusion, Terms, present_lengths
from msa_core.modules.parts.attention import AttentionStack
from msa_core.modules.parts.frames import last_frame, position_encoding, valid_frames
from msa_core.modules.parts.inputs import EncodedBatch


class CrossModal(Fusion):
    """Every modality's frames attend to the frames of every other, then to one another.

    An absent modality is attended to by none, and is zeros in the fused vector. A single one only
    attends to itself. The encoder takes the place of the source's convolution.

    Formula: f = [last_t S_p([C_qp(X_p, X_q) for q != p]) for p]; C, S = stacks of cross- and
    self-attention, softmax(Q_p K_q^T / sqrt(E)) V_q in each layer.
    """

    def __init__(self, modalities: Sequence[str], width: int, options: Any) -> None:
        super().__init__(modalities, width, options)
        sizes = options.heads, options.layers, options.dropout
        self.across = nn.ModuleDict(
            {
                f"{target}_from_{source}": AttentionStack(width, *sizes)
                for target in modalities
                for source in modalities
                if source != target
            }
        )
        together = width * max(1, len(modalities) - 1)
        self.within = nn.ModuleDict(
            {target: AttentionStack(together, *sizes) for target in modalities}
        )

    def forward(self, seen: EncodedBatch) -> tuple[Tensor, Terms]:
        """Fuse M times [B, T, D] into [B, M (M - 1) D], or [B, D] of a single modality."""
        lengths = present_lengths(seen)
        frames = {
            name: own_BTD + position_encoding(own_BTD) for name, own_BTD in seen.frames.items()
        }
        valid = {name: valid_frames(own_BTD, lengths[name]) for name, own_BTD in frames.items()}
        parts = []
        for target in self.modalities:
            views = [
                self.across[f"{target}_from_{source}"](
                    frames[target], valid[source], frames[source]
                )
                for source in self.modalities
                if source != target
            ]
            joined_BTV = torch.cat(views or [frames[target]], dim=2)
            own_BTV = self.within[target](joined_BTV, valid[target])
            parts.append(last_frame(own_BTV, lengths[target]))
        return torch.cat(parts, dim=1), {}
