"""The two-level paired bootstrap: seeds, and the test utterances that all of them share.

Every cell of a study is scored on the same utterances, so seeds and utterances are crossed, not
nested: a draw resamples the seeds and takes ONE resample of utterances for all cells. Drawing
utterances anew within each seed would average their error away and give intervals too short.

Shape suffixes: B draws of a chunk, N utterances, S seeds, M metrics, C cells.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import special

from reports.evidence.statistics.cell_values import CellValues, Parts
from reports.results import FloatArray, MetricDefinition

DRAWS = 10_000
CHUNK = 500
TERMS_BYTES = 256 * 2**20  # for the terms of cells that are resampled together
MAX_UNDEFINED = 0.05  # share of the draws; with more, an interval of the rest would mislead
Name = TypeVar("Name", bound=Hashable)


class Interval(NamedTuple):
    """Percentile intervals of one difference: 95 %, and the 90 % that an equivalence needs.

    `of_utterances` is the variance that no number of seeds would shrink: the part of the chance of
    the test set that all seeds share. With `seeds_only` that part is unknown, and not in the ends.
    """

    low: float
    high: float
    low_90: float
    high_90: float
    of_utterances: float = 0.0
    seeds_only: bool = False


@dataclass(frozen=True, kw_only=True)
class PairedCells:
    """Cells of an arm and of another, as a rule the baseline; same seed at index i of both."""

    arm_keys: tuple[str, ...]
    baseline_keys: tuple[str, ...]


def pair_by_seed(own: Mapping[int, str], others: Mapping[int, str]) -> PairedCells | None:
    """Pair the cells of two arms by the seeds that both have; None without one.

    Args:
        own: Seed -> key of the arm's cell; the pairs are in this order.
        others: Seed -> key of the other arm's cell.
    """
    shared = [seed for seed in own if seed in others]
    if not shared:
        return None
    return PairedCells(
        arm_keys=tuple(own[seed] for seed in shared),
        baseline_keys=tuple(others[seed] for seed in shared),
    )


def two_level_intervals(
    contrasts: Mapping[Name, PairedCells],
    parts: Mapping[str, Parts] | Callable[[str], Parts],
    metrics: Sequence[MetricDefinition],
    seed: int,
    *,
    draws: int = DRAWS,
) -> dict[Name, list[Interval | None]]:
    """Compute percentile intervals of the mean paired difference, per contrast and metric.

    Utterance draws are shared by everything and seed draws by contrasts of equal size, so a
    contrast's interval depends on its own cells alone, whatever else is in the study.

    Args:
        contrasts: Name -> cells to compare.
        parts: Key of a cell -> for each metric its terms [N, k], or the examples. A function is
            called once per cell and batch of contrasts, so that not all are in memory at once.
        metrics: Metrics in the order of the parts, each linear or general.
        seed: Seed of all draws.
        draws: Number of bootstrap draws.

    Returns:
        Name -> one interval per metric; None where more than 5 % of the draws are undefined.
    """
    if not contrasts:
        return {}
    of_cell = parts if callable(parts) else parts.__getitem__
    found: dict[Name, list[Interval | None]] = {}
    for batch in _split_into_batches(contrasts, of_cell):
        found |= _intervals_of_batch(batch, of_cell, metrics, seed, draws)
    return found


def _split_into_batches(
    contrasts: Mapping[Name, PairedCells], of_cell: Callable[[str], Parts]
) -> list[dict[Name, PairedCells]]:
    """Split contrasts into batches that fit into memory; the batches change no digit."""
    first = next(iter(contrasts.values())).arm_keys[0]
    most = max(1, TERMS_BYTES // sum(part.size * 8 for part in of_cell(first)))
    batches: list[dict[Name, PairedCells]] = []
    keys: set[str] = set()
    for name, contrast in contrasts.items():
        keys |= {*contrast.arm_keys, *contrast.baseline_keys}
        if not batches or len(keys) > most:
            batches.append({})
            keys = {*contrast.arm_keys, *contrast.baseline_keys}
        batches[-1][name] = contrast
    return batches


def _intervals_of_batch(
    contrasts: Mapping[Name, PairedCells],
    of_cell: Callable[[str], Parts],
    metrics: Sequence[MetricDefinition],
    seed: int,
    draws: int,
) -> dict[Name, list[Interval | None]]:
    keys = sorted({k for c in contrasts.values() for k in (*c.arm_keys, *c.baseline_keys)})
    index_of = {key: index for index, key in enumerate(keys)}
    cells = CellValues(keys, of_cell, metrics)
    utterance_rng, seed_rng = np.random.default_rng(seed).spawn(2)
    largest = max(len(contrast.arm_keys) for contrast in contrasts.values())
    # One row per seed: a contrast of S seeds reads the first S rows, however many others have.
    uniform = seed_rng.random((largest, draws))
    pairs = {
        name: (
            np.array([index_of[key] for key in contrast.arm_keys]),
            np.array([index_of[key] for key in contrast.baseline_keys]),
        )
        for name, contrast in contrasts.items()
    }
    sizes = {len(own) for own, _ in pairs.values()}
    deltas = {name: np.empty((len(metrics), draws)) for name in contrasts}
    shared = {name: _SharedVariance(len(own), len(metrics)) for name, (own, _) in pairs.items()}
    # In chunks, because the counts of all draws for all utterances would fill the memory.
    for start in range(0, draws, CHUNK):
        rows = slice(start, min(start + CHUNK, draws))
        counts_BN = draw_utterance_counts(rows.stop - rows.start, cells.examples, utterance_rng)
        values_MCB = cells.metric_values(counts_BN)
        seeds = {size: _draw_seed_counts(uniform[:size, rows]) for size in sizes}
        for name, (own, others) in pairs.items():
            differences_MSB = values_MCB[:, own] - values_MCB[:, others]
            shared[name].add_chunk(differences_MSB)
            deltas[name][:, rows] = _drawn_means(differences_MSB, seeds[len(own)])
    return {
        name: [
            _percentile_interval(row, of_utterances)
            for row, of_utterances in zip(values, shared[name].variance_by_metric(), strict=True)
        ]
        for name, values in deltas.items()
    }


def draw_utterance_counts(
    draws: int, utterances: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Count how often each utterance is drawn, [B, N]. Rows sum to N."""
    picked = rng.integers(0, utterances, (draws, utterances))
    # Each row gets bins of its own, so that one `bincount` counts all rows.
    picked += utterances * np.arange(draws)[:, None]
    counts = np.bincount(picked.ravel(), minlength=draws * utterances)
    return counts.reshape(draws, utterances)


