"""Learning curves of the confirm cells, by arm."""

import numpy as np

from reports.evidence.values import LearningCurve, Number
from reports.results import FloatArray, Results


def learning_curves(results: Results) -> tuple[LearningCurve, ...]:
    """Of every arm with a curve: mean, lowest and highest validation value, epoch by epoch."""
    cells = results.cells
    chosen = cells[(cells["phase"] == "confirm") & (cells["status"] == "complete")]
    keys: dict[str, list[str]] = {}
    for arm, key in sorted(zip(chosen["arm"].astype(str), chosen["key"].astype(str), strict=True)):
        if key in results.curves and len(results.curves[key]):
            keys.setdefault(arm, []).append(key)
    return tuple(
        _curve(arm, [np.asarray(results.curves[key], dtype=np.float64) for key in keys[arm]])
        for arm in results.facts.arms
        if arm in keys
    )


def _curve(arm: str, curves: list[FloatArray]) -> LearningCurve:
    mean: list[Number] = []
    low: list[Number] = []
    high: list[Number] = []
    cells: list[int] = []
    for epoch in range(max(len(curve) for curve in curves)):
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
