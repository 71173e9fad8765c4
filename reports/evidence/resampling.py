"""The two-level paired bootstrap: seeds, and the test utterances that all of them share.

Every cell of a study is scored on the same utterances, so seeds and utterances are crossed, not
nested: a draw resamples the seeds and takes ONE resample of utterances for all cells. Drawing
utterances anew within each seed would average their error away and give intervals too short.

Shape suffixes: B draws of a chunk, N utterances, S seeds, M metrics, T terms of all metrics.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np

from reports.results import FloatArray, Metric

DRAWS = 10_000
CHUNK = 500
MAX_UNDEFINED = 0.05  # of the draws; with more, an interval of the rest would mislead
Name = TypeVar("Name", bound=Hashable)


class Interval(NamedTuple):
    """Percentile intervals of one difference: 95 %, and the 90 % that an equivalence needs.

    `of_utterances` is the variance that no number of seeds would shrink: what all seeds share of
    the luck of the test set.
    """

    low: float
    high: float
    low_90: float
    high_90: float
    of_utterances: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """An arm against another, as a rule the baseline: cells of both, same seed in row i of both."""

    arm_keys: tuple[str, ...]
    baseline_keys: tuple[str, ...]


def two_level_intervals(
    contrasts: Mapping[Name, Contrast],
    terms: Mapping[str, Sequence[FloatArray]],
    metrics: Sequence[Metric],
    seed: int,
    *,
    draws: int = DRAWS,
) -> dict[Name, list[Interval | None]]:
    """Percentile intervals of the mean paired difference, per contrast and metric.

    Utterance draws are shared by everything and seed draws by contrasts of equal size, so a
    contrast's interval depends on its own cells alone, whatever else is in the study.

    Args:
        contrasts: name -> cells to compare.
        terms: key of a cell -> for each metric its terms [N, k].
        metrics: in the order of the terms.
        seed: same seed, same digits.
        draws: bootstrap draws.

    Returns:
        name -> one interval a metric; None where more than 5 % of the draws are undefined.
    """
    if not contrasts:
        return {}
    stacked = {key: np.hstack(parts) for key, parts in terms.items()}
    first_key = next(iter(terms))
    ends = np.cumsum([part.shape[1] for part in terms[first_key]])[:-1]
    utterance_rng, seed_rng = np.random.default_rng(seed).spawn(2)
    largest = max(len(contrast.arm_keys) for contrast in contrasts.values())
    # One row a seed: a contrast of S seeds reads the first S rows, however many others have.
    uniform = seed_rng.random((largest, draws))
    deltas = {name: np.empty((draws, len(metrics))) for name in contrasts}
    shared = {
        name: _SharedVariance(len(contrast.arm_keys), len(metrics))
        for name, contrast in contrasts.items()
    }
    for start in range(0, draws, CHUNK):
        rows = slice(start, min(start + CHUNK, draws))
        size = rows.stop - rows.start
        weights_BN = utterance_weights(size, len(stacked[first_key]), utterance_rng)
        values_BM = {
            # A product a cell, not one for all: a digit never depends on a cell's neighbours.
            key: _values(weights_BN @ terms_NT, ends, metrics)
            for key, terms_NT in stacked.items()
        }
        for name, contrast in contrasts.items():
            count = len(contrast.arm_keys)
            seeds_BS = (uniform[:count, rows] * count).astype(np.intp).T
            differences_BSM = np.stack(
                [
                    values_BM[arm] - values_BM[baseline]
                    for arm, baseline in zip(contrast.arm_keys, contrast.baseline_keys, strict=True)
                ],
                axis=1,
            )
            shared[name].add(differences_BSM)
            drawn_BSM = np.take_along_axis(differences_BSM, seeds_BS[:, :, None], axis=1)
            deltas[name][rows] = drawn_BSM.mean(axis=1)
    return {
        name: [
            _percentiles(column, of_utterances)
            for column, of_utterances in zip(values.T, shared[name].of_metrics(), strict=True)
        ]
        for name, values in deltas.items()
    }


def utterance_weights(draws: int, utterances: int, rng: np.random.Generator) -> FloatArray:
    """Resampling weights [B, N]: how often each utterance was drawn, over N. Rows sum to 1."""
    picked = rng.integers(0, utterances, (draws, utterances))
    picked += utterances * np.arange(draws)[:, None]
    counts = np.bincount(picked.ravel(), minlength=draws * utterances)
    return counts.reshape(draws, utterances) / utterances


def _values(means_BT: FloatArray, ends: FloatArray, metrics: Sequence[Metric]) -> FloatArray:
    parts = np.split(means_BT, ends, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.stack(
            [metric.combine(part) for metric, part in zip(metrics, parts, strict=True)], axis=1
        )


class _SharedVariance:
    """Mean covariance of two seeds' differences over draws of utterances alone, by metric."""

    def __init__(self, seeds: int, metrics: int) -> None:
        self._draws_M: FloatArray = np.zeros(metrics)
        self._sum_SM: FloatArray = np.zeros((seeds, metrics))
        self._squares_SM: FloatArray = np.zeros((seeds, metrics))
        self._squares_of_mean_M: FloatArray = np.zeros(metrics)

    def add(self, differences_BSM: FloatArray) -> None:
        """One chunk of draws; one that is undefined for some seed does not count."""
        defined_B1M = np.isfinite(differences_BSM).all(axis=1, keepdims=True)
        counted_BSM = np.where(defined_B1M, differences_BSM, 0.0)
        self._draws_M += defined_B1M.sum(axis=(0, 1))
        self._sum_SM += counted_BSM.sum(axis=0)
        self._squares_SM += (counted_BSM**2).sum(axis=0)
        self._squares_of_mean_M += (counted_BSM.mean(axis=1) ** 2).sum(axis=0)

    def of_metrics(self) -> list[float]:
        """The covariance, at least 0, a metric; of a single seed its variance."""
        seeds, draws_M = len(self._sum_SM), np.maximum(self._draws_M, 1)
        means_SM = self._sum_SM / draws_M
        variance_M = (self._squares_SM / draws_M - means_SM**2).mean(axis=0)
        of_mean_M = self._squares_of_mean_M / draws_M - means_SM.mean(axis=0) ** 2
        # var(mean) = (mean variance + (seeds - 1) * mean covariance) / seeds
        shared_M = (seeds * of_mean_M - variance_M) / (seeds - 1) if seeds > 1 else of_mean_M
        return [float(value) for value in np.maximum(shared_M, 0.0)]


def _percentiles(deltas: FloatArray, of_utterances: float) -> Interval | None:
    defined = deltas[np.isfinite(deltas)]
    if defined.size < (1 - MAX_UNDEFINED) * deltas.size:
        return None
    low, high, low_90, high_90 = np.quantile(defined, [0.025, 0.975, 0.05, 0.95])
    return Interval(float(low), float(high), float(low_90), float(high_90), of_utterances)
