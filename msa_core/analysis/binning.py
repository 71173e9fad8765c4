"""Discretisation: continuous values become a few numbered bins.

Information is estimated from a table of counts, so everything that goes into it is discrete
first: predictions by their quantiles, embeddings by clusters, labels by the field's classes.

Letters in shapes: N utterances, D features of an embedding.
"""

import warnings
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.cluster.vq import kmeans2

from msa_core.metrics import SCHEMES

Bins = NDArray[np.int64]
Values = NDArray[np.float64]
# A start of k-means can end in a poor optimum; the best of a few rarely does.
RESTARTS = 5
ITERATIONS = 50
# A class is found by asking the metric itself which example a label agrees with, so that the
# cuts between classes are written down once, in `msa_core.metrics`.
_CLASSES = {
    "mosi": {
        2: ("acc2_has0", (-1.0, 1.0)),
        3: ("acc3", (-1.0, 0.0, 1.0)),
        5: ("acc5", (-2.0, -1.0, 0.0, 1.0, 2.0)),
        7: ("acc7", (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0)),
    },
    "sims": {
        2: ("acc2", (-1.0, 1.0)),
        3: ("acc3", (-1.0, 0.0, 1.0)),
        5: ("acc5", (-1.0, -0.4, 0.0, 0.4, 1.0)),
    },
}
"""Label scheme -> number of classes -> the metric that tells them apart, and one label of each."""


def quantile_bins(values: ArrayLike, bins: int) -> Bins:
    """Sort values into bins of equally many, as far as equal values allow: those share a bin.

    Args:
        values: Numbers [N], for example the predictions of a unimodal model.
        bins: Number of bins, at least 2.

    Returns:
        [N], in 0..bins - 1. Any increasing function of the values gives the same bins.

    Raises:
        ValueError: fewer than two bins, or values that are not finite.
    """
    numbers = _require_finite("values", values, 1)
    _check_bins(bins)
    # "lower" is a value itself, not one between two: so the order alone decides.
    edges = np.quantile(numbers, np.arange(1, bins) / bins, method="lower")
    return np.searchsorted(edges, numbers, side="left").astype(np.int64)


def cluster_rows(embeddings: ArrayLike, bins: int, rng: np.random.Generator) -> Bins:
    """Sort embeddings into clusters by k-means, the best of several starts.

    Args:
        embeddings: Vectors [N, D]. Distances are taken as they are: standardise features of
            different scales first.
        bins: Number of clusters, at least 2. Fewer come back where fewer rows are distinct.
        rng: Generator of the starts.

    Returns:
        [N], in 0..bins - 1.

    Raises:
        ValueError: fewer than two bins, or embeddings that are not finite.
    Source: k-means++ starts, as `scipy.cluster.vq.kmeans2` has them.
    """
    rows = _require_finite("embeddings", embeddings, 2)
    _check_bins(bins)
    distinct, codes = np.unique(rows, axis=0, return_inverse=True)
    # Then each distinct row is a cluster of its own, and starts would be drawn for nothing.
    if len(distinct) <= bins:
        return codes.astype(np.int64).ravel()
    best: NDArray[Any] = codes
    least = np.inf
    for _ in range(RESTARTS):
        with warnings.catch_warnings():
            # An empty cluster only makes a start that is not the best one.
            warnings.filterwarnings("ignore", message="One of the clusters is empty")
            centres, found = kmeans2(rows, bins, iter=ITERATIONS, minit="++", rng=rng)
        spread = float(np.square(rows - centres[found]).sum())
        if spread < least:
            best, least = found, spread
    return best.astype(np.int64)


def label_classes(labels: ArrayLike, scheme: str, classes: int) -> Bins:
    """Return each label's class, exactly as the field's accuracy of as many classes has them.

    Args:
        labels: Labels [N].
        scheme: Label scheme, a key of `msa_core.metrics.SCHEMES`.
        classes: Number of classes: 2 (negative or positive; 0 belongs to the positive ones in
            `mosi`, to the negative ones in `sims`), 3, 5, or 7 in `mosi`.

    Returns:
        [N], in 0..classes - 1, rising with the label.

    Raises:
        ValueError: an unknown scheme, another number of classes, or labels that are not finite.
    """
    numbers = _require_finite("labels", labels, 1)
    if scheme not in _CLASSES or classes not in _CLASSES[scheme]:
        known = "; ".join(f"{name}: {', '.join(map(str, of))}" for name, of in _CLASSES.items())
        raise ValueError(f"{classes} classes of scheme '{scheme}' are not among {known}")
    name, examples = _CLASSES[scheme][classes]
    metric = SCHEMES[scheme][name]
    right = [metric.terms(np.full_like(numbers, label), numbers)[:, 0] for label in examples]
    found: Bins = np.stack(right).argmax(axis=0).astype(np.int64)
    return found


def discretise_values(values: ArrayLike, bins: int, rng: np.random.Generator) -> Bins:
    """Sort a modality's values into bins, whatever they are given as.

    Args:
        values: Integers [N], which are bins already; numbers [N], which get quantile bins; or
            embeddings [N, D], which get clusters.
        bins: Number of bins; unused where the values are bins already.
        rng: Generator of the clusters' starts.

    Raises:
        ValueError: another shape, or values that are not finite.
    """
    array = np.asarray(values)
    if array.ndim == 1 and array.dtype.kind in "biu":
        return array.astype(np.int64)
    return cluster_rows(array, bins, rng) if array.ndim == 2 else quantile_bins(array, bins)


def joint_counts(first: Bins, second: Bins, labels: Bins) -> Bins:
    """Count how often each combination occurs: [X, Z, Y].

    A bin that never occurs has no row, so the numbers that stand for the bins don't matter.

    Raises:
        ValueError: the three are not [N] with the same N >= 1.
    """
    if first.ndim != 1 or not first.size or not first.shape == second.shape == labels.shape:
        raise ValueError(
            "first, second and labels must all be [N] with the same N >= 1, but their shapes are "
            f"{first.shape}, {second.shape} and {labels.shape}"
        )
    codes = [np.unique(bins, return_inverse=True) for bins in (first, second, labels)]
    shape = tuple(len(values) for values, _ in codes)
    flat = np.ravel_multi_index([code for _, code in codes], shape)
    return np.bincount(flat, minlength=int(np.prod(shape))).reshape(shape).astype(np.int64)


def _require_finite(what: str, values: ArrayLike, axes: int) -> Values:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != axes or not array.size:
        raise ValueError(
            f"{what} must have {axes} axes and at least one row, but the shape is {array.shape}"
        )
    if not np.isfinite(array).all():
        row = int(np.flatnonzero(~np.isfinite(array.reshape(len(array), -1)).all(axis=1))[0])
        raise ValueError(f"{what}, row {row}: every number must be finite; leave such rows out")
    return array


def _check_bins(bins: int) -> None:
    if bins < 2:
        raise ValueError(f"at least 2 bins are needed, but {bins} were asked for")
