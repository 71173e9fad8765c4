"""The affine layer of every module."""

from torch import Tensor, nn


class Linear(nn.Linear):
    """x W^T + b: [..., D] -> [..., W].

    As `torch.nn.Linear`, but written as a product and a sum: under `torch.func.vmap` the fused
    form comes apart into five operations, these stay two.
    """

    def forward(self, input: Tensor) -> Tensor:
        """[..., D] -> [..., W]."""
        return input @ self.weight.T + self.bias
