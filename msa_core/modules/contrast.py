"""Contrast modules: terms of the loss that tell utterances apart.

Shapes: B utterances, D = width of a projected modality.
"""

from typing import Any

from torch import Tensor, nn

from msa_core.modules.seen import Numbers, Seen, Sizes


class Contrast(nn.Module):
    """Base of the contrasts: each gives one term of the loss."""

    def __init__(self, options: Any, sizes: Sizes) -> None:
        """Build it.

        Args:
            options: of the contrast (`msa_core.config_contrast`).
            sizes: of the model that it is part of.
        """
        super().__init__()
        self.options = options
        self.sizes = sizes

    def forward(self, seen: Seen, numbers: Numbers) -> Tensor:
        """The raw term, a scalar.

        Args:
            seen: a batch of train, `fused` included.
            numbers: the member's own values of the options that may vary, by their names.
        """
        raise NotImplementedError


CONTRASTS: dict[str, type[Contrast]] = {}
