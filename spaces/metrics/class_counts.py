"""Metrics of the counts of classes: F1 and recall of each class, then a mean over classes.

They are functions of means of indicators too, but of three per class: a matrix of examples by
classes for each cell, where counts need none.

Shape suffixes: N examples, B resamples, C classes that occur.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from spaces.metrics.kinds import Resampler, Values
from spaces.metrics.scores import classes_of, share_or_zero

Combination = Callable[[Values, Values, Values], Values]
"""Function of right, predicted and true examples of each class, all [C, B], that returns [B]."""


def class_resampler(combination: Combination, predicted: Values, wanted: Values) -> Resampler:
    """Prepare a metric of counts of classes.

    Args:
        combination: Function of the counts.
        predicted: Probabilities [N, C] or classes [N].
        wanted: Classes [N].
    """
    found_N = classes_of(predicted)
    names, codes = np.unique(np.concatenate([found_N, wanted]), return_inverse=True)
    found_codes_N, true_codes_N = np.split(codes, 2)
    right_N = np.flatnonzero(found_N == wanted)
    every_N = np.arange(len(wanted))
    sum_right = partial(_sum_classes, right_N, true_codes_N[right_N], len(names))
    sum_found = partial(_sum_classes, every_N, found_codes_N, len(names))
    sum_true = partial(_sum_classes, every_N, true_codes_N, len(names))
    return lambda counts_NB: combination(
        sum_right(counts_NB), sum_found(counts_NB), sum_true(counts_NB)
    )


def macro_f1(right_CB: Values, found_CB: Values, true_CB: Values) -> Values:
    """Compute the mean F1 of the classes that are predicted or true somewhere."""
    occurs_B = np.count_nonzero(found_CB + true_CB, axis=0)
    mean: Values = share_or_zero(2.0 * right_CB, found_CB + true_CB).sum(axis=0) / occurs_B
    return mean


def weighted_f1(right_CB: Values, found_CB: Values, true_CB: Values) -> Values:
    """Compute the mean F1 of the classes, by how often each is true."""
    f1_CB = share_or_zero(2.0 * right_CB, found_CB + true_CB)
    mean: Values = (true_CB * f1_CB).sum(axis=0) / true_CB.sum(axis=0)
    return mean


def mean_recall(right_CB: Values, found_CB: Values, true_CB: Values) -> Values:
    """Compute the mean recall of the classes that are true somewhere."""
    mean: Values = share_or_zero(right_CB, true_CB).sum(axis=0) / np.count_nonzero(true_CB, axis=0)
    return mean


def _sum_classes(
    rows: NDArray[np.intp], codes: NDArray[np.intp], classes: int, counts_NB: Values
) -> Values:
    """Sum the counts of some examples by their classes: [C, B]."""
    sums_CB = np.zeros((classes, counts_NB.shape[1]))
    order = np.argsort(codes, kind="stable")
    present, starts = np.unique(codes[order], return_index=True)
    if len(present):
        sums_CB[present] = np.add.reduceat(counts_NB[rows[order]], starts, axis=0)
    return sums_CB
