"""Importance of searched fields for which candidates were good: PED-ANOVA.

The values are those of `optuna.importance.PedAnovaImportanceEvaluator`, to rounding, and the tests
compare the two. Computed here because the spread over resampled candidates needs a hundred of them
per arm: as arrays over all resamples that is a hundred times faster.

A field's importance is the Pearson divergence between the density of its values among the best
candidates and among all of them, both Parzen estimates on a grid. Candidates in which a conditional
field means nothing are no part of its densities, and weigh it down by their share.

Source: Watanabe, Bansal & Hutter 2023 (arXiv:2304.10255); conditional fields: arXiv:2601.20800.

Shape suffixes: N candidates, R resamples, G grid points.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, log2

import numpy as np
from numpy.typing import NDArray
from scipy import special

from reports.evidence.values import Candidate, FieldValue, Importance
from reports.results import FieldFacts, FloatArray

FEWEST = 10  # finished candidates that an arm needs
BEST = 5  # candidates at least; importance is that for being among the best ones
BEST_SHARE = 0.1  # of the candidates
RESAMPLES = 100
GRID = 50
_NARROWEST = 0.5 / 1.64  # grid steps; a kernel's standard deviation
_FLOOR = 1e-12  # added to a density, so that no division is by 0


@dataclass(frozen=True, kw_only=True, eq=False)
class _BinnedField:
    """Values of a field on its grid.

    Attributes:
        at: Grid point of each candidate, [N]; -1 where the field has no meaning.
        size: Number of grid points.
        ordered: Whether grid points have distances; choices have none.
    """

    at: NDArray[np.int64]
    size: int
    ordered: bool


def estimate_importances(
    candidates: Mapping[str, Sequence[Candidate]],
    fields: Mapping[str, FieldFacts],
    *,
    higher_is_better: bool,
    seed: int,
) -> tuple[tuple[Importance, ...], str]:
    """Estimate the importance of every searched field in every arm.

    Args:
        candidates: Arm -> its candidates.
        fields: Path -> description, which tells scales and choices apart.
        higher_is_better: Direction of the validation metric.
        seed: Seed of the resampling of candidates; an arm's numbers depend on its own cells alone.

    Returns:
        Importances in the order of arms, within an arm the most important first; and the reason
        why some arms have none, empty if all have them.
    """
    found: list[Importance] = []
    few = []
    for arm, own in candidates.items():
        finished = [c for c in own if c.is_finished]
        if len(finished) < FEWEST:
            few.append(arm)
            continue
        found += _importances_of_arm(arm, finished, fields, higher_is_better, seed)
    if not candidates:
        return (), "nothing was tuned"
    reason = f"{len(few)} arms have fewer than {FEWEST} finished candidates" if few else ""
    return tuple(found), reason


def _importances_of_arm(
    arm: str,
    finished: Sequence[Candidate],
    fields: Mapping[str, FieldFacts],
    higher_is_better: bool,
    seed: int,
) -> list[Importance]:
    names = sorted({name for candidate in finished for name in candidate.params})
    count = len(finished)
    drawn = np.random.default_rng(seed).integers(0, count, (RESAMPLES, count))
    counts_RN = np.stack([np.ones(count), *(np.bincount(row, minlength=count) for row in drawn)])
    sign = -1.0 if higher_is_better else 1.0
    losses = np.array([sign * (c.value or 0.0) for c in finished])
    # A resample is a row of counts, so that one matrix product makes the densities of all of them.
    top_RN = counts_RN * _are_best(losses, counts_RN)
    raw = []
    for name in names:
        values = [candidate.params.get(name) for candidate in finished]
        raw.append(_pearson_divergences(_bin_values(values, fields.get(name)), top_RN, counts_RN))
    shares = _normalise_shares(np.array(raw).reshape(len(names), RESAMPLES + 1))
    found = [
        Importance(
            arm=arm,
            field=name,
            value=float(own[0]),
            low=float(np.quantile(own[1:], 0.025)),
            high=float(np.quantile(own[1:], 0.975)),
            candidates=count,
            resamples=RESAMPLES,
        )
        for name, own in zip(names, shares, strict=True)
    ]
    return sorted(found, key=lambda item: (-item.value, item.field))


def _are_best(losses: FloatArray, counts_RN: FloatArray) -> NDArray[np.bool_]:
    """Mark the best tenth, or best five, candidates of each resample; ties are among them."""
    order = np.argsort(losses, kind="stable")
    total = counts_RN.shape[1]
    wanted = ceil(max(BEST_SHARE, BEST / total) * total)
    reached = np.cumsum(counts_RN[:, order], axis=1) >= wanted
    cutoffs = losses[order][np.argmax(reached, axis=1)]
    best: NDArray[np.bool_] = losses[None, :] <= cutoffs[:, None]
    return best


def _bin_values(values: Sequence[FieldValue | None], facts: FieldFacts | None) -> _BinnedField:
    known = [value for value in values if value is not None]
    chosen = facts is not None and facts.domain.startswith("choice")
    if chosen or any(isinstance(value, bool | str) for value in known):
        options = sorted({str(value) for value in known})
        index_of = {option: index for index, option in enumerate(options)}
        at = [-1 if value is None else index_of[str(value)] for value in values]
        return _BinnedField(at=np.array(at), size=len(options), ordered=False)
    numbers = np.array([np.nan if value is None else float(value) for value in values])
    low, high = float(np.nanmin(numbers)), float(np.nanmax(numbers))
    log = facts is not None and facts.log and low > 0
    if low == high:
        return _BinnedField(at=np.where(np.isnan(numbers), -1, 0), size=1, ordered=True)
    size = GRID
    if all(float(value).is_integer() for value in known):
        steps = int(high - low) + 1
        size = min(GRID, ceil(log2(steps)) + 1 if log else steps)
    if log:
        numbers, low, high = np.log(numbers), float(np.log(low)), float(np.log(high))
    step = (high - low) / (size - 1)
    at = np.ceil((np.nan_to_num(numbers, nan=low) - low) / step - 0.5).clip(0, size - 1)
    return _BinnedField(
        at=np.where(np.isnan(numbers), -1, at).astype(np.int64), size=size, ordered=True
    )


def _pearson_divergences(
    field: _BinnedField, top_RN: FloatArray, counts_RN: FloatArray
) -> FloatArray:
    """Compute the importance of a field per resample, [R], up to a factor that all fields share."""
    known = field.at >= 0
    inside_N = known.astype(np.float64)
    of_all_R, of_top_R = counts_RN @ inside_N, top_RN @ inside_N
    usable = (of_all_R >= 2) & (of_top_R >= 1)
    if field.size < 2 or not usable.any():
        return np.zeros(len(counts_RN))
    onto_NG = (field.at[:, None] == np.arange(field.size)).astype(np.float64)
    density = _numeric_density if field.ordered else _choice_density
    # Resamples without such a candidate get one anywhere to avoid 0 / 0: they are set to 0 below.
    spare = np.zeros((1, field.size))
    spare[0, 0] = 1.0
    of_all_RG = np.where(usable[:, None], counts_RN @ onto_NG, spare)
    of_top_RG = np.where(usable[:, None], top_RN @ onto_NG, spare)
    local_RG, best_RG = density(of_all_RG) + _FLOOR, density(of_top_RG) + _FLOOR
    pearson_R = (local_RG * (best_RG / local_RG - 1) ** 2).sum(axis=1)
    share_of_top = of_top_R / top_RN.sum(axis=1)
    share_of_all = of_all_R / counts_RN.sum(axis=1)
    return np.where(usable, share_of_top**2 / np.maximum(share_of_all, _FLOOR) * pearson_R, 0.0)


def _numeric_density(counts_RG: FloatArray) -> FloatArray:
    """Estimate a density on the grid: one cut-off, discrete normal per candidate, and a wide one.

    The bandwidth is Scott's rule by the lesser of standard deviation and quartile distance.
    """
    size = counts_RG.shape[1]
    grid = np.arange(size)
    total_R = counts_RG.sum(axis=1)
    mean_R = counts_RG @ grid / total_R
    squares_R = (counts_RG * (grid - mean_R[:, None]) ** 2).sum(axis=1)
    spread_R = np.sqrt(squares_R / np.maximum(1, total_R - 1))
    cumulated = np.cumsum(counts_RG, axis=1)
    there = counts_RG > 0
    first_R = np.argmax(there & (cumulated >= total_R[:, None] // 4), axis=1)
    third_R = np.argmax(there & (cumulated > total_R[:, None] * 3 // 4), axis=1)
    scott_R = 1.059 * np.minimum((third_R - first_R) / 1.34, spread_R) * total_R**-0.2
    kernel_RG = _kernel_sums(counts_RG, np.maximum(scott_R, _NARROWEST))
    middle = (size - 1) / 2
    wide = special.ndtr((grid + 0.5 - middle) / size) - special.ndtr((grid - 0.5 - middle) / size)
    density: FloatArray = (kernel_RG + wide / wide.sum()) / (total_R[:, None] + 1)
    return density


def _kernel_sums(counts_RG: FloatArray, widths_R: FloatArray) -> FloatArray:
    """Sum discrete normals around all candidates, each of which sums to 1 over the grid."""
    size = counts_RG.shape[1]
    # Normal cdf at all half distances d + 1/2 that two grid points can have.
    below = special.ndtr((np.arange(-size, size) + 0.5) / widths_R[:, None])
    masses = np.diff(below, axis=1)  # at distances 1 - size .. size - 1
    at = np.arange(size)
    inside_RG = below[:, 2 * size - 1 - at] - below[:, size - 1 - at]
    # windows[r, j, m] = masses[r, j + m]: a point x has distance x - m from m.
    windows = np.lib.stride_tricks.sliding_window_view(masses, size, axis=1)
    weighted = (counts_RG / inside_RG)[:, ::-1]
    sums: FloatArray = np.matmul(windows, weighted[:, :, None])[:, :, 0]
    return sums


def _choice_density(counts_RG: FloatArray) -> FloatArray:
    """Compute the share of each choice, drawn towards equal shares as by one more candidate."""
    size = counts_RG.shape[1]
    total_R = counts_RG.sum(axis=1, keepdims=True)
    kernels_R = (counts_RG > 0).sum(axis=1, keepdims=True) + 1
    of_candidates = (counts_RG + total_R / kernels_R) / (size / kernels_R + 1)
    density: FloatArray = (of_candidates + 1 / size) / (total_R + 1)
    return density


def _normalise_shares(raw: FloatArray) -> FloatArray:
    """Divide each resample's importances by their sum; 0 where all are 0."""
    total = raw.sum(axis=0, keepdims=True)
    return np.where(total > 0, raw / np.where(total > 0, total, 1.0), 0.0)
