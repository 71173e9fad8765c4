"""Dropout whose masks come from named streams, drawn for a whole epoch at once.

Shapes: N utterances of train, B of a batch, W = width of the layer.
"""

import torch
from torch import Tensor, nn


class Dropout(nn.Module):
    """Drops entries with probability `rate` in training and scales the rest by 1 / (1 - rate).

    Unlike `torch.nn.Dropout` it never draws: the mask of a step is handed to it as its buffer
    `mask`, so that adding a module elsewhere leaves its masks as they are, and so that members
    of a pack can have masks and rates of their own.
    """

    mask: Tensor

    def __init__(self, rate: float, width: int) -> None:
        super().__init__()
        self.rate = rate
        self.width = width
        self.register_buffer("mask", torch.empty(0), persistent=False)

    def forward(self, values_BW: Tensor) -> Tensor:
        """[B, W], times the mask [B, W].

        Raises:
            RuntimeError: in training mode without a mask.
        """
        if not self.training:
            return values_BW
        if self.mask.dim() == 1:
            if self.rate:
                raise RuntimeError("training needs a dropout mask; see `kept`")
            return values_BW
        return values_BW * self.mask


def kept(rate: float, rows: int, width: int, generator: torch.Generator) -> Tensor:
    """1 where an entry stays, else 0; uint8 [N, W], rows in the order of an epoch.

    Drawing the rows one by one, or batch by batch, from the same generator gives the same.
    """
    drawn_NW = torch.rand(rows, width, generator=generator, device=generator.device)
    return (drawn_NW >= rate).view(torch.uint8)