def _draw_seed_counts(uniform_SB: FloatArray) -> FloatArray:
    """Count how often each of S seeds is drawn: [S, B]; columns sum to S."""
    size = len(uniform_SB)
    picked_SB = (uniform_SB * size).astype(np.intp)
    counts_SB: FloatArray = np.stack([(picked_SB == s).sum(axis=0) for s in range(size)]) * 1.0
    return counts_SB


def _drawn_means(differences_MSB: FloatArray, counts_SB: FloatArray) -> FloatArray:
    """Compute means over the drawn seeds, [M, B]; NaN where an undefined one was drawn."""
    size = len(counts_SB)
    defined_MSB = np.isfinite(differences_MSB)
    if defined_MSB.all():
        means_MB: FloatArray = (differences_MSB * counts_SB).sum(axis=1) / size
        return means_MB
    sums_MB = (np.where(defined_MSB, differences_MSB, 0.0) * counts_SB).sum(axis=1)
    undefined_MB = (~defined_MSB & (counts_SB > 0)).any(axis=1)
    return np.where(undefined_MB, np.nan, sums_MB / size)


def seeds_only_interval(differences: FloatArray) -> Interval | None:
    """Compute Student's intervals of the mean of paired differences [S]; None with fewer than two.

    For a metric that has no value on resampled utterances. With a few seeds a percentile interval
    would be too short.
    """
    if differences.size < 2:
        return None
    mean = float(differences.mean())
    error = float(differences.std(ddof=1)) / np.sqrt(differences.size)
    # Without variance the ends are the mean: 0 times any quantile.
    reach, reach_90 = (
        float(special.stdtrit(differences.size - 1, share)) * error for share in (0.975, 0.95)
    )
    return Interval(mean - reach, mean + reach, mean - reach_90, mean + reach_90, seeds_only=True)


class _SharedVariance:
    """Mean covariance of two seeds' differences over draws of utterances alone, per metric.

    Sums are updated chunk by chunk, so that no draw is stored.
    """

    def __init__(self, seeds: int, metrics: int) -> None:
        self._draws_M: FloatArray = np.zeros(metrics)
        self._sum_MS: FloatArray = np.zeros((metrics, seeds))
        self._squares_MS: FloatArray = np.zeros((metrics, seeds))
        self._squares_of_mean_M: FloatArray = np.zeros(metrics)

    def add_chunk(self, differences_MSB: FloatArray) -> None:
        """Add one chunk of draws; a draw that is undefined for some seed does not count."""
        counted_MSB = differences_MSB
        defined_M1B = np.isfinite(differences_MSB).all(axis=1, keepdims=True)
        if not defined_M1B.all():
            counted_MSB = np.where(defined_M1B, differences_MSB, 0.0)
        self._draws_M += defined_M1B.sum(axis=(1, 2))
        self._sum_MS += counted_MSB.sum(axis=2)
        self._squares_MS += np.square(counted_MSB).sum(axis=2)
        self._squares_of_mean_M += np.square(counted_MSB.mean(axis=1)).sum(axis=1)

    def variance_by_metric(self) -> list[float]:
        """Return the covariance of each metric, at least 0; with a single seed its variance."""
        seeds, draws_M = self._sum_MS.shape[1], np.maximum(self._draws_M, 1)
        means_MS = self._sum_MS / draws_M[:, None]
        variance_M = (self._squares_MS / draws_M[:, None] - means_MS**2).mean(axis=1)
        of_mean_M = self._squares_of_mean_M / draws_M - means_MS.mean(axis=1) ** 2
        # var(mean) = (mean variance + (seeds - 1) * mean covariance) / seeds
        shared_M = (seeds * of_mean_M - variance_M) / (seeds - 1) if seeds > 1 else of_mean_M
        return [float(value) for value in np.maximum(shared_M, 0.0)]


def _percentile_interval(deltas: FloatArray, of_utterances: float) -> Interval | None:
    defined = deltas[np.isfinite(deltas)]
    if defined.size < (1 - MAX_UNDEFINED) * deltas.size:
        return None
    low, high, low_90, high_90 = np.quantile(defined, [0.025, 0.975, 0.05, 0.95])
    return Interval(float(low), float(high), float(low_90), float(high_90), of_utterances)
