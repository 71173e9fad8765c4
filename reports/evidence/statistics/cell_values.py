"""Values of the metrics of cells, in the sample and in draws of examples.

Every sum over examples of a linear metric is exact (`exact.round_to_grid`), so one product for many
cells gives each of them the digits that it would have alone. A general metric is resampled, cell
by cell, with the same draws.

Shape suffixes: B draws of a chunk, N examples, M metrics, C cells, T terms of all metrics,
P positions of terms that are computed alike.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reports.evidence.statistics.exact import fits_float32, round_to_grid
from reports.results import (
    FloatArray,
    GeneralDefinition,
    LinearDefinition,
    MetricDefinition,
    Results,
    shape_predictions,
)

BLOCK = 64  # cells whose metrics are computed at once


@dataclass(frozen=True, eq=False)
class Examples:
    """Test examples of one cell, for a metric that has no terms.

    Attributes:
        predictions: Predictions, N rows.
        labels: Labels, N rows.
    """

    predictions: NDArray[np.float32]
    labels: NDArray[np.float32]

    @property
    def size(self) -> int:
        """Number of numbers that are the cell's own."""
        return int(self.predictions.size)


Part = FloatArray | Examples  # what one metric needs of a cell: its terms [N, k], or the examples
Parts = Sequence[Part]  # of one cell, one per metric


def is_resampled(metric: MetricDefinition) -> bool:
    """Check whether a metric has a value on resampled examples."""
    return isinstance(metric, LinearDefinition | GeneralDefinition)


def part_of_cell(results: Results, key: str, metric: MetricDefinition) -> Part:
    """Return what a metric needs of a cell whose test predictions are known."""
    assert results.labels is not None
    predictions = shape_predictions(results.predictions[key], results.labels)
    if isinstance(metric, LinearDefinition):
        return np.asarray(metric.terms(predictions, results.labels), dtype=np.float64)
    return Examples(predictions, results.labels)


def value_of_part(metric: MetricDefinition, part: Part) -> float:
    """Return a metric's value; NaN where it is undefined."""
    with np.errstate(divide="ignore", invalid="ignore"):
        if isinstance(part, Examples):
            assert isinstance(metric, GeneralDefinition)
            return float(metric.score(part.predictions, part.labels))
        assert isinstance(metric, LinearDefinition)
        return float(metric.combine(part.mean(axis=0)))


def select_examples(part: Part, rows: NDArray[np.intp]) -> Part:
    """Return the part of some examples."""
    if isinstance(part, Examples):
        return Examples(part.predictions[rows], part.labels[rows])
    return part[rows]


def count_examples(part: Part) -> int:
    """Return the number of examples."""
    return len(part.labels if isinstance(part, Examples) else part)


class CellValues:
    """Values of all metrics of all cells, ready for draws of examples."""

    def __init__(
        self,
        keys: Sequence[str],
        of_cell: Callable[[str], Parts],
        metrics: Sequence[MetricDefinition],
    ) -> None:
        linear = {m: one for m, one in enumerate(metrics) if isinstance(one, LinearDefinition)}
        self._general = {
            m: one
            for m, one in enumerate(metrics)
            if m not in linear and isinstance(one, GeneralDefinition)
        }
        self._metrics, self._count = len(metrics), len(keys)
        self._examples_MC: dict[int, list[Examples]] = {m: [] for m in self._general}
        self.examples = 0

        def keep_examples(key: str) -> list[FloatArray]:
            """Keep the examples of a cell, and return the terms of its linear metrics."""
            parts = of_cell(key)
            self.examples = count_examples(parts[0])
            for m, own in self._examples_MC.items():
                part = parts[m]
                assert isinstance(part, Examples)
                own.append(part)
            return [part for part in parts if not isinstance(part, Examples)]

        self._linear = list(linear)
        self._terms: _CellTerms | None = None
        if linear:
            self._terms = _CellTerms(keys, keep_examples, list(linear.values()))
        else:
            for key in keys:
                keep_examples(key)

    def metric_values(self, counts_BN: NDArray[np.int64]) -> FloatArray:
        """Compute every metric of every cell in every draw: [M, C, B]; NaN where undefined."""
        values_MCB = np.empty((self._metrics, self._count, len(counts_BN)))
        if self._terms is not None:
            of_linear_MCB = self._terms.metric_values(counts_BN)
            if not self._general:
                return of_linear_MCB
            values_MCB[self._linear] = of_linear_MCB
        for m, metric in self._general.items():
            for c, cell in enumerate(self._examples_MC[m]):
                values_MCB[m, c] = metric.resample(cell.predictions, cell.labels, counts_BN)
        return values_MCB


