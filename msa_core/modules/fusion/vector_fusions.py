"""Fusion operators: the projected modalities become one vector.

Those of vectors are here; those of frames and of codes are in the files beside this one.
Shapes: B utterances, M modalities of the model, D = width of a projected modality, F = entries of
the fused vector (`fused_width` of the operator's options), R = rank.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from msa_core.modules.fusion.base import Fusion, Terms, mean_over
from msa_core.modules.parts.attention import masked_softmax
from msa_core.modules.parts.inputs import EncodedBatch
from msa_core.modules.parts.linear import Linear, Product
from msa_core.modules.parts.rounding import sigmoid


class Concat(Fusion):
    """The M vectors side by side.

    Formula: f = [z_1; ...; z_M].
    """

    def forward(self, seen: EncodedBatch) -> tuple[Tensor, Terms]:
        """Fuse M times [B, D] into [B, M D]."""
        return torch.cat(list(seen.projected.values()), dim=1), {}


class Average(Fusion):
    """The mean of the vectors of the modalities that are there.

    The field calls it sum fusion; dividing by the number of modalities keeps the scale of the
    head's input when one is left out.

    Formula: f = sum_m mu_m z_m / sum_m mu_m.
    """

    def forward(self, seen: EncodedBatch) -> tuple[Tensor, Terms]:
        """Fuse M times [B, D] into [B, D]."""
        return mean_over(seen.projected, seen.present), {}


class Gated(Fusion):
    """A weighted sum of the vectors, whose weights all of them decide on.

    Formula: f = sum_m g_m U_m z_m, g = softmax(W [z_1; ...; z_M] + b) or its sigmoid.
    A softmax is over the modalities that are there. Equal gates of a softmax give the mean.
    """

    def __init__(self, modalities: Sequence[str], width: int, options: Any) -> None:
        super().__init__(modalities, width, options)
        self.gate = Linear(width * len(modalities), len(modalities))
        self.values = nn.ModuleDict({name: Product(width, width) for name in modalities})

    def forward(self, seen: EncodedBatch) -> tuple[Tensor, Terms]:
        """Fuse M times [B, D] into [B, D]."""
        rows = list(seen.projected.values())
        scores_BM = self.gate(torch.cat(rows, dim=1))
        if self.options.gate == "sigmoid":
            gates_BM = sigmoid(scores_BM)
        elif seen.present:
            there_BM = torch.stack([seen.present[name] for name in seen.projected], dim=1) > 0
            gates_BM = masked_softmax(scores_BM, there_BM)
        else:
            gates_BM = torch.softmax(scores_BM, dim=1)
        values = [self.values[name](rows_BD) for name, rows_BD in seen.projected.items()]
        return (torch.stack(values, dim=1) * gates_BM[:, :, None]).sum(dim=1), {}


class TensorProduct(Fusion):
    """All products of entries of different modalities.

    Each vector gets a leading 1, so the products of fewer modalities are in it too.

    Formula: f = vec([1; z_1] x ... x [1; z_M]); z = (1), (2), (3) gives {1, 1, 2, 2, 3, 3, 6, 6}.
    """

    def forward(self, seen: EncodedBatch) -> tuple[Tensor, Terms]:
        """Fuse M times [B, D] into [B, (D + 1)^M]."""
        first_BD, *others = seen.projected.values()
        ones_B1 = torch.ones_like(first_BD[:, :1])
        fused_BF = torch.cat([ones_B1, first_BD], dim=1)
        for vector_BD in others:
            extended_BE = torch.cat([ones_B1, vector_BD], dim=1)
            fused_BF = (fused_BF[:, :, None] * extended_BE[:, None, :]).flatten(start_dim=1)
        return fused_BF, {}


class LowRank(Fusion):
    """The tensor product read through a sum of R weights, each a product of one per modality.

    It equals `TensorProduct` times the matrix sum_r w_r F_1^r x ... x F_M^r, which is never built.

    Formula: f = sum_r w_r prod_m (F_m^r [1; z_m]).
    """

    def __init__(self, modalities: Sequence[str], width: int, options: Any) -> None:
        super().__init__(modalities, width, options)
        self.rank = options.rank
        shape = (self.rank * width, width + 1)
        self.factors = [f"factor_{name}" for name in modalities]
        for name in self.factors:
            self.register_parameter(name, nn.Parameter(torch.empty(shape)))
        self.weights = nn.Parameter(torch.empty(self.rank))

    def initial(self, name: str, drawn: Tensor) -> Tensor:
        """Scale to a variance of 1 / fan-in."""
        # With PyTorch's default, a third of that, a product of M factors would start near 0.
        return drawn * math.sqrt(3.0 / drawn.shape[-1])

    def forward(self, seen: EncodedBatch) -> tuple[Tensor, Terms]:
        """Fuse M times [B, D] into [B, D]."""
        product_BV: Tensor | None = None  # V = R D
        for name, vectors_BD in zip(self.factors, seen.projected.values(), strict=True):
            extended_BE = torch.cat([torch.ones_like(vectors_BD[:, :1]), vectors_BD], dim=1)
            read_BV = extended_BE @ getattr(self, name).T
            product_BV = read_BV if product_BV is None else product_BV * read_BV
        assert product_BV is not None
        product_BRD = product_BV.reshape(-1, self.rank, self.width)
        return (product_BRD * self.weights[:, None]).sum(dim=1), {}
