"""Functions whose last digit does not depend on where in a tensor an entry lies.

PyTorch works through the rest of a tensor that fills no vector register in another way, and for a
few functions that way rounds differently: measured on a CPU with AVX2, `sigmoid`, `softplus`,
`elu`, `silu`, `logaddexp` and `pow` beyond 3. In a pack the rest is the last member's, so its
numbers would depend on its company. `tanh`, `exp`, `log`, `sqrt` and products are safe.
"""

import torch
from torch import Tensor


def sigmoid(values: Tensor) -> Tensor:
    """1 / (1 + exp(-x)), to 1e-7 absolute. Formula: (1 + tanh(x / 2)) / 2."""
    return 0.5 * torch.tanh(0.5 * values) + 0.5
