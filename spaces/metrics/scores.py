"""Linear metrics of classes and probabilities: means of what is right of each example.

Predictions are those of `canonical_predictions`: scores [N] of a binary task or [N, K] of a
multilabel one, probabilities [N, C] or classes [N] of a multiclass one.
"""

import numpy as np
from numpy.typing import NDArray

from spaces.metrics.kinds import Values, as_columns
from spaces.metrics.regression import same_shape

BINS = 15
SMALLEST = float(np.finfo(np.float64).eps)  # probability of a class counted as impossible


def are_logits(scores: Values) -> bool:
    """Check whether scores are logits, as any below 0 or above 1 shows; else probabilities."""
    # In float32, as they are stored: 1 + 1e-12 would be a logit now and a probability later.
    with np.errstate(over="ignore"):
        stored = scores.astype(np.float32)
    return bool(((stored < 0) | (stored > 1)).any())


def positive_probabilities(scores: Values) -> Values:
    """Return the probabilities that scores stand for."""
    return sigmoid(scores) if are_logits(scores) else scores


def sigmoid(logits: Values) -> Values:
    """Return the probabilities of logits, without overflow."""
    small = np.exp(-np.abs(logits))
    return np.where(logits >= 0, 1.0, small) / (1.0 + small)


def is_positive(scores: Values) -> NDArray[np.bool_]:
    """Mark scores of the positive class: probabilities above 0.5, logits above 0."""
    return scores > (0.0 if are_logits(scores) else 0.5)


def classes_of(predicted: Values) -> Values:
    """Return the class [N] of each example, of the largest probability; of ties the first."""
    return predicted if predicted.ndim == 1 else predicted.argmax(axis=1).astype(np.float64)


def first_mean(means: Values) -> Values:
    """Return the mean of the only term."""
    mean: Values = means[..., 0]
    return mean


def binary_hits(predicted: Values, wanted: Values) -> Values:
    """Mark scores on the right side [N, 1]."""
    return _as_term(is_positive(predicted) == (same_shape(predicted, wanted) == 1))


def class_hits(predicted: Values, wanted: Values) -> Values:
    """Mark predictions of the right class [N, 1]."""
    return _as_term(classes_of(predicted) == wanted)


def row_hits(predicted: Values, wanted: Values) -> Values:
    """Mark examples with every label right [N, 1]."""
    right = is_positive(predicted) == (same_shape(predicted, wanted) == 1)
    return _as_term(as_columns(np.asarray(right, dtype=np.float64)).min(axis=1))


def positive_counts(predicted: Values, wanted: Values) -> Values:
    """Mark both, predicted and true positives of each of K labels [N, 3 K]."""
    found = as_columns(is_positive(predicted).astype(np.float64))
    true = as_columns(same_shape(predicted, wanted))
    return np.concatenate([found * true, found, true], axis=1)


def mean_f1(means: Values) -> Values:
    """Compute the mean of the labels' F1; 0 for one that is neither predicted nor true."""
    hits, found, true = np.split(means, 3, axis=-1)
    mean: Values = np.asarray(share_or_zero(2.0 * hits, found + true).mean(axis=-1))
    return mean


def pooled_f1(means: Values) -> Values:
    """Compute the F1 of all labels together."""
    hits, found, true = (part.sum(axis=-1) for part in np.split(means, 3, axis=-1))
    return share_or_zero(2.0 * hits, found + true)


def share_or_zero(parts: Values, wholes: Values) -> Values:
    """Divide parts by wholes; 0 where the whole is 0."""
    with np.errstate(all="ignore"):
        # A NaN mean must stay undefined: it is not above 0, nor is it 0.
        return np.where(wholes == 0.0, 0.0, parts / wholes)


def squared_distances(predicted: Values, wanted: Values) -> Values:
    """Compute the squared distance of probability and label [N, 1]."""
    return _as_term(np.square(positive_probabilities(predicted) - same_shape(predicted, wanted)))


def surprises(predicted: Values, wanted: Values) -> Values:
    """Compute minus the log probability of the true class [N, 1]; NaN where there are none."""
    if predicted.ndim == 1:
        return np.full((len(wanted), 1), np.nan)
    true_N = np.nan_to_num(wanted).astype(np.int64)
    of_true = np.take_along_axis(predicted, true_N[:, np.newaxis], axis=1)
    return -np.log(np.clip(of_true, SMALLEST, 1.0 - SMALLEST))


def binary_gaps(predicted: Values, wanted: Values) -> Values:
    """Compute label - probability in the bin of the probability [N, BINS]."""
    return _in_bins(positive_probabilities(predicted), same_shape(predicted, wanted))


def top_class_gaps(predicted: Values, wanted: Values) -> Values:
    """Compute hit - probability of the predicted class, in its bin [N, BINS]; NaN for classes."""
    if predicted.ndim == 1:
        return np.full((len(wanted), BINS), np.nan)
    return _in_bins(predicted.max(axis=1), (classes_of(predicted) == wanted).astype(np.float64))


def sum_of_gaps(means: Values) -> Values:
    """Compute the expected calibration error: bins' gaps by the share of examples in them."""
    total: Values = np.abs(means).sum(axis=-1)
    return total


def _in_bins(confidence_N: Values, outcome_N: Values) -> Values:
    # In float32, as they are stored: one that is on the edge of a bin then stays on its side.
    edges = np.linspace(0, 1, BINS + 1)[1:-1].astype(np.float32)
    bins_N = np.searchsorted(edges, confidence_N.astype(np.float32), side="right")
    gaps = np.zeros((len(confidence_N), BINS))
    gaps[np.arange(len(bins_N)), bins_N] = outcome_N.reshape(-1) - confidence_N.reshape(-1)
    return gaps


def _as_term(values: NDArray[np.bool_] | Values) -> Values:
    term: Values = values.astype(np.float64).reshape(len(values), -1)
    return term
