"""Functions whose last digit does not depend on an entry's position in a tensor.

PyTorch computes the entries of a tensor that fill no vector register in another way, and for a
few functions that way rounds differently: measured on a CPU with AVX2, `sigmoid`, `softplus`,
`elu`, `silu`, `logaddexp` and `pow` beyond 3. In a pack those entries are the last member's, so its
numbers would depend on the pack's size. `tanh`, `exp`, `log`, `sqrt` and products are safe.
"""

import torch
from torch import Tensor


def sigmoid(values: Tensor) -> Tensor:
    """Compute 1 / (1 + exp(-x)), to 1e-7 absolute. Formula: (1 + tanh(x / 2)) / 2."""
    return 0.5 * torch.tanh(0.5 * values) + 0.5