class _CellTerms:
    """Terms of all cells, ready for products with draws of examples.

    Terms of one position, say "the prediction is right", are alike in all cells: those that are
    the same numbers everywhere are stored once, and whole numbers as float32, which is twice as
    fast.
    """

    def __init__(
        self,
        keys: Sequence[str],
        of_cell: Callable[[str], Sequence[FloatArray]],
        metrics: Sequence[LinearDefinition],
    ) -> None:
        self._metrics, self._count = metrics, len(keys)
        first = of_cell(keys[0])
        self._ends = np.cumsum([part.shape[1] for part in first])
        self._examples = len(first[0])
        terms_TCN = np.empty((self._ends[-1], len(keys), self._examples))
        for index, key in enumerate(keys):
            parts = first if index == 0 else of_cell(key)
            terms_TCN[:, index] = round_to_grid(np.hstack(parts), self._examples).T
        self._tables: list[NDArray[np.floating]] = []
        # Position of a term -> index of its table, and its index in the table.
        self._table_of: dict[int, tuple[int, int]] = {}
        kinds: dict[tuple[bool, bool], list[int]] = {}
        for t, slab_CN in enumerate(terms_TCN):
            same = len(keys) > 1 and bool((slab_CN == slab_CN[:1]).all())
            whole = fits_float32(slab_CN[: 1 if same else None], self._examples)
            kinds.setdefault((same, whole), []).append(t)
        for (same, whole), chosen in kinds.items():
            self._table_of |= {t: (len(self._tables), p) for p, t in enumerate(chosen)}
            kept = [terms_TCN[t, : 1 if same else None] for t in chosen]
            self._tables.append(
                np.stack(kept, dtype=np.float32 if whole else np.float64, casting="same_kind")
            )

    def metric_values(self, counts_BN: NDArray[np.int64]) -> FloatArray:
        """Compute every metric of every cell in every draw: [M, C, B]; NaN where undefined."""
        long_NB = np.ascontiguousarray(counts_BN.T, dtype=np.float64)
        short_NB = long_NB.astype(np.float32)
        sums = [
            (
                table_PCN.reshape(-1, self._examples)
                @ (short_NB if table_PCN.dtype == np.float32 else long_NB)
            ).reshape(*table_PCN.shape[:2], -1)
            for table_PCN in self._tables
        ]
        values_MCB = np.empty((len(self._metrics), self._count, len(counts_BN)))
        for begin in range(0, self._count, BLOCK):
            block = slice(begin, min(begin + BLOCK, self._count))
            self._combine_block(sums, block, values_MCB[:, block])
        return values_MCB

    def _combine_block(
        self, sums: Sequence[NDArray[np.floating]], block: slice, into_MCB: FloatArray
    ) -> None:
        starts = [0, *self._ends[:-1]]
        for index, (start, end) in enumerate(zip(starts, self._ends, strict=True)):
            means_TCB = np.empty((end - start, *into_MCB.shape[1:]))
            for t in range(start, end):
                table, position = self._table_of[t]
                of_cells = sums[table][position]
                np.divide(
                    of_cells if len(of_cells) == 1 < self._count else of_cells[block],
                    self._examples,
                    out=means_TCB[t - start],
                    dtype=np.float64,
                )
            with np.errstate(divide="ignore", invalid="ignore"):
                into_MCB[index] = self._metrics[index].combine(np.moveaxis(means_TCB, 0, -1))
