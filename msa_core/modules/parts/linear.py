"""The affine layer of every module, and the linear one."""

import math

import torch
from torch import Tensor, nn


class Linear(nn.Linear):
    """x W^T + b: [..., D] -> [..., W].

    As `torch.nn.Linear`, but written as a product and a sum: under `torch.func.vmap` the fused
    form comes apart into five operations, these stay two.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Apply the layer: [..., D] -> [..., W]."""
        return input @ self.weight.T + self.bias


class Product(nn.Module):
    """x W^T: [..., D] -> [..., W]. Zeros stay zeros."""

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width, features))

    def initial(self, name: str, drawn: Tensor) -> Tensor:
        """Scale numbers in [-1, 1) to +-1/sqrt(D), as in `Linear`."""
        return drawn / math.sqrt(drawn.shape[1])

    def forward(self, vectors: Tensor) -> Tensor:
        """Apply the layer: [..., D] -> [..., W]."""
        return vectors @ self.weight.T
