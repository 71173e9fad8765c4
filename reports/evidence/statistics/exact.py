"""Sums without rounding, so that no digit depends on the order in which they were made.

A matrix product of many cells is fast, and adds in an order that depends on its shape, on the
library and on the machine. On a grid that is coarse enough every partial sum is a number that the
machine holds exactly, and the order stops to matter.
"""

import numpy as np

from reports.results import FloatArray

_BITS = 52  # of a float64; one less than it has
_SHORT_BITS = 23  # of a float32; the same


def on_grid(values: FloatArray, count: int) -> FloatArray:
    """Each column rounded so that any sum of at most `count` of its values is exact.

    The error of a value is at most `count` * 2^-52 of the largest of its column.

    Args:
        values: [N] or [N, k].
        count: how many are added at most, each as often as it is drawn.
    """
    largest = np.abs(np.where(np.isfinite(values), values, 0.0)).max(axis=0, initial=0.0)
    _, exponent = np.frexp(largest * count)
    step = np.ldexp(1.0, np.maximum(exponent, -900) - _BITS)
    rounded: FloatArray = np.round(values / step) * step
    return rounded


def is_short(values: FloatArray, count: int) -> bool:
    """Whether all are whole and so small that float32 adds `count` of them exactly."""
    largest = np.abs(values).max(initial=0.0)  # NaN where one is, which is no short one
    return bool(largest * count <= 2**_SHORT_BITS) and np.array_equal(values, np.rint(values))
