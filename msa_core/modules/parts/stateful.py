"""Modules that keep something from step to step: running averages, queues, stored vectors."""

import torch
from torch import Tensor, nn


class Remembers(nn.Module):
    """Base of such modules.

    What is kept are buffers, handed to the module at each step of the training and taken back
    after it, so that members of a pack have their own and the module itself holds nothing. In
    `forward` read `self.name`, and call `remember` with new values of the same shapes. Outside
    training there is none.
    """

    def __init__(self, **fresh: Tensor) -> None:
        """Start with these values, name -> tensor on the CPU."""
        super().__init__()
        self.fresh = fresh
        for name in fresh:
            self.register_buffer(name, torch.empty(0), persistent=False)

    def remember(self, **new: Tensor) -> None:
        """Keep these values for the next step; no gradient reaches them there."""
        for name, value in new.items():
            setattr(self, name, value.detach())
