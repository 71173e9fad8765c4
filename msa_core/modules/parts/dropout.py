"""Dropout whose masks come from named streams.

Shapes: N utterances of train, B of a batch, W = width of the layer.
"""

import torch
from torch import Tensor

from msa_core.modules.parts.stochastic import Draws


class Dropout(Draws):
    """Drops entries with probability `rate` in training and scales the rest by 1 / (1 - rate).

    Source: Srivastava et al. 2014.
    """

    stream = "dropout"

    def __init__(self, rate: float, width: int) -> None:
        super().__init__(rate)
        self.width = width

    def draw(self, rate: float, rows: int, generator: torch.Generator) -> Tensor:
        """See `kept`."""
        return kept(rate, rows, self.width, generator)

    def handed(self, drawn: Tensor, rate: Tensor) -> Tensor:
        """The mask: 1 / (1 - rate) where an entry stays, else 0."""
        return drawn.float() * (1.0 / (1.0 - rate))

    def forward(self, values: Tensor) -> Tensor:
        """[B, W], times the mask [B, W]; the frames of [B, T, W] share their utterance's mask.

        Raises:
            RuntimeError: in training mode without a mask.
        """
        if self.is_idle:
            return values
        return values * (self.drawn if values.dim() == 2 else self.drawn[:, None, :])


def kept(rate: float, rows: int, width: int, generator: torch.Generator) -> Tensor:
    """1 where an entry stays, else 0; uint8 [N, W], rows in the order of an epoch.

    Drawing the rows one by one, or batch by batch, from the same generator gives the same.
    """
    drawn_NW = torch.rand(rows, width, generator=generator, device=generator.device)
    return (drawn_NW >= rate).view(torch.uint8)
