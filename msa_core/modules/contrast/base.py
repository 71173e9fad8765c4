"""Base class of contrasts, and the small networks that several of them have.

Shapes: B utterances, D and E = widths, H = width of a hidden layer, M losses.
"""

from typing import Any

import torch
from torch import Tensor, nn

from msa_core.modules.contrast.densities import Gaussian
from msa_core.modules.parts.inputs import EncodedBatch, Numbers, Sizes
from msa_core.modules.parts.linear import Linear

# A variance lies within e^-4 and e^4: neither a division by 0 nor a square that overflows.
LARGEST_LOG_VARIANCE = 4.0


class Contrast(nn.Module):
    """Base of the contrasts: each computes one term of the loss."""

    def __init__(self, options: Any, sizes: Sizes) -> None:
        """Create the contrast of a model.

        Args:
            options: Options of the contrast (`msa_core.config.contrast`).
            sizes: Widths in the model.
        """
        super().__init__()
        self.options = options
        self.sizes = sizes

    def forward(self, seen: EncodedBatch, numbers: Numbers) -> Tensor:
        """Compute the raw term, a scalar.

        Args:
            seen: Batch of train in the model, `fused` included.
            numbers: Member's own values of the options that may vary, by their names.
        """
        raise NotImplementedError


class Predictor(nn.Module):
    """One ReLU layer and a linear one: [B, D] -> [B, E]."""

    def __init__(self, features: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.hidden = Linear(features, hidden)
        self.output = Linear(hidden, outputs)

    def forward(self, rows_BD: Tensor) -> Tensor:
        """Predict rows, [B, E]."""
        predicted_BE: Tensor = self.output(torch.relu(self.hidden(rows_BD)))
        return predicted_BE


class GaussianPredictor(nn.Module):
    """A normal distribution of each row, predicted: [B, D] -> mean and log variance, [B, E] both.

    Log variances are kept within +-4 by tanh.
    """

    def __init__(self, features: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.hidden = Linear(features, hidden)
        self.mean = Linear(hidden, outputs)
        self.log_variance = Linear(hidden, outputs)

    def forward(self, rows_BD: Tensor) -> Gaussian:
        """Predict mean and log variance, [B, E]."""
        hidden_BH = torch.relu(self.hidden(rows_BD))
        log_variance_BE = self.log_variance(hidden_BH) / LARGEST_LOG_VARIANCE
        return Gaussian(self.mean(hidden_BH), LARGEST_LOG_VARIANCE * torch.tanh(log_variance_BE))


def average_terms(terms: list[Tensor]) -> Tensor:
    """Average scalars."""
    return torch.stack(terms).mean()


def uncertainty_weighted(losses_M: Tensor, log_variances_M: Tensor) -> Tensor:
    """Add losses up with weights that are learned with them.

    Formula: sum_m exp(-s_m) L_m + s_m, which for each m is smallest at s_m = ln L_m.
    It is negative where a loss is small enough; that is no sign of an error.

    Args:
        losses_M: Losses, each >= 0.
        log_variances_M: Learned s, one per loss.

    Source: Kendall et al. 2018, as in the public MCLEA code (without the halves).
    """
    return ((-log_variances_M).exp() * losses_M + log_variances_M).sum()
