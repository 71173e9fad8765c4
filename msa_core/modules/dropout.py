"""Dropout whose masks come from a named stream."""

import torch
from torch import Tensor, nn


class Dropout(nn.Module):
    """Drops entries with probability `rate` in training and scales the rest by 1 / (1 - rate).

    Unlike `torch.nn.Dropout` it draws from the generator it is given, never from global state,
    so adding a module elsewhere leaves its masks as they are.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate
        self.generator: torch.Generator | None = None

    def forward(self, values: Tensor) -> Tensor:
        """Same shape as `values`.

        Raises:
            RuntimeError: in training mode without a generator.
        """
        if not self.training or self.rate == 0.0:
            return values
        if self.generator is None:
            raise RuntimeError("training needs a dropout generator; call Model.start_epoch first")
        drawn = torch.rand(values.shape, generator=self.generator, device=values.device)
        return values * (drawn >= self.rate) / (1.0 - self.rate)
