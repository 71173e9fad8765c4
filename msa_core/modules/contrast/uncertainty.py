"""Weights of losses that are learned with them.

Shapes: M losses.
"""

from torch import Tensor


def uncertainty_weighted(losses_M: Tensor, log_variances_M: Tensor) -> Tensor:
    """Add losses up with weights that are learned with them.

    Formula: sum_m exp(-s_m) L_m + s_m, which for each m is smallest at s_m = ln L_m.
    It is negative where a loss is small enough; that is no sign of an error.

    Args:
        losses_M: Losses, each >= 0.
        log_variances_M: Learned s, one per loss.

    Returns:
        Scalar.

    Raises:
        ValueError: not one s a loss.
    Source: Kendall et al. 2018, as in the public MCLEA code (without the halves).
    """
    if losses_M.shape != log_variances_M.shape or losses_M.ndim != 1:
        raise ValueError(
            "uncertainty_weighted needs as many losses [M] as log variances [M], "
            f"but got {tuple(losses_M.shape)} and {tuple(log_variances_M.shape)}"
        )
    return ((-log_variances_M).exp() * losses_M + log_variances_M).sum()
