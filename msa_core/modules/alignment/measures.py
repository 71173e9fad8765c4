"""Pair alignment: a loss on two modalities' representations of the same utterances.

Shapes: B utterances, D = width of a projected modality, R = 2 B rows of both.
Every measure is a distance, never negative. Those that compare distributions (`cov`, `cmd`,
`mmd`) or relations (`rkd`) are 0 for two equal sides; for `paircov`, `infonce` and `cca` see there.
A measure's numbers may be 0-d tensors: the members of a pack have their own.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from msa_core.config.alignment import CcaOptions
from msa_core.modules.parts.similarity import (
    ROUNDINGS,
    Number,
    info_nce,
    require_pair,
    squared_distances,
    unit_rows,
)

Numbers = Mapping[str, Number]

MOMENTS = 5


def covariance_alignment(
    first_BD: Tensor, second_BD: Tensor, numbers: Numbers | None = None, options: Any = None
) -> Tensor:
    """Squared distance of two modalities' covariances.

    Formula: ||C_p - C_q||_F^2 / (4 D^2).

    It compares distributions and never uses which row belongs to which: any permutation of the
    rows of either side leaves it as it is. Shrinking both sides to 0 minimises it: watch
    `mean_norm`, or use `unit_variance` rows.

    Args:
        first_BD: Projected utterance vectors of one modality, B >= 2.
        second_BD: Same utterances in the other modality.
        numbers: Not read.
        options: Not read.

    Returns:
        Scalar >= 0, unweighted. Two independent standard normal batches give
        (1 + 1/D) / (2 (B - 1)) on average: below that floor it only follows sampling noise.

    Raises:
        ValueError: fewer than two utterances, or two widths.
    """
    require_pair("covariance_alignment", first_BD, second_BD)
    return covariance_distance(covariance_matrix(first_BD), covariance_matrix(second_BD))


def covariance_distance(first_DD: Tensor, second_DD: Tensor) -> Tensor:
    """Compute the squared distance of two covariances, ||C_p - C_q||_F^2 / (4 D^2), >= 0."""
    return (first_DD - second_DD).square().sum() / (4 * first_DD.shape[1] ** 2)


def covariance_matrix(rows_BD: Tensor) -> Tensor:
    """Compute the covariance of the columns, [D, D], with B - 1 in the denominator."""
    centred_BD = rows_BD - rows_BD.mean(dim=0, keepdim=True)
    return centred_BD.T @ centred_BD / (len(rows_BD) - 1)


def running_average(old: Tensor, new: Tensor, momentum: Number, step: Number) -> Tensor:
    """Update a running average over batches, weighted by momentum^age.

    Formula: m old + (1 - m) new, m = momentum (1 - momentum^step) / (1 - momentum^(step + 1)),
    which is the average of all batches so far, not one that starts at 0.

    Args:
        old: Average of the `step` batches before. No gradient reaches it.
        new: Value of this batch. Its gradient is that of a share 1 - m of the average.
        momentum: Number in [0, 1).
        step: Number of batches so far, 0 at the first.
    """
    # 0 at step 0, where `old` means nothing; but it must be finite, since 0 * nan is nan.
    kept = momentum * (1 - momentum**step) / (1 - momentum ** (step + 1))
    return kept * old.detach() + (1 - kept) * new


def covariance_floor(first_BD: Tensor, second_BD: Tensor) -> Tensor:
    """Estimate the mean of `covariance_alignment` for two sides drawn from one normal.

    Formula: (tr(C^2) + tr(C)^2) / (2 (B - 1) D^2), which is (1 + 1/D) / (2 (B - 1)) for C = I.
    Both traces are estimated without bias from the pooled covariance S of n = 2 (B - 1) degrees
    of freedom: their sum is n^2 [(1 - 2/n) tr(S^2) + tr(S)^2] / ((n - 1) (n + 2)).

    Args:
        first_BD: Projected utterance vectors of one modality, B >= 2.
        second_BD: Same utterances in the other modality.

    Returns:
        Scalar >= 0: a distance at or below it is sampling noise.
    """
    require_pair("covariance_floor", first_BD, second_BD)
    utterances, width = first_BD.shape
    pooled_DD = (covariance_matrix(first_BD) + covariance_matrix(second_BD)) / 2
    n = 2 * (utterances - 1)
    # Without the correction, S put for C, the floor would be 1.6 % too high at B = 32, D = 128.
    squared_trace = torch.diagonal(pooled_DD).sum().square()
    traces = (1 - 2 / n) * pooled_DD.square().sum() + squared_trace
    return traces * n**2 / ((n - 1) * (n + 2)) / (n * width**2)


def mean_norm(rows_BD: Tensor) -> Tensor:
    """Compute the mean length of the rows: it tells an alignment from a collapse to 0."""
    norms_B: Tensor = torch.linalg.vector_norm(rows_BD, dim=1)
    return norms_B.mean()


def unit_variance(rows_BD: Tensor) -> Tensor:
    """Divide columns by their standard deviation in the batch, B >= 2; they are not centred.

    A covariance becomes a correlation. A column that is constant, up to rounding, stays as it is.
    """
    _, _, deviation_1D = _column_deviations(rows_BD)
    return rows_BD / deviation_1D


def paired_covariance(
    first_BD: Tensor, second_BD: Tensor, numbers: Numbers, options: Any = None
) -> Tensor:
    """Distance of the two modalities' correlation, entry by entry, from the identity.

    Unlike `covariance_alignment` it uses which rows belong together.

    Formula: (1/D) sum_i (1 - R_ii)^2 + beta / (D (D - 1)) sum_{i != j} R_ij^2, R = corr(p, q).

    Args:
        first_BD: Projected utterance vectors of one modality, B >= 2.
        second_BD: Same utterances in the other modality.
        numbers: Numbers of the measure: `off_diagonal` = beta >= 0.
        options: Not read.

    Returns:
        Scalar >= 0: 0 for equal sides with uncorrelated columns, about 1 for independent sides. A
        constant column correlates with nothing.

    Raises:
        ValueError: fewer than two utterances, or two widths.
    """
    require_pair("paired_covariance", first_BD, second_BD)
    utterances, width = first_BD.shape
    correlation_DD = (
        _standardise_columns(first_BD).T @ _standardise_columns(second_BD) / (utterances - 1)
    )
    own_D = torch.diagonal(correlation_DD)
    others_DD = correlation_DD - torch.diag_embed(own_D)
    off_diagonal = others_DD.square().sum() / max(width * (width - 1), 1)
    return (1 - own_D).square().mean() + numbers["off_diagonal"] * off_diagonal


def central_moment_discrepancy(
    first_BD: Tensor, second_BD: Tensor, numbers: Numbers | None = None, options: Any = None
) -> Tensor:
    """Distance of the two modalities' means and central moments, column by column.

    Formula: ||mean difference|| + sum_{k=2..5} ||difference of the k-th central moments||.
    Fifth powers: for features in a bounded range, such as after a sigmoid.

    Args:
        first_BD: Vectors of one modality, B >= 2.
        second_BD: Same utterances in the other modality.
        numbers: Not read.
        options: Not read.

    Returns:
        Scalar >= 0; permutations of rows do not change it.

    Raises:
        ValueError: fewer than two utterances, or two widths.
    """
    require_pair("central_moment_discrepancy", first_BD, second_BD)
    first_1D, second_1D = (rows.mean(dim=0, keepdim=True) for rows in (first_BD, second_BD))
    differences = [(first_1D - second_1D)[0]]
    powers = centred = [first_BD - first_1D, second_BD - second_1D]
    for _ in range(2, MOMENTS + 1):
        # Products and not a power, whose last bits depend on an entry's position in memory, and so
        # on the size of a pack.
        powers = [
            power_BD * centred_BD for power_BD, centred_BD in zip(powers, centred, strict=True)
        ]
        differences.append(powers[0].mean(dim=0) - powers[1].mean(dim=0))
    norms: Tensor = torch.linalg.vector_norm(torch.stack(differences), dim=1)
    return norms.sum()


def mean_discrepancy(
    first_BD: Tensor, second_BD: Tensor, numbers: Numbers, options: Any = None
) -> Tensor:
    """Squared maximum mean discrepancy with a Gaussian kernel.

    Formula: mean k(p, p') + mean k(q, q') - 2 mean k(p, q), k = exp(-distance^2 / (2 h^2)),
    h = bandwidth * root mean square distance of two different rows of both sides (stop-gradient).
    The biased estimate, which counts a row with itself: never negative, and 0 for equal sides.
    The bandwidth follows the scale of the features, so shrinking them gains nothing.

    Args:
        first_BD: Projected utterance vectors of one modality, B >= 2.
        second_BD: Same utterances in the other modality.
        numbers: Numbers of the measure: `bandwidth` > 0.
        options: Not read.

    Returns:
        Scalar in [0, 2]; permutations of rows do not change it.

    Raises:
        ValueError: fewer than two utterances, or two widths.
    """
    require_pair("mean_discrepancy", first_BD, second_BD)
    utterances = len(first_BD)
    rows_RD = torch.cat([first_BD, second_BD])
    squared_RR = squared_distances(rows_RD)
    mean_squared = squared_RR.sum() / (len(rows_RD) * (len(rows_RD) - 1))
    # Rows that are all equal up to rounding have no scale: then the kernel is 1.
    epsilon = torch.finfo(rows_RD.dtype).eps
    smallest = (ROUNDINGS * epsilon) ** 2 * rows_RD.square().sum(dim=1).mean() + epsilon**2
    variance = torch.maximum(mean_squared, smallest).detach() * numbers["bandwidth"] ** 2
    kernel_RR = torch.exp(-squared_RR / (2 * variance))
    first_B, second_B = slice(None, utterances), slice(utterances, None)
    within = kernel_RR[first_B, first_B].mean() + kernel_RR[second_B, second_B].mean()
    # Never negative but for rounding.
    return torch.relu(within - 2 * kernel_RR[first_B, second_B].mean())


def relational_distance(
    first_BD: Tensor, second_BD: Tensor, numbers: Numbers | None = None, options: Any = None
) -> Tensor:
    """Difference of the utterances' distances to one another in the two modalities, both ways.

    Formula: A(p, stopgrad q) + A(q, stopgrad p), A = `directed_relational_distance`.

    Args:
        first_BD: Vectors or outputs of one modality, B >= 2.
        second_BD: Same utterances in the other modality.
        numbers: Not read.
        options: Not read.

    Returns:
        Scalar >= 0; 0 if one side is the other, rotated and scaled.

    Raises:
        ValueError: fewer than two utterances, or two widths.
    """
    require_pair("relational_distance", first_BD, second_BD)
    forth = directed_relational_distance(first_BD, second_BD)
    return forth + directed_relational_distance(second_BD, first_BD)


def directed_relational_distance(moving_BD: Tensor, fixed_BD: Tensor) -> Tensor:
    """Compare the rows' distances to one another with those of a side kept fixed.

    Formula: mean_ij Huber_1(psi(moving)_ij - psi(stopgrad fixed)_ij), psi = D / mean(D),
    D_ij = ||u_i - u_j||, u = rows of length 1.
    """
    # As in the public SAMM code both means are over all B^2 entries, the zeros of the diagonal
    # included.
    found_BB, wanted_BB = _relative_distances(moving_BD), _relative_distances(fixed_BD)
    return functional.smooth_l1_loss(found_BB, wanted_BB.detach())


def _relative_distances(rows_BD: Tensor) -> Tensor:
    # The floor keeps the gradient of the root finite where two rows coincide.
    distances_BB = squared_distances(unit_rows(rows_BD)).clamp(min=1e-12).sqrt()
    return distances_BB / (distances_BB.mean() + 1e-8)


def contrastive_alignment(
    first_BD: Tensor, second_BD: Tensor, numbers: Numbers, options: Any = None
) -> Tensor:
    """Symmetric InfoNCE of the two modalities; `temperature` is among the numbers.

    Formula: (CE(S, I) + CE(S^T, I)) / 2, S = cosines of p and q / temperature.

    Equal sides do not make it 0: that would need other utterances infinitely far away.
    """
    return info_nce(first_BD, second_BD, numbers["temperature"])


def canonical_distance(
    first_BD: Tensor, second_BD: Tensor, numbers: Numbers, options: CcaOptions
) -> Tensor:
    """Distance of the canonical correlations of the two modalities from 1.

    Formula: k - sum of the k largest singular values of
    (R_pp + ridge I)^(-1/2) R_pq (R_qq + ridge I)^(-1/2), R = correlations.
    Deep CCA minimises minus that sum; k is added to make it a distance as the other measures are.

    Equal sides give sum_i ridge / (lambda_i + ridge), which is not 0. Without a ridge every
    correlation is 1 as soon as B - 1 <= D: it must grow with D / B.

    Args:
        first_BD: Projected utterance vectors of one modality, B >= 2.
        second_BD: Same utterances in the other modality.
        numbers: Numbers of the measure: `ridge` > 0, a share of a column's variance; below 1e-5
            it is lost in float32.
        options: Options of the measure: `components` = number of correlations k, up to D; 0 = all.

    Returns:
        Scalar in [0, k]; NaN where a side's regularised correlations have no Cholesky factor.

    Raises:
        ValueError: fewer than two utterances, two widths, or k out of range.
    """
    require_pair("canonical_distance", first_BD, second_BD)
    utterances, width = first_BD.shape
    count = options.components or width
    if count > width:
        raise ValueError(
            f"canonical_distance needs components of 1 to the width {width}, but got {count}"
        )
    first_BD, second_BD = _standardise_columns(first_BD), _standardise_columns(second_BD)
    between_DD = first_BD.T @ second_BD / (utterances - 1)
    first_factor_DD = _cholesky_factor(first_BD, numbers["ridge"])
    second_factor_DD = _cholesky_factor(second_BD, numbers["ridge"])
    half_DD = torch.linalg.solve_triangular(first_factor_DD, between_DD, upper=False)
    white_DD = torch.linalg.solve_triangular(second_factor_DD, half_DD.T, upper=False)
    # LAPACK raises where it meets a NaN, and would take the other members of a pack along.
    is_finite = white_DD.isfinite().all()
    largest = torch.linalg.svdvals(torch.where(is_finite, white_DD, 0.0))[:count]
    return torch.where(is_finite, (1 - largest.clamp(max=1.0)).sum(), torch.nan)


def _cholesky_factor(standardised_BD: Tensor, ridge: Number) -> Tensor:
    """Return the lower factor of the columns' correlations plus the ridge; NaN without one."""
    correlation_DD = standardised_BD.T @ standardised_BD / (len(standardised_BD) - 1)
    identity_DD = torch.eye(
        len(correlation_DD), dtype=correlation_DD.dtype, device=correlation_DD.device
    )
    # `cholesky` would raise for all members of a pack if one of them has no factor.
    factor_DD, failed = torch.linalg.cholesky_ex(correlation_DD + ridge * identity_DD)
    return torch.where(failed == 0, factor_DD, torch.nan)


