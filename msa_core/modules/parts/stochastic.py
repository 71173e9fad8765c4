"""Modules that need random numbers in training, and never draw any themselves.

Their numbers come from named streams, drawn for a whole epoch at once and handed to each step: so
adding a module elsewhere leaves them as they are (law 1), and members of a pack have their own.
"""

from abc import abstractmethod

import torch
from torch import Tensor, nn


class Draws(nn.Module):
    """Base of such modules.

    Attributes:
        rate: how much of it, such as the share dropped; at 0 it needs no random numbers. Members of
            a pack may differ in it.
        drawn: what `handed` made of the random numbers of a step; empty where there are none.
        stream: first word of its random stream's name, before its own name in the network.
    """

    stream = "draws"
    drawn: Tensor

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate
        self.register_buffer("drawn", torch.empty(0), persistent=False)

    @abstractmethod
    def draw(self, rate: float, rows: int, generator: torch.Generator) -> Tensor:
        """Random numbers of an epoch, [rows, ...]; row by row gives the same as at once."""

    def handed(self, drawn: Tensor, rate: Tensor) -> Tensor:
        """What `drawn` is in a step, from random numbers [B, ...] and the member's own rate."""
        return drawn

    @property
    def is_idle(self) -> bool:
        """Whether it does nothing: outside training, or without a rate.

        Raises:
            RuntimeError: in training mode without the random numbers that its rate asks for.
        """
        if not self.training:
            return True
        if self.drawn.dim() <= 1 and self.drawn.numel() == 0:
            if self.rate:
                raise RuntimeError("training needs random numbers; see `Draws.draw`")
            return True
        return False


class Noise(Draws):
    """Standard normal numbers, [B, *shape]; their size is the caller's."""

    stream = "noise"

    def __init__(self, *shape: int) -> None:
        super().__init__(1.0)
        self.shape = shape

    def draw(self, rate: float, rows: int, generator: torch.Generator) -> Tensor:
        """[rows, *shape]."""
        return torch.randn(rows, *self.shape, generator=generator, device=generator.device)
