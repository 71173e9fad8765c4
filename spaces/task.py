"""The contract of a task: its metrics, which score predictions against labels.

Standard library and NumPy only.
"""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray


class DescribedMetric(Protocol):
    """A metric; it may have `lowest` and `highest`, the ends of its range or None, as well."""

    @property
    def name(self) -> str:
        """Name in study files."""

    @property
    def label(self) -> str:
        """Name in tables and plots."""

    @property
    def higher_is_better(self) -> bool:
        """Whether a larger value is a better one."""


class Metric(DescribedMetric, Protocol):
    """A linear metric: a function of means of terms, so that a bootstrap is a matrix product."""

    def terms(self, predictions: ArrayLike, labels: ArrayLike) -> NDArray[np.float64]:
        """Compute each example's contributions [N, k] from predictions and labels of N examples."""

    def combine(self, means: NDArray[np.float64]) -> NDArray[np.float64]:
        """Compute the metric [...] from the means [..., k] of its terms."""


class GeneralMetric(DescribedMetric, Protocol):
    """A metric that is no function of means of terms; a bootstrap resamples its examples."""

    def score(self, predictions: ArrayLike, labels: ArrayLike) -> float:
        """Compute the metric of N examples; NaN where it is undefined."""

    def resample(
        self, predictions: ArrayLike, labels: ArrayLike, counts_BN: ArrayLike
    ) -> NDArray[np.float64]:
        """Compute the metric [B] of resamples; b has example n `counts_BN[b, n]` times."""


Task = Mapping[str, DescribedMetric]
"""What predictions and labels are: name -> metric, the default first."""
