"""The metrics that the field's papers report, exactly defined.

Every metric is a function of means: `terms` gives a few numbers per utterance, `combine` makes the
metric from their means over the utterances. So a metric of any weighting of the utterances (a
bootstrap sample, a fold) costs one matrix product and needs no second definition.

Definitions are those of the public MMSA code (github.com/thuiar/MMSA, `utils/metricsTop.py`),
except that nothing is rounded to four digits. What is undefined (a correlation with constant
predictions, say) is NaN here and absent from `score_predictions`.

Letters in shapes: N utterances, k terms, C classes.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from msa_core.config.fields import LABEL_SCHEMES, METRICS_LOWER_IS_BETTER

Values = NDArray[np.float64]
Classes = NDArray[np.int64]
Classify = Callable[[Values], Classes]


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric of predictions against labels.

    Attributes:
        name: Name, as in `LABEL_SCHEMES`.
        label: Name in tables and plots.
        bound: Bound to which predictions and labels are first clipped, on both sides.
        terms_of: Function of clipped predictions [N] and labels [N] that returns terms [N, k];
            see `terms`.
        combination: Function of the terms' means [..., k] that returns the metric [...]; see
            `combine`.
    """

    name: str
    label: str
    bound: float
    terms_of: Callable[[Values, Values], Values]
    combination: Callable[[Values], Values]

    @property
    def higher_is_better(self) -> bool:
        """Whether a larger value is a better one."""
        return self.name not in METRICS_LOWER_IS_BETTER

    def terms(self, predictions: ArrayLike, labels: ArrayLike) -> Values:
        """Compute each utterance's contributions to the metric.

        Args:
            predictions: Predictions [N], N >= 1.
            labels: Labels [N]; row n of both is the same utterance.

        Returns:
            [N, k]. A row whose prediction or label is not finite is NaN.

        Raises:
            ValueError: not two rows of equally many numbers, or none at all.
        """
        predicted = np.asarray(predictions, dtype=np.float64)
        wanted = np.asarray(labels, dtype=np.float64)
        if predicted.ndim != 1 or predicted.shape != wanted.shape or not predicted.size:
            raise ValueError(
                "predictions and labels must both be [N] with N >= 1, but their shapes are "
                f"{predicted.shape} and {wanted.shape}"
            )
        usable = np.isfinite(predicted) & np.isfinite(wanted)
        predicted = np.clip(predicted, -self.bound, self.bound)
        wanted = np.clip(wanted, -self.bound, self.bound)
        with np.errstate(invalid="ignore", over="ignore"):
            terms = self.terms_of(predicted, wanted)
        # NaN and not "wrong": through the mean the whole metric becomes NaN, since a diverged
        # model has no accuracy.
        return np.where(usable[:, np.newaxis], terms, np.nan)

    def combine(self, means: Values) -> Values:
        """Compute the metric from the means of its terms.

        Args:
            means: Means [..., k] over utterances of what `terms` returns, weighted or not.

        Returns:
            [...]; NaN where the metric is undefined.
        """
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            return self.combination(means)


def score_predictions(scheme: str, predictions: ArrayLike, labels: ArrayLike) -> dict[str, float]:
    """Compute every defined metric of a label scheme, in the order of the field's tables.

    Args:
        scheme: Label scheme, a key of `SCHEMES`.
        predictions: Predictions [N], N >= 1, of the model: neither clipped nor rounded.
        labels: Labels [N], as the data have them.

    Returns:
        Name -> value. A metric that is undefined is left out: every one of them where a
        prediction is not finite.

    Raises:
        KeyError: an unknown scheme.
        ValueError: not two rows of equally many numbers.
    """
    values = {
        name: float(metric.combine(metric.terms(predictions, labels).mean(axis=0)))
        for name, metric in SCHEMES[scheme].items()
    }
    return {name: value for name, value in values.items() if not math.isnan(value)}


# --- Terms and their combinations.


def _absolute_error(predicted: Values, wanted: Values) -> Values:
    return np.abs(predicted - wanted)[:, np.newaxis]


def _moment_terms(predicted: Values, wanted: Values) -> Values:
    # Pearson's r does not depend on the origin. That of the first utterance leaves a constant
    # exactly 0 and keeps the difference of large moments out of the variance.
    x, y = predicted - predicted[0], wanted - wanted[0]
    return np.stack([x, y, x * x, y * y, x * y], axis=1)


def _pearson_correlation(means: Values) -> Values:
    x, y, xx, yy, xy = np.moveaxis(means, -1, 0)
    x_variance, y_variance = xx - x * x, yy - y * y
    # A resample of one value repeated leaves rounding error where its variance is 0.
    varies = (x_variance > 1e-12 * xx) & (y_variance > 1e-12 * yy)
    correlation = (xy - x * y) / (np.sqrt(x_variance) * np.sqrt(y_variance))
    return np.where(varies, np.clip(correlation, -1.0, 1.0), np.nan)


def _agreement_terms(classify: Classify, predicted: Values, wanted: Values) -> Values:
    same = np.equal(classify(predicted), classify(wanted))
    return same.astype(np.float64)[:, np.newaxis]