def _standardise_columns(rows_BD: Tensor) -> Tensor:
    """Scale columns to mean 0 and variance 1; zeros where a column is constant."""
    centred_BD, varies_1D, deviation_1D = _column_deviations(rows_BD)
    return torch.where(varies_1D, centred_BD, 0.0) / deviation_1D


def _column_deviations(rows_BD: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return centred rows, whether columns vary by more than rounding, and deviations (else 1)."""
    centred_BD = rows_BD - rows_BD.mean(dim=0, keepdim=True)
    variance_1D = centred_BD.square().sum(dim=0, keepdim=True) / (len(rows_BD) - 1)
    rounding = (ROUNDINGS * torch.finfo(rows_BD.dtype).eps) ** 2
    # Not `>`: a column that is NaN must not pass for a constant one.
    varies_1D = ~(variance_1D <= rounding * rows_BD.square().mean(dim=0, keepdim=True))
    return centred_BD, varies_1D, torch.where(varies_1D, variance_1D, 1.0).sqrt()


def private_term(distance: Tensor, margin: Tensor | float) -> Tensor:
    """Compute the term of a pair whose information is kept private, before its weight.

    relu(margin - distance) / margin, in [0, 1]: it pushes the pair apart up to the margin and no
    further. A shared pair adds the distance itself.
    """
    # Bounded: minus the distance would diverge by scaling the features.
    return torch.relu(margin - distance) / margin
