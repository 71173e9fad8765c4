"""Metrics of an order: AUROC, average precision, Spearman's correlation.

Examples are sorted once; a resample is how often each of them counts. No order splits those of one
value.

Shape suffixes: N examples, B resamples, G groups in ascending order, K columns.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from spaces.metrics.kinds import Resampler, Values, as_columns
from spaces.metrics.regression import same_shape
from spaces.metrics.scores import share_or_zero

_BOTH_SIDES: tuple[Literal["left"], Literal["right"]] = ("left", "right")


class GroupSums:
    """Sums of counts over examples of one value.

    Attributes:
        group_N: Number of each example's group.
    """

    def __init__(self, values_N: Values) -> None:
        """Sort the values."""
        distinct, self.group_N = np.unique(values_N, return_inverse=True)
        self._order_N = np.argsort(self.group_N, kind="stable")
        self._starts_G = np.searchsorted(self.group_N[self._order_N], np.arange(len(distinct)))

    def sum_groups(self, counts_NB: Values) -> Values:
        """Sum counts over groups: [G, B]."""
        sorted_NB = counts_NB[self._order_N]
        if len(self._starts_G) == len(sorted_NB):
            return sorted_NB
        sums_GB: Values = np.add.reduceat(sorted_NB, self._starts_G, axis=0)
        return sums_GB


def auroc_resampler(predicted: Values, wanted: Values) -> Resampler:
    """Prepare the area under the ROC curve of scores [N]: P(positive above negative), ties half."""
    positive_N = same_shape(predicted, wanted).reshape(-1) == 1
    scores_N = predicted.reshape(-1)
    positives, negatives = np.flatnonzero(positive_N), _sort_rows(scores_N, ~positive_N)
    below, up_to = (
        np.searchsorted(scores_N[negatives], scores_N[positives], side=side) for side in _BOTH_SIDES
    )
    has_ties = bool((below != up_to).any())

    def area_under_curve(counts_NB: Values) -> Values:
        negative_NB = _cumulate_rows(counts_NB, negatives)
        beaten_NB = negative_NB[below]
        if has_ties:
            beaten_NB = 0.5 * (beaten_NB + negative_NB[up_to])
        weights_NB = counts_NB[positives]
        pairs_B = weights_NB.sum(axis=0) * negative_NB[-1]
        area: Values = np.einsum("nb,nb->b", weights_NB, beaten_NB) / pairs_B
        return np.where(pairs_B > 0, area, np.nan)

    return area_under_curve


def precision_resampler(predicted: Values, wanted: Values) -> Resampler:
    """Prepare the average precision of scores [N]: precision by the recall that it adds."""
    positive_N = same_shape(predicted, wanted).reshape(-1) == 1
    # Negated, so that what is above a positive comes first.
    scores_N = -predicted.reshape(-1)
    positives, negatives = (_sort_rows(scores_N, chosen) for chosen in (positive_N, ~positive_N))
    right, wrong = (
        np.searchsorted(scores_N[rows], scores_N[positives], side="right")
        for rows in (positives, negatives)
    )

    def average_precision(counts_NB: Values) -> Values:
        positive_NB = _cumulate_rows(counts_NB, positives)
        found_NB = positive_NB[right]
        precision_NB = share_or_zero(
            found_NB, found_NB + _cumulate_rows(counts_NB, negatives)[wrong]
        )
        total: Values = np.einsum("nb,nb->b", counts_NB[positives], precision_NB)
        return np.where(positive_NB[-1] > 0, total / positive_NB[-1], np.nan)

    return average_precision


def spearman_resampler(predicted: Values, wanted: Values) -> Resampler:
    """Prepare Spearman's correlation of numbers [N], or the mean of those of K columns."""
    columns = zip(as_columns(predicted).T, as_columns(same_shape(predicted, wanted)).T, strict=True)
    parts = [_rank_correlation(x, y) for x, y in columns]

    def mean_correlation(counts_NB: Values) -> Values:
        mean: Values = np.mean([part(counts_NB) for part in parts], axis=0)
        return mean

    return mean_correlation


def ovr_auroc_resampler(predicted: Values, wanted: Values) -> Resampler | None:
    """Prepare the mean over classes of each one's AUROC against the rest; None for classes [N]."""
    if predicted.ndim == 1:
        return None
    classes = range(predicted.shape[1])
    return _mean_of_defined(auroc_resampler, [(predicted[:, c], wanted == c) for c in classes])


def mean_precision_resampler(predicted: Values, wanted: Values) -> Resampler:
    """Prepare the mean over labels of average precision."""
    true = same_shape(predicted, wanted)
    labels = range(predicted.shape[1])
    return _mean_of_defined(precision_resampler, [(predicted[:, k], true[:, k]) for k in labels])


def _mean_of_defined(
    prepare: Callable[[Values, Values], Resampler], parts: Sequence[tuple[Values, Values]]
) -> Resampler:
    """Prepare the mean of those parts that are defined in a resample."""
    resamplers = [prepare(scores, np.asarray(true, dtype=np.float64)) for scores, true in parts]

    def mean_of_parts(counts_NB: Values) -> Values:
        total_B, defined_B = np.zeros(counts_NB.shape[1]), np.zeros(counts_NB.shape[1])
        for resampler in resamplers:
            values_B = resampler(counts_NB)
            total_B += np.nan_to_num(values_B)
            defined_B += np.isfinite(values_B)
        return np.where(defined_B > 0, total_B / defined_B, np.nan)

    return mean_of_parts


def _sort_rows(scores_N: Values, chosen_N: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return the numbers of chosen examples by ascending score."""
    rows = np.flatnonzero(chosen_N)
    return rows[np.argsort(scores_N[rows], kind="stable")]


def _cumulate_rows(counts_NB: Values, rows: NDArray[np.intp]) -> Values:
    """Sum the counts of the first 0, 1, ... of some rows."""
    sums = np.zeros((len(rows) + 1, counts_NB.shape[1]))
    np.cumsum(counts_NB[rows], axis=0, out=sums[1:])
    return sums


def _rank_correlation(x_N: Values, y_N: Values) -> Resampler:
    x_groups, y_groups = GroupSums(x_N), GroupSums(y_N)

    def correlation(counts_NB: Values) -> Values:
        x_NB, y_NB = _centred_ranks(x_groups, counts_NB), _centred_ranks(y_groups, counts_NB)
        weighted_NB = counts_NB * x_NB
        x_variance_B = (weighted_NB * x_NB).sum(axis=0)
        y_variance_B = (counts_NB * y_NB * y_NB).sum(axis=0)
        covariance_B = (weighted_NB * y_NB).sum(axis=0)
        found = covariance_B / (np.sqrt(x_variance_B) * np.sqrt(y_variance_B))
        varies = (x_variance_B > 0) & (y_variance_B > 0)
        return np.where(varies, np.clip(found, -1.0, 1.0), np.nan)

    return correlation


def _centred_ranks(groups: GroupSums, counts_NB: Values) -> Values:
    """Return ranks in a resample less their mean [N, B]; equal values share their mean rank."""
    sums_GB = groups.sum_groups(counts_NB)
    # Multiples of 1/2, so that the variance of constants is exactly 0.
    ranks_GB = np.cumsum(sums_GB, axis=0) - 0.5 * sums_GB - 0.5 * sums_GB.sum(axis=0)
    ranks_NB: Values = ranks_GB[groups.group_N]
    return ranks_NB
