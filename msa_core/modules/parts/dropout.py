"""Dropout whose masks come from named streams.

Shapes: N utterances of train, B of a batch, W = width of the layer.
"""

import torch
from torch import Tensor

from msa_core.modules.parts.stochastic import StochasticModule


class Dropout(StochasticModule):
    """Drops entries with probability `rate` in training and scales the rest by 1 / (1 - rate).

    Source: Srivastava et al. 2014.
    """

    stream = "dropout"

    def __init__(self, rate: float, width: int) -> None:
        super().__init__(rate)
        self.width = width

    def draw(self, rate: float, rows: int, generator: torch.Generator) -> Tensor:
        """Draw the masks of an epoch; see `draw_keep_mask`."""
        return draw_keep_mask(rate, rows, self.width, generator)

    def prepare_draws(self, drawn: Tensor, rate: Tensor) -> Tensor:
        """Return the mask: 1 / (1 - rate) where an entry stays, else 0."""
        # A product and not a `where`: the rate may be a tensor, a member's own.
        return drawn.float() * (1.0 / (1.0 - rate))

    def forward(self, values: Tensor) -> Tensor:
        """Multiply values [B, W] by the mask; the frames of [B, T, W] share their utterance's.

        Raises:
            RuntimeError: in training mode without a mask.
        """
        if self.is_idle:
            return values
        return values * (self.drawn if values.dim() == 2 else self.drawn[:, None, :])


def draw_keep_mask(rate: float, rows: int, width: int, generator: torch.Generator) -> Tensor:
    """Draw 1 where an entry stays, else 0; uint8 [N, W], rows in the order of an epoch."""
    # Drawn for a whole epoch: drawing row by row, or batch by batch, from the same generator gives
    # the same numbers, so the batch size moves no mask.
    drawn_NW = torch.rand(rows, width, generator=generator, device=generator.device)
    return (drawn_NW >= rate).view(torch.uint8)
