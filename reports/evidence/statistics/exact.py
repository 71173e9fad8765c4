"""Exact sums, so that no digit depends on the order of additions.

A matrix product of many cells is fast, and adds in an order that depends on its shape, on the
library and on the machine. On a grid that is coarse enough, every partial sum is exactly a floating
point number, and the order has no effect.
"""

import numpy as np

from reports.results import FloatArray

_BITS = 52  # one less than the significand of a float64
_SHORT_BITS = 23  # one less than that of a float32


def round_to_grid(values: FloatArray, count: int) -> FloatArray:
    """Round each column so that any sum of at most `count` of its values is exact.

    The error of a value is at most `count` * 2^-52 of the largest of its column.

    Args:
        values: Values [N] or [N, k].
        count: Largest number of additions, counting a value as often as it is drawn.
    """
    largest = np.abs(np.where(np.isfinite(values), values, 0.0)).max(axis=0, initial=0.0)
    _, exponent = np.frexp(largest * count)
    # Bounded below: the step of a column of tiny values would underflow to 0.
    step = np.ldexp(1.0, np.maximum(exponent, -900) - _BITS)
    rounded: FloatArray = np.round(values / step) * step
    return rounded


def fits_float32(values: FloatArray, count: int) -> bool:
    """Check whether all are whole and so small that float32 adds `count` of them exactly."""
    # A NaN makes the largest NaN, and the comparison False.
    largest = np.abs(values).max(initial=0.0)
    return bool(largest * count <= 2**_SHORT_BITS) and np.array_equal(values, np.rint(values))
