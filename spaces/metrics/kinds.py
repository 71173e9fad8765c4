"""The three kinds of metrics: linear, general, and a user's own.

Shape suffixes: N examples, B resamples of them.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Values = NDArray[np.float64]
Resampler = Callable[[Values], Values]
"""Function of how often each example is in each resample [N, B] that returns the metric [B]."""

# Numbers in one array of examples by resamples: small enough for a processor's cache.
CHUNK = 2**17


@dataclass(frozen=True, kw_only=True, slots=True)
class DescribedValue:
    """The description that all kinds of metrics share.

    Attributes:
        name: Name in study files.
        label: Name in tables and plots.
        higher_is_better: Whether a larger value is a better one.
        lowest, highest: Ends of the range; None where there is no end.
    """

    name: str
    label: str
    higher_is_better: bool = True
    lowest: float | None = 0.0
    highest: float | None = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class LinearMetric(DescribedValue):
    """A function of means of terms; see `spaces.task.Metric`.

    Attributes:
        terms_of: Function of finite predictions and labels that returns terms [N, k].
        combination: Function of the terms' means [..., k] that returns the metric [...].
    """

    terms_of: Callable[[Values, Values], Values]
    combination: Callable[[Values], Values]

    def terms(self, predictions: ArrayLike, labels: ArrayLike) -> Values:
        """Compute each example's contributions [N, k]; NaN where something is not finite.

        Raises:
            ValueError: Predictions and labels are not of the same N >= 1 examples.
        """
        predicted, wanted, usable_N = _read_examples(predictions, labels)
        with np.errstate(all="ignore"):
            terms = self.terms_of(predicted, wanted)
        # NaN and not "wrong": through the mean the whole metric becomes undefined, since a
        # diverged model has no accuracy.
        return np.where(usable_N[:, np.newaxis], terms, np.nan)

    def combine(self, means: Values) -> Values:
        """Compute the metric [...] from the means [..., k] of its terms; NaN where undefined."""
        with np.errstate(all="ignore"):
            return self.combination(means)

    def score(self, predictions: ArrayLike, labels: ArrayLike) -> float:
        """Compute the metric of N examples; NaN where it is undefined."""
        return float(self.combine(self.terms(predictions, labels).mean(axis=0)))


@dataclass(frozen=True, kw_only=True, slots=True)
class ResampledMetric(DescribedValue):
    """A metric that is no function of means of terms; see `spaces.task.GeneralMetric`.

    Attributes:
        resampler_of: Function of finite predictions and labels that sorts them, once, and returns
            a resampler; None where the metric is undefined for such predictions.
    """

    resampler_of: Callable[[Values, Values], Resampler | None]

    def score(self, predictions: ArrayLike, labels: ArrayLike) -> float:
        """Compute the metric of N examples; NaN where it is undefined."""
        return float(self.resample(predictions, labels, np.ones((1, len(np.asarray(labels)))))[0])

    def resample(
        self, predictions: ArrayLike, labels: ArrayLike, counts_BN: ArrayLike
    ) -> NDArray[np.float64]:
        """Compute the metric [B] of resamples; NaN where it is undefined.

        Args:
            predictions: Predictions of N examples.
            labels: Labels of the same examples.
            counts_BN: How often each example is in each resample.

        Raises:
            ValueError: Predictions, labels and counts are not of the same N >= 1 examples.
        """
        predicted, wanted, usable_N = _read_examples(predictions, labels)
        counts = np.asarray(counts_BN)
        if counts.ndim != 2 or counts.shape[1] != len(wanted):
            raise ValueError(
                f"counts of {len(wanted)} examples are [B, {len(wanted)}], but their shape is "
                f"{counts.shape}"
            )
        resampler = self.resampler_of(predicted, wanted) if usable_N.all() else None
        values_B = np.full(len(counts), np.nan)
        if resampler is None:
            return values_B
        size = max(1, CHUNK // len(wanted))
        for start in range(0, len(counts), size):
            chunk = slice(start, start + size)
            with np.errstate(all="ignore"):
                # Examples come first, so that sorting them moves whole rows.
                values_B[chunk] = resampler(np.ascontiguousarray(counts[chunk].T, dtype=np.float64))
        return values_B


@dataclass(frozen=True, slots=True)
class OwnMetric:
    """A metric that the core alone can compute, with a function of the user's.

    It has neither terms nor resamples: intervals can be over seeds only.

    Attributes:
        name: Name in study files, tables and plots.
        higher_is_better: Whether a larger value is a better one.
    """

    name: str
    higher_is_better: bool

    @property
    def label(self) -> str:
        """Name in tables and plots."""
        return self.name


def as_columns(values: Values) -> Values:
    """Return [N, K] from [N] or [N, K]."""
    return values.reshape(len(values), -1)


def _read_examples(
    predictions: ArrayLike, labels: ArrayLike
) -> tuple[Values, Values, NDArray[np.bool_]]:
    """Return predictions, labels, and whether all numbers of an example are finite [N]."""
    predicted = np.asarray(predictions, dtype=np.float64)
    wanted = np.asarray(labels, dtype=np.float64)
    if not (predicted.ndim and wanted.ndim and len(predicted) == len(wanted) > 0):
        raise ValueError(
            "predictions and labels must be of the same examples, at least one, but their shapes "
            f"are {predicted.shape} and {wanted.shape}"
        )
    both = np.concatenate([as_columns(predicted), as_columns(wanted)], axis=1)
    return predicted, wanted, np.asarray(np.isfinite(both).all(axis=1))
