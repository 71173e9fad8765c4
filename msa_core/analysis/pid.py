"""Information of two modalities about the label: shared, of each alone, and of both together.

Partial information decomposition (BROJA) of I(X1, X2; Y), in bits:

    redundancy + unique_first                                = I(X1; Y)
    redundancy                + unique_second                = I(X2; Y)
    redundancy + unique_first + unique_second + synergy      = I(X1, X2; Y)

Synergy is the information in the joint table p(x1, x2, y) beyond that in the least predictable
table with the same p(x1, y) and p(x2, y) (`msa_core.analysis.broja`).

Two noisy views of one thing are synergistic in this sense, because together they are less noisy.
A synergy that is not 0 is no proof of an interaction like XOR.

Shape suffixes: R tables; X, Z, Y values of the first modality, the second one and the label.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from msa_core.analysis.binning import discretise_values, joint_counts
from msa_core.analysis.broja import least_predictable
from msa_core.analysis.information import entropy_bits, mutual_information, normalise_table

Values = NDArray[np.float64]
TOLERANCE = 1e-7  # bits, of a decomposition
# In bits, of the decompositions of permuted and resampled data: there are two thousand of them,
# and their spread is larger by far.
RESAMPLED_TOLERANCE = 1e-4
PERMUTATIONS = 999
DRAWS = 1000
TAILS = (0.025, 0.975)


@dataclass(frozen=True, kw_only=True, slots=True)
class PID:
    """A decomposition of I(X1, X2; Y), in bits.

    Attributes:
        redundancy: Information that either modality gives.
        unique_first, unique_second: Information that only this modality gives.
        synergy: Information that only both together give.
        gap: Certificate; no part is further than this from its exact value.
    """

    redundancy: float
    unique_first: float
    unique_second: float
    synergy: float
    gap: float

    @property
    def total(self) -> float:
        """I(X1, X2; Y)."""
        return self.redundancy + self.unique_first + self.unique_second + self.synergy


def decompose_joint(joint: ArrayLike, tolerance: float = TOLERANCE) -> PID:
    """Decompose a joint distribution.

    Args:
        joint: Table [X, Z, Y], p(x1, x2, y) or counts: only the ratios matter.
        tolerance: Largest gap in bits.

    Raises:
        ValueError: not three axes, an entry that is negative or not finite, or none above 0.
        NotConvergedError: the optimum is not known to the tolerance.
    Source: Bertschinger, Rauh, Olbrich, Jost & Ay 2014; on modalities after arXiv:2306.04539.
    """
    table_XZY = normalise_table("joint", joint, 3)
    parts, gap = _decompose_tables(table_XZY[np.newaxis], tolerance)
    redundancy, unique_first, unique_second, synergy = parts[0, :4].tolist()
    return PID(
        redundancy=redundancy,
        unique_first=unique_first,
        unique_second=unique_second,
        synergy=synergy,
        gap=float(gap[0]),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Quantity:
    """One part of the decomposition, estimated from utterances; in bits.

    Attributes:
        plug_in: Value of the table of counts as it is; too large on average.
        corrected: Value less its bias as the bootstrap estimates it; it can be below 0.
        low, high: Ends of the 95 % basic bootstrap interval, not below 0.
        null_mean: Mean of plug_in where labels are shuffled: the size of nothing at all.
        null_high: Quantile of plug_in where labels are shuffled, 95 %.
        p: Share of shuffles, this one counted, in which the part is as large; one-sided.
    """

    plug_in: float
    corrected: float
    low: float
    high: float
    null_mean: float
    null_high: float
    p: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Interactions:
    """Information of two modalities about the label in a set of utterances.

    Attributes:
        redundancy, unique_first, unique_second, synergy, total: Parts, and I(X1, X2; Y).
        estimate: Decomposition of the table of counts as it is.
        utterances: Number of utterances, N.
        cells: Number of cells [X, Z, Y] of the table. With few utterances per cell, say under
            5, the bootstrap corrects too little: read p, or use fewer bins.
    """

    redundancy: Quantity
    unique_first: Quantity
    unique_second: Quantity
    synergy: Quantity
    total: Quantity
    estimate: PID
    utterances: int
    cells: tuple[int, int, int]


PARTS = ("redundancy", "unique_first", "unique_second", "synergy", "total")


def measure_interactions(
    first: ArrayLike,
    second: ArrayLike,
    classes: ArrayLike,
    *,
    bins: int,
    rng: np.random.Generator,
    permutations: int = PERMUTATIONS,
    draws: int = DRAWS,
) -> Interactions:
    """Estimate redundancy, uniqueness and synergy of two modalities, with their uncertainty.

    The bins are made once, from all utterances: permutations and bootstrap draws keep them.

    Args:
        first: Predictions [N], embeddings [N, D] or bins [N] (integers) of one modality; see
            `binning.discretise_values`.
        second: Same utterances in the other modality.
        classes: Integers [N]; see `binning.label_classes`.
        bins: Number of bins of what is not in bins already.
        rng: Generator; the same state gives the same digits.
        permutations: Number of shuffles of the labels, at least 1. They test against labels that
            are independent of both modalities, so the p of one part is no evidence on another.
        draws: Number of bootstrap draws, at least 1.

    Raises:
        ValueError: not the same N everywhere, values that are not finite, labels that are not
            integers, or no shuffles or draws.
    """
    labels = np.asarray(classes)
    if labels.ndim != 1 or labels.dtype.kind not in "biu":
        raise ValueError(
            f"classes must be integers [N], but are {labels.dtype} of shape {labels.shape}; "
            "make them with binning.label_classes"
        )
    if permutations < 1 or draws < 1:
        raise ValueError(
            f"at least 1 permutation and 1 draw are needed, but got {permutations} and {draws}"
        )
    # One generator per use: more permutations must not change the bootstrap draws.
    start_rng, shuffle_rng, draw_rng = rng.spawn(3)
    first_bins = discretise_values(first, bins, start_rng)
    second_bins = discretise_values(second, bins, start_rng)
    counts = joint_counts(first_bins, second_bins, labels.astype(np.int64))
    estimate = decompose_joint(counts)
    shuffled = _shuffle_labels(counts, permutations, shuffle_rng)
    resampled = draw_rng.multinomial(len(labels), counts.ravel() / len(labels), draws)
    null, _ = _decompose_tables(shuffled / len(labels), RESAMPLED_TOLERANCE)
    drawn, _ = _decompose_tables(
        resampled.reshape(draws, *counts.shape) / len(labels), RESAMPLED_TOLERANCE
    )
    quantities = {
        part: _summarise_part(getattr(estimate, part), null[:, column], drawn[:, column])
        for column, part in enumerate(PARTS)
    }
    x, z, y = counts.shape
    return Interactions(**quantities, estimate=estimate, utterances=len(labels), cells=(x, z, y))


def _summarise_part(plug_in: float, null: Values, drawn: Values) -> Quantity:
    low, high = np.quantile(drawn, TAILS)
    # A resampled value is only known to its tolerance; a tie counts against the effect.
    as_large = int((null >= plug_in - RESAMPLED_TOLERANCE).sum())
    # The basic interval and not the percentile one: copies of a plug-in value, which is too
    # large, are too large twice, so that percentiles would nearly always exclude a true 0.
    return Quantity(
        plug_in=plug_in,
        corrected=2.0 * plug_in - float(drawn.mean()),
        low=max(2.0 * plug_in - float(high), 0.0),
        high=max(2.0 * plug_in - float(low), 0.0),
        null_mean=float(null.mean()),
        null_high=float(np.quantile(null, 0.95)),
        p=(1 + as_large) / (1 + len(null)),
    )


def _shuffle_labels(
    counts_XZY: NDArray[np.int64], permutations: int, rng: np.random.Generator
) -> Values:
    """Draw tables of counts [R, X, Z, Y] whose labels are independent of the modalities."""
    x, z, y = counts_XZY.shape
    pair = np.repeat(np.arange(x * z), counts_XZY.sum(axis=2).ravel())
    label = np.repeat(np.arange(y), counts_XZY.sum(axis=(0, 1)))
    tables = [
        np.bincount(pair * y + rng.permutation(label), minlength=x * z * y)
        for _ in range(permutations)
    ]
    return np.stack(tables).reshape(permutations, x, z, y).astype(np.float64)


def _decompose_tables(tables_RXZY: Values, tolerance: float) -> tuple[Values, Values]:
    """Compute the `PARTS` of every table [R, 5], and their gaps [R]."""
    tables, x, z, y = tables_RXZY.shape
    first = mutual_information(tables_RXZY.sum(axis=2))
    second = mutual_information(tables_RXZY.sum(axis=1))
    both = mutual_information(tables_RXZY.reshape(tables, x * z, y))
    optima = least_predictable(tables_RXZY, tolerance / 10.0)
    union = entropy_bits(tables_RXZY.sum(axis=(1, 2))) - optima.entropy
    # The exact value obeys these bounds; an optimum known to a tolerance may just miss them, and
    # a part would come out below 0.
    union = np.clip(union, np.maximum(first, second), np.minimum(both, first + second))
    parts = [first + second - union, union - second, union - first, both - union, both]
    return np.maximum(np.stack(parts, axis=1), 0.0), optima.gap
