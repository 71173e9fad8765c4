"""Stateful modules: running averages, queues and stored vectors that last from step to step."""

import torch
from torch import Tensor, nn


class StatefulModule(nn.Module):
    """Base of the stateful modules.

    The state is in buffers, which the training sets before each step and reads after it, so the
    module itself holds nothing. In `forward` read `self.name`, and call `update_state` with new
    values of the same shapes. Outside training there is no state.

    Attributes:
        initial_state: Buffer's name -> its value before the first step, on the CPU.
    """

    def __init__(self, **initial_state: Tensor) -> None:
        """Create the module with its state before the first step."""
        super().__init__()
        self.initial_state = initial_state
        # Empty until a step sets them: members of a pack share the module, each with its own
        # state, and a copy in here would be one too many.
        for name in initial_state:
            self.register_buffer(name, torch.empty(0), persistent=False)

    def update_state(self, **new: Tensor) -> None:
        """Set the state of the next step; no gradient reaches it there."""
        for name, value in new.items():
            setattr(self, name, value.detach())
