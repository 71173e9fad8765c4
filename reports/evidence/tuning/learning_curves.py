"""Learning curves of the confirm cells, per arm."""

import numpy as np

from reports.evidence.values import LearningCurve, Number
from reports.results import CellPhase, FloatArray, Results, select_complete


def learning_curves(results: Results) -> tuple[LearningCurve, ...]:
    """Compute mean, lowest and highest validation value per epoch, for every arm with curves."""
    chosen = select_complete(results.cells, CellPhase.CONFIRM)
    keys: dict[str, list[str]] = {}
    for arm, key in sorted(zip(chosen["arm"].astype(str), chosen["key"].astype(str), strict=True)):
        if key in results.curves and len(results.curves[key]):
            keys.setdefault(arm, []).append(key)
    return tuple(
        _average_curves(
            arm, [np.asarray(results.curves[key], dtype=np.float64) for key in keys[arm]]
        )
        for arm in results.facts.arms
        if arm in keys
    )


def _average_curves(arm: str, curves: list[FloatArray]) -> LearningCurve:
    mean: list[Number] = []
    low: list[Number] = []
    high: list[Number] = []
    cells: list[int] = []
    for epoch in range(max(len(curve) for curve in curves)):
        # Cells stop at different epochs; those that ended are no part of later epochs.
        training = [curve[epoch] for curve in curves if epoch < len(curve)]
        # Sorted: a mean depends on the order, a report must not depend on that of the cells.
        known = np.sort([value for value in training if np.isfinite(value)])
        cells.append(len(training))
        mean.append(float(known.mean()) if known.size else None)
        low.append(float(known[0]) if known.size else None)
        high.append(float(known[-1]) if known.size else None)
    return LearningCurve(
        arm=arm, mean=tuple(mean), low=tuple(low), high=tuple(high), cells=tuple(cells)
    )