def _single_mean(means: Values) -> Values:
    mean: Values = means[..., 0]
    return mean


def _agreement_where_nonzero(classify: Classify, predicted: Values, wanted: Values) -> Values:
    kept = (wanted != 0.0).astype(np.float64)[:, np.newaxis]
    return np.concatenate([kept * _agreement_terms(classify, predicted, wanted), kept], axis=1)


def _ratio_of_means(means: Values) -> Values:
    return np.where(means[..., 1] > 0.0, means[..., 0] / means[..., 1], np.nan)


def _class_counts(classify: Classify, predicted: Values, wanted: Values) -> Values:
    """Mark for both classes whether predicted and true, predicted, and true: [N, 3 * 2]."""
    classes = np.arange(2)
    is_predicted = classify(predicted)[:, np.newaxis] == classes
    is_true = classify(wanted)[:, np.newaxis] == classes
    counts = np.concatenate([is_predicted & is_true, is_predicted, is_true], axis=1)
    return counts.astype(np.float64)


def _class_counts_where_nonzero(classify: Classify, predicted: Values, wanted: Values) -> Values:
    counts = _class_counts(classify, predicted, wanted)
    counts[wanted == 0.0] = 0.0
    return counts


def _weighted_f1(means: Values) -> Values:
    """Average the classes' F1, weighted by how often each is true."""
    hits, predicted, true = np.split(means, 3, axis=-1)
    # A class that is true somewhere has a denominator; one that is not has no weight.
    f1 = np.where(true > 0.0, 2.0 * hits / (predicted + true), 0.0)
    weight: Values = true.sum(axis=-1)
    return np.where(weight > 0.0, (true * f1).sum(axis=-1) / weight, np.nan)


# --- Classes.


def _is_not_negative(values: Values) -> Classes:
    return (values >= 0.0).astype(np.int64)


def _is_positive(values: Values) -> Classes:
    return (values > 0.0).astype(np.int64)


def _nearest_integer(values: Values) -> Classes:
    """Round half to even: 0.5 -> 0, 1.5 -> 2."""
    # Rows that are not finite become NaN later; until then they need some class.
    return np.nan_to_num(np.round(values)).astype(np.int64)


def _right_closed(cuts: tuple[float, ...], values: Values) -> Classes:
    """Return the bin of each value; a value on a cut is in the bin left of it."""
    # Compared in float32, as the field's code does: the float32 label 0.1 is on the cut 0.1,
    # although its float64 value is a little above.
    bins = np.searchsorted(np.array(cuts, np.float32), values.astype(np.float32), side="left")
    return bins.astype(np.int64)


# --- The table.

# MMSA clips the predictions of each accuracy of `mosi` to the range of its classes, and those of
# every metric of `sims` to the labels' range; without a bound nothing is clipped.
_ANY = math.inf
_Recipe = tuple[str, float, Callable[[Values, Values], Values], Callable[[Values], Values]]


def _sims_bins(*cuts: float) -> Classify:
    return partial(_right_closed, cuts)


_RECIPES: dict[str, dict[str, _Recipe]] = {
    "mosi": {
        "mae": ("MAE", _ANY, _absolute_error, _single_mean),
        "corr": ("Corr", _ANY, _moment_terms, _pearson_correlation),
        "acc2_has0": (
            "Acc-2 (has 0)", _ANY, partial(_agreement_terms, _is_not_negative), _single_mean,
        ),
        "f1_has0": ("F1 (has 0)", _ANY, partial(_class_counts, _is_not_negative), _weighted_f1),
        "acc2_non0": (
            "Acc-2 (non 0)", _ANY, partial(_agreement_where_nonzero, _is_positive), _ratio_of_means,
        ),
        "f1_non0": (
            "F1 (non 0)", _ANY, partial(_class_counts_where_nonzero, _is_positive), _weighted_f1,
        ),
        "acc7": ("Acc-7", 3.0, partial(_agreement_terms, _nearest_integer), _single_mean),
        "acc5": ("Acc-5", 2.0, partial(_agreement_terms, _nearest_integer), _single_mean),
        "acc3": ("Acc-3", 1.0, partial(_agreement_terms, _nearest_integer), _single_mean),
    },
    "sims": {
        "mae": ("MAE", 1.0, _absolute_error, _single_mean),
        "corr": ("Corr", 1.0, _moment_terms, _pearson_correlation),
        "acc2": ("Acc-2", 1.0, partial(_agreement_terms, _is_positive), _single_mean),
        "f1": ("F1", 1.0, partial(_class_counts, _is_positive), _weighted_f1),
        "acc3": ("Acc-3", 1.0, partial(_agreement_terms, _sims_bins(-0.1, 0.1)), _single_mean),
        "acc5": (
            "Acc-5", 1.0, partial(_agreement_terms, _sims_bins(-0.7, -0.1, 0.1, 0.7)), _single_mean,
        ),
    },
}  # fmt: skip


SCHEMES: dict[str, dict[str, Metric]] = {
    scheme: {name: Metric(name, *_RECIPES[scheme][name]) for name in described.metrics}
    for scheme, described in LABEL_SCHEMES.items()
}
"""Label scheme -> name -> metric, with the names and the order of `LABEL_SCHEMES`."""
