"""Stochastic modules: they need random numbers in training, and never draw any themselves.

Their numbers come from named streams and are drawn for a whole epoch at once. So adding a module
elsewhere leaves them as they are, and members of a pack have their own.
"""

from abc import abstractmethod

import torch
from torch import Tensor, nn


class StochasticModule(nn.Module):
    """Base of the stochastic modules.

    Attributes:
        rate: Amount of noise, such as the share dropped; at 0 no random numbers are needed.
            Members of a pack may differ in it.
        drawn: Result of `prepare_draws` for the step; empty where there are no random numbers.
        stream: First word of the random stream's name, before the module's name in the network.
    """

    stream = "draws"
    drawn: Tensor

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate
        self.register_buffer("drawn", torch.empty(0), persistent=False)

    @abstractmethod
    def draw(self, rate: float, rows: int, generator: torch.Generator) -> Tensor:
        """Draw the random numbers of an epoch, [rows, ...]; the same row by row as at once."""

    def prepare_draws(self, drawn: Tensor, rate: Tensor) -> Tensor:
        """Turn a step's random numbers [B, ...] into `drawn`, with the member's own rate."""
        # Apart from `draw`, which is shared by an epoch: only this part is run under vmap, where
        # the rate is a tensor.
        return drawn

    @property
    def is_idle(self) -> bool:
        """Whether the module changes nothing: outside training, or without a rate.

        Raises:
            RuntimeError: in training mode without the random numbers that its rate asks for.
        """
        if not self.training:
            return True
        if self.drawn.dim() <= 1 and self.drawn.numel() == 0:
            if self.rate:
                raise RuntimeError("training needs random numbers; see `StochasticModule.draw`")
            return True
        return False


class Noise(StochasticModule):
    """Standard normal numbers, [B, *shape]; their size is the caller's."""

    stream = "noise"

    def __init__(self, *shape: int) -> None:
        super().__init__(1.0)
        self.shape = shape

    def draw(self, rate: float, rows: int, generator: torch.Generator) -> Tensor:
        """Draw standard normal numbers, [rows, *shape]."""
        return torch.randn(rows, *self.shape, generator=generator, device=generator.device)
