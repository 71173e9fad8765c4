"""Recursive least squares on a shared head's gradient: one modality does not undo another's step.

Shapes: D = width of a modality at the head, O = outputs of the head.
"""

from torch import Tensor

from msa_core.modules.parts.similarity import Number


def rls_update(projection_DD: Tensor, mean_D: Tensor, alpha: Number) -> Tensor:
    """Update the projection after a step on a modality: away from its mean vector.

    Formula: P - k k^T / (alpha + h^T k), k = P h. It starts at I; for alpha -> 0 the projection
    of h becomes 0, for a large alpha nothing changes.

    Args:
        projection_DD: P, symmetric.
        mean_D: Batch mean of the modality's vectors, h.
        alpha: Positive number.

    Returns:
        The new P, [D, D].
    Source: Zhang et al. 2024 (MLA); the rule is that of Zeng et al. 2019 (orthogonal weights
        modification).
    """
    # The released code divides by the matrix k h^T entry by entry, and P by its norm after each
    # step; the denominator of recursive least squares is this scalar.
    gain_D = projection_DD @ mean_D
    return projection_DD - gain_D[:, None] * gain_D[None, :] / (alpha + mean_D @ gain_D)


def rls_alpha(step: Number, steps_per_epoch: int) -> Number:
    """Compute alpha of `rls_update`, falling from 0.1 by a factor of 10 per epoch.

    Formula: 0.1^(1 + step / steps_per_epoch), step = batches so far.
    Source: the public MLA code.
    """
    alpha: Number = 0.1 ** (1 + step / steps_per_epoch)
    return alpha


def projected_gradient(gradient_OD: Tensor, projection_DD: Tensor) -> Tensor:
    """Project the gradient of the head's weight away from the other modalities: grad P."""
    return gradient_OD @ projection_DD
