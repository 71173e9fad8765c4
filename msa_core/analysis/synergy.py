"""Bounds of the synergy of two modalities without labels of both together.

What is known: p(x1, y) and p(x2, y) from labelled utterances of one modality each, and p(x1, x2)
from unlabelled utterances of both. Redundancy and uniqueness then are exact, because they depend
on the first two tables only; synergy lies between bounds, as many joint tables agree with all
three.

Shape suffixes: X, Z, Y values of the first modality, the second one and the label.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize

from msa_core.analysis.broja import conditional_product
from msa_core.analysis.information import entropy_bits, normalise_table
from msa_core.analysis.pid import PID, decompose_joint

Values = NDArray[np.float64]
AGREEMENT = 1e-6  # largest difference of two tables' values of one probability
MAX_STEPS = 3000
UNREACHED = 1e-4  # probability that no joint table can place
# Pinsker's inequality proves this constant. The released code has 1, which is no bound: in 133 of
# 93,400 random tables it exceeded the true synergy.
PROVEN_CONSTANT = 1.0 / (4.0 * math.log(2.0))


@dataclass(frozen=True, kw_only=True, slots=True)
class SynergyBounds:
    """Bounds on a decomposition from three pairwise tables, in bits.

    Attributes:
        redundancy, unique_first, unique_second: Exact values, up to `gap`.
        lower_shared: Least synergy of any joint table with the three pairwise ones,
            R - I(X1; X2) + min I(X1; X2 | Y). No larger lower bound can be true.
        disagreement: Expected squared distance of p(y | x1) and p(y | x2), alpha.
        lower_disagreement: Lower bound alpha / (4 ln 2) - max(unique_first, unique_second); may
            be below 0.
        released_disagreement: Difference alpha - max(unique_first, unique_second), as in the
            authors' code. Not a bound: some joint tables have less synergy.
        upper: Upper bound from the least entropy that a coupling of the tables can have.
        gap: Certificate; no exact value is further than this from the one here.
    """

    redundancy: float
    unique_first: float
    unique_second: float
    lower_shared: float
    disagreement: float
    lower_disagreement: float
    released_disagreement: float
    upper: float
    gap: float


def synergy_bounds(
    first_label: ArrayLike, second_label: ArrayLike, first_second: ArrayLike
) -> SynergyBounds:
    """Bound the synergy from the three pairwise tables.

    Args:
        first_label: Table [X, Y], p(x1, y) or counts.
        second_label: Table [Z, Y], p(x2, y) or counts.
        first_second: Table [X, Z], p(x1, x2) or counts.

    Raises:
        ValueError: not distributions; the tables disagree on p(x1), p(x2) or p(y), or no joint
            table has all three: estimate them from the same utterances, or from so many that
            they agree.
        NotConvergedError: see `decompose_joint`.
    Source: after Liang et al., arXiv:2306.04539; the constant of the disagreement bound is ours
        (Pinsker's inequality for both modalities, and |v|_1^2 >= 2 |v|_2^2 where v sums to 0).
    """
    first_XY = normalise_table("first_label", first_label, 2)
    second_ZY = normalise_table("second_label", second_label, 2)
    pair_XZ = normalise_table("first_second", first_second, 2)
    _check_agreement(first_XY, second_ZY, pair_XZ)
    parts = _union_parts(first_XY, second_ZY)
    union = parts.redundancy + parts.unique_first + parts.unique_second
    label, pair = float(entropy_bits(first_XY.sum(axis=0))), float(entropy_bits(pair_XZ.ravel()))
    alpha = _expected_disagreement(first_XY, second_ZY, pair_XZ)
    unique = max(parts.unique_first, parts.unique_second)
    return SynergyBounds(
        redundancy=parts.redundancy,
        unique_first=parts.unique_first,
        unique_second=parts.unique_second,
        # I(X1, X2; Y) = H(X1, X2) + H(Y) - H(X1, X2, Y), less what is no synergy.
        lower_shared=pair + label - _largest_entropy(first_XY, second_ZY, pair_XZ) - union,
        disagreement=alpha,
        lower_disagreement=PROVEN_CONSTANT * alpha - unique,
        released_disagreement=alpha - unique,
        upper=pair + label - _least_entropy(first_XY, second_ZY, pair_XZ) - union + parts.gap,
        gap=parts.gap,
    )


def least_coupled_entropy(first: ArrayLike, second: ArrayLike) -> float:
    """Compute an entropy in bits that no coupling of two distributions can be below.

    That of the most even distribution that is as uneven as both (the greatest lower bound of the
    majorisation order); never below the entropy of either.

    Args:
        first: Probabilities [...], summing to 1; their shape does not matter.
        second: Probabilities of the other distribution; of any shape too.

    Source: Cicalese, Gargano & Vaccaro 2019.
    """
    size = max(np.size(first), np.size(second))
    sums = [
        np.cumsum(np.pad(-np.sort(-np.ravel(values)), (0, size - np.size(values))))
        for values in (first, second)
    ]
    steps = np.diff(np.minimum(*sums), prepend=0.0)
    return float(entropy_bits(np.maximum(steps, 0.0)))


def _union_parts(first_XY: Values, second_ZY: Values) -> PID:
    """Decompose any joint with both tables."""
    # Everything but the synergy depends on the two tables only, so any joint that has them does.
    return decompose_joint(conditional_product(first_XY[np.newaxis], second_ZY[np.newaxis])[0])


def _expected_disagreement(first_XY: Values, second_ZY: Values, pair_XZ: Values) -> float:
    difference = _conditional_table(first_XY)[:, np.newaxis] - _conditional_table(second_ZY)
    return float((pair_XZ * np.square(difference).sum(axis=2)).sum())


def _conditional_table(table: Values) -> Values:
    """Return p(y | x) of p(x, y); 0 where x never occurs."""
    rows: Values = table.sum(axis=1, keepdims=True)
    return np.divide(table, rows, out=np.zeros_like(table), where=rows > 0.0)


def _least_entropy(first_XY: Values, second_ZY: Values, pair_XZ: Values) -> float:
    """Compute an H(X1, X2, Y) that no joint with the three tables is below."""
    return max(
        least_coupled_entropy(pair_XZ, first_XY.sum(axis=0)),
        least_coupled_entropy(first_XY, pair_XZ.sum(axis=0)),
        least_coupled_entropy(second_ZY, pair_XZ.sum(axis=1)),
    )


def _largest_entropy(first_XY: Values, second_ZY: Values, pair_XZ: Values) -> float:
    """Compute the H(X1, X2, Y) that no joint with the three tables exceeds, in bits.

    The dual of the maximum, log sum exp(a + b + c) - a p(x1, y) - b p(x2, y) - c p(x1, x2), is at
    least as large at any a, b, c: wherever the minimiser stops, the bound holds.
    """
    (x, y), z = first_XY.shape, len(second_ZY)
    ends = np.cumsum([x * y, z * y])
    tables = np.concatenate([first_XY.ravel(), second_ZY.ravel(), pair_XZ.ravel()])
    there = (first_XY > 0.0)[:, np.newaxis] & (second_ZY > 0.0) & (pair_XZ > 0.0)[:, :, np.newaxis]

    def dual_value(point: Values) -> tuple[float, Values]:
        a, b, c = np.split(point, ends)
        exponent = a.reshape(x, 1, y) + b.reshape(z, y) + c.reshape(x, z, 1)
        exponent = np.where(there, exponent, -np.inf)
        # Logarithm of a sum of exponentials: without the largest taken out it would overflow.
        largest = exponent.max()
        weights = np.exp(exponent - largest)
        total = weights.sum()
        weights /= total
        sums = [weights.sum(axis=axis).ravel() for axis in (1, 0, 2)]
        value = float(largest + np.log(total) - point @ tables)
        return value, np.concatenate(sums) - tables

    if not there.any():
        raise ValueError(_NO_JOINT)
    start = np.zeros(len(tables))
    start[: ends[1]] = np.log(np.maximum(tables[: ends[1]], 1e-12))
    found = minimize(
        dual_value,
        start,
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": MAX_STEPS, "maxfun": 10 * MAX_STEPS, "ftol": 1e-16, "gtol": 1e-12,
                 "maxcor": 30},
    )  # fmt: skip
    if np.abs(found.jac).sum() > UNREACHED:
        raise ValueError(_NO_JOINT)
    return float(found.fun) / math.log(2.0)


_NO_JOINT = (
    "no joint table has the three tables first_label, second_label and first_second, though they "
    "agree on p(x1), p(x2) and p(y); estimate them from the same utterances"
)


def _check_agreement(first_XY: Values, second_ZY: Values, pair_XZ: Values) -> None:
    claims = {
        "p(y)": ("first_label", first_XY.sum(axis=0), "second_label", second_ZY.sum(axis=0)),
        "p(x1)": ("first_label", first_XY.sum(axis=1), "first_second", pair_XZ.sum(axis=1)),
        "p(x2)": ("second_label", second_ZY.sum(axis=1), "first_second", pair_XZ.sum(axis=0)),
    }
    for what, (one, left, other, right) in claims.items():
        if left.shape != right.shape:
            raise ValueError(
                f"{what}: {one} has {len(left)} values of it, {other} has {len(right)}; "
                "first_label is [X, Y], second_label [Z, Y], first_second [X, Z]"
            )
        distance = float(np.abs(left - right).max())
        if distance > AGREEMENT:
            raise ValueError(
                f"{what}: {one} and {other} differ by up to {distance:.2g}, but must agree to "
                f"{AGREEMENT:g}; estimate the tables from the same utterances"
            )
