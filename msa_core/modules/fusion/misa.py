"""Fusion of what modalities share and what each has of its own.

Shapes: B utterances, M modalities of the model, D = width of a projected modality and of a code.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from msa_core.modules.alignment.measures import central_moment_discrepancy
from msa_core.modules.contrast.estimators import difference_loss
from msa_core.modules.fusion.base import Fusion, Terms, row_mean
from msa_core.modules.parts.attention import AttentionStack
from msa_core.modules.parts.inputs import EncodedBatch
from msa_core.modules.parts.linear import Linear
from msa_core.modules.parts.rounding import sigmoid

Codes = Mapping[str, Tensor]


class Misa(Fusion):
    """A shared and a private code of every modality, and attention between the codes.

    The encoder of the shared codes is one for all modalities.

    Formula: f = vec(attend([S z_m; P_m z_m for m])), S and P_m = sigmoid(W z + b).
    """

    def __init__(self, modalities: Sequence[str], width: int, options: Any) -> None:
        super().__init__(modalities, width, options)
        self.shared = Linear(width, width)
        self.private = nn.ModuleDict({name: Linear(width, width) for name in modalities})
        self.between = AttentionStack(width, options.heads, layers=1)
        self.terms = {
            name
            for name in ("similarity", "difference", "reconstruction")
            if getattr(options, name).weight > 0
        }
        self.decoders = nn.ModuleDict(
            {name: Linear(width, width) for name in modalities if "reconstruction" in self.terms}
        )

    def forward(self, seen: EncodedBatch) -> tuple[Tensor, Terms]:
        """Fuse M times [B, D] into [B, 2 M D]; the codes of absent modalities are zeros."""
        shared = {name: sigmoid(self.shared(z_BD)) for name, z_BD in seen.projected.items()}
        private = {name: sigmoid(self.private[name](z_BD)) for name, z_BD in seen.projected.items()}
        codes_BCD = torch.stack([*shared.values(), *private.values()], dim=1)
        there_BC: Tensor | None = None
        if seen.present:
            there_BM = torch.stack([seen.present[name] for name in shared], dim=1)
            there_BC = torch.cat([there_BM, there_BM], dim=1) > 0
        codes_BCD = self.between(codes_BCD, there_BC)
        # Masked keys are not enough: an absent modality's code also attends to the others.
        if there_BC is not None:
            codes_BCD = codes_BCD * there_BC[:, :, None]
        fused_BF = codes_BCD.flatten(start_dim=1)
        return fused_BF, self._loss_terms(seen, shared, private) if self.training else {}

    def _loss_terms(self, seen: EncodedBatch, shared: Codes, private: Codes) -> Terms:
        terms: Terms = {}
        pairs = list(itertools.combinations(shared, 2))
        if "similarity" in self.terms and pairs:
            distances = [
                central_moment_discrepancy(*_where_both_are(seen, first, second, shared, shared))
                for first, second in pairs
            ]
            terms["similarity"] = torch.stack(distances).mean()
        if "difference" in self.terms:
            overlaps = [
                difference_loss(*_where_both_are(seen, name, name, private, shared))
                for name in shared
            ] + [
                difference_loss(*_where_both_are(seen, first, second, private, private))
                for first, second in pairs
            ]
            terms["difference"] = torch.stack(overlaps).sum()
        if "reconstruction" in self.terms:
            errors = [
                row_mean(
                    (self.decoders[name](shared[name] + private[name]) - z_BD).square().mean(dim=1),
                    seen.present.get(name),
                )
                for name, z_BD in seen.projected.items()
            ]
            terms["reconstruction"] = torch.stack(errors).mean()
        return terms


def _where_both_are(
    seen: EncodedBatch, first: str, second: str, firsts: Codes, seconds: Codes
) -> tuple[Tensor, Tensor]:
    """Return codes of two modalities, with the mean of the other rows in rows that lack either."""
    # Rows at the mean add nothing to moments around it, and the number of rows stays what it is.
    codes = firsts[first], seconds[second]
    if not seen.present:
        return codes
    both_B1 = (seen.present[first] * seen.present[second])[:, None]
    count = both_B1.sum().clamp(min=1.0)
    filled = []
    for code_BD in codes:
        mean_D = (code_BD * both_B1).sum(dim=0) / count
        filled.append(torch.where(both_B1 > 0, code_BD, mean_D))
    return filled[0], filled[1]
