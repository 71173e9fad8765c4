"""Entropy and mutual information of tables of probabilities, in bits."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Values = NDArray[np.float64]


def entropy_bits(tables: Values) -> Values:
    """Compute the entropy in bits of distributions over the last axis: [..., K] -> [...]."""
    # 0 log 0 is 0 here, and would be NaN if the logarithm were taken of 0.
    some = tables > 0.0
    total: Values = (tables * np.log2(np.where(some, tables, 1.0))).sum(axis=-1)
    # Rounding can leave -1e-17 of a certain outcome.
    return np.maximum(-total, 0.0)


def mutual_information(tables: Values) -> Values:
    """Compute the mutual information in bits of the last two axes: [..., A, B] -> [...], >= 0."""
    independent = tables.sum(axis=-1, keepdims=True) * tables.sum(axis=-2, keepdims=True)
    some = (tables > 0.0) & (independent > 0.0)
    ratio = np.divide(tables, independent, out=np.ones_like(tables), where=some)
    total: Values = (tables * np.log2(ratio)).sum(axis=(-2, -1))
    return np.maximum(total, 0.0)


def normalise_table(what: str, values: ArrayLike, axes: int) -> Values:
    """Check that numbers are >= 0, and scale them to sum to 1.

    Raises:
        ValueError: another number of axes, an entry that is negative or not finite, or all 0.
    """
    table = np.asarray(values, dtype=np.float64)
    if table.ndim != axes:
        raise ValueError(f"{what} must have {axes} axes, but its shape is {table.shape}")
    if not np.isfinite(table).all() or (table < 0.0).any() or not (table > 0.0).any():
        raise ValueError(
            f"{what} must hold probabilities or counts: finite, not negative, and not all 0"
        )
    scaled: Values = table / table.sum()
    return scaled
