"""Metrics of numbers [N], or of K numbers per example [N, K]: means over the K columns.

Functions of moments take them about the median of each column: there a constant is exactly 0, and
a large offset does not drown the variance.
"""

import numpy as np

from spaces.metrics.kinds import Values, as_columns

# A resample of one value repeated leaves rounding error where its variance is 0.
NO_VARIANCE = 1e-12


def absolute_errors(predicted: Values, wanted: Values) -> Values:
    """Compute the absolute error [N, 1], the mean of the columns'."""
    errors: Values = np.abs(_errors(predicted, wanted)).mean(axis=1, keepdims=True)
    return errors


def squared_errors(predicted: Values, wanted: Values) -> Values:
    """Compute the squared error of each column [N, K]."""
    return np.square(_errors(predicted, wanted))


def root_of_means(means: Values) -> Values:
    """Compute the mean over columns of the root of a mean."""
    return _mean_of_columns(np.sqrt(means))


def determination_terms(predicted: Values, wanted: Values) -> Values:
    """Compute label, its square and the squared error of each column [N, 3 K]."""
    y = _centre(wanted)
    return _join_columns(y, y * y, np.square(_errors(predicted, wanted)))


def determination(means: Values) -> Values:
    """Compute 1 - squared error / variance of the labels."""
    y, yy, error = _split_columns(means, 3)
    variance = yy - y * y
    return _mean_of_columns(np.where(variance > NO_VARIANCE * yy, 1.0 - error / variance, np.nan))


def moment_terms(predicted: Values, wanted: Values) -> Values:
    """Compute prediction, label, their squares, product and difference of each column [N, 6 K]."""
    difference = _errors(predicted, wanted)
    x, y = _centre(predicted), _centre(wanted)
    return _join_columns(x, y, x * x, y * y, x * y, difference)


def pearson_correlation(means: Values) -> Values:
    """Compute Pearson's correlation from moments."""
    x, y, xx, yy, xy, _ = _split_columns(means, 6)
    x_variance, y_variance = xx - x * x, yy - y * y
    varies = (x_variance > NO_VARIANCE * xx) & (y_variance > NO_VARIANCE * yy)
    found = (xy - x * y) / (np.sqrt(x_variance) * np.sqrt(y_variance))
    return _mean_of_columns(np.where(varies, np.clip(found, -1.0, 1.0), np.nan))


def concordance(means: Values) -> Values:
    """Compute Lin's concordance correlation coefficient from moments (Lin 1989)."""
    x, y, xx, yy, xy, difference = _split_columns(means, 6)
    x_variance, y_variance = xx - x * x, yy - y * y
    x_variance = np.where(x_variance > NO_VARIANCE * xx, x_variance, 0.0)
    y_variance = np.where(y_variance > NO_VARIANCE * yy, y_variance, 0.0)
    # Where one of the two is constant, only rounding error is left of their covariance.
    covariance = np.where((x_variance > 0) & (y_variance > 0), xy - x * y, 0.0)
    spread = x_variance + y_variance + np.square(difference)
    return _mean_of_columns(np.where(spread > 0.0, 2.0 * covariance / spread, np.nan))


def _errors(predicted: Values, wanted: Values) -> Values:
    errors: Values = as_columns(predicted) - as_columns(same_shape(predicted, wanted))
    return errors


def same_shape(predicted: Values, wanted: Values) -> Values:
    """Return the labels, after a check that predictions have as many columns.

    Raises:
        ValueError: They have not; NumPy would repeat the narrower one.
    """
    if as_columns(predicted).shape != as_columns(wanted).shape:
        raise ValueError(
            f"predictions must have the shape of the labels, {wanted.shape}, but theirs is "
            f"{predicted.shape}"
        )
    return wanted


def _centre(values: Values) -> Values:
    columns = as_columns(values)
    centred: Values = columns - np.median(columns, axis=0)
    return centred


def _join_columns(*terms: Values) -> Values:
    """Join terms [N, K] to [N, K T], column by column."""
    joined: Values = np.stack(terms, axis=-1).reshape(len(terms[0]), -1)
    return joined


def _split_columns(means: Values, count: int) -> Values:
    """Split means [..., K T] into T parts [..., K]."""
    split: Values = np.moveaxis(means.reshape(*means.shape[:-1], -1, count), -1, 0)
    return split


def _mean_of_columns(values: Values) -> Values:
    mean: Values = np.asarray(values.mean(axis=-1))
    return mean
