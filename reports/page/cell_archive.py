"""Every cell of a study in few bytes, for the cells panel of the page; `cells.js` reads it.

It holds columns, not rows. Numbers are base64 of little-endian arrays, NaN where missing; texts and
parameters are indices into a list; a curve is at most 24 points of 8 bits between its own ends.
"""

import base64
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reports.field_names import field_names, format_value
from reports.results import METRIC, PARAM, PHASES, STATUSES, Results, StudyFacts, order_cells

CURVE_POINTS = 24  # per curve: a page may hold tens of thousands of curves
_NONE = 255  # a point of a curve that is undefined; 0 to 254 are values


def cell_archive(results: Results, labels: Mapping[str, str]) -> dict[str, Any]:
    """Return the archive as JSON values.

    Args:
        results: Results of the study.
        labels: Name of a metric -> its label.
    """
    facts = results.facts
    cells = order_cells(results.cells, facts)
    keys = [str(key) for key in cells["key"]]
    return {
        "study": facts.study,
        "command": f"triptych reproduce {shlex.quote(facts.study)}",
        "primary": facts.primary,
        "arms": list(facts.arms),
        "changes": [_value_texts(facts.changes.get(arm, {})) for arm in facts.arms],
        "searched": [list(facts.searched.get(arm, ())) for arm in facts.arms],
        "phases": PHASES,
        "statuses": STATUSES,
        "keys": keys,
        "arm": _pack_array(cells["arm"].map(facts.arms.index).to_numpy(), "<u2"),
        "phase": _pack_array(cells["phase"].map(PHASES.index).to_numpy(), "<u2"),
        "status": _pack_array(cells["status"].map(STATUSES.index).to_numpy(), "<u2"),
        "candidate": _pack_array(cells["candidate"].to_numpy(), "<i4"),
        "seed": _pack_array(cells["seed"].to_numpy(), "<f8"),
        "epochs": _pack_array(cells["epochs"].to_numpy(), "<i4"),
        "metrics": [
            {"name": (name := str(column).removeprefix(METRIC)),
             "label": _metric_label(name, labels),
             "values": _pack_array(cells[column].to_numpy(), "<f4")}
            for column in cells.columns
            if str(column).startswith(METRIC)
        ],
        "params": _pack_params(cells, facts),
        "curves": _pack_curves(keys, results.curves),
        "reasons": {k: results.reasons[k] for k in keys if k in results.reasons},
    }  # fmt: skip


def pack_curve(curve: NDArray[np.float32]) -> tuple[list[float], bytes] | None:
    """Return (lowest, highest) and a byte per point; None where no epoch has a value.

    A long curve is thinned to evenly spaced epochs, its first and last among them.
    """
    values = np.asarray(curve, dtype=np.float64)
    if values.size > CURVE_POINTS:
        values = values[np.linspace(0, values.size - 1, CURVE_POINTS).round().astype(int)]
    known = np.isfinite(values)
    if not known.any():
        return None
    low, high = float(values[known].min()), float(values[known].max())
    share = (values - low) / (high - low) if high > low else np.full(values.shape, 0.5)
    share[~known] = 0.0
    points = np.where(known, np.rint(share * (_NONE - 1)), _NONE).astype(np.uint8)
    return [float(f"{low:.5g}"), float(f"{high:.5g}")], points.tobytes()


def _metric_label(name: str, labels: Mapping[str, str]) -> str:
    split, _, metric = name.partition(".")
    spoken = {"valid": "validation", "test": "test"}
    if metric and split in spoken:
        return f"{labels.get(metric, metric)}, {spoken[split]}"
    return name


def _pack_array(values: NDArray[Any], kind: str) -> str:
    return base64.b64encode(np.asarray(values).astype(kind).tobytes()).decode("ascii")


def _pack_params(cells: pd.DataFrame, facts: StudyFacts) -> list[dict[str, Any]]:
    """Pack each parameter: path, label, distinct values, and per cell the index of its value.

    Indices begin at 1; 0 = the cell has no such parameter.
    """
    found = []
    names = field_names(facts.fields)
    for column in cells.columns:
        if not str(column).startswith(PARAM):
            continue
        path = str(column).removeprefix(PARAM)
        # By text: 1 and True are the same to a set, and not to a reader.
        texts = [None if _is_missing(value) else format_value(value) for value in cells[column]]
        codes, distinct = pd.factorize(np.array(texts, dtype=object))
        item: dict[str, Any] = {
            "path": path,
            "label": names.get(path, path),
            "values": [str(value) for value in distinct],
        }
        # Most parameters have one value in all cells, and are then stored without indices.
        if len(distinct) != 1 or (codes < 0).any():
            item["codes"] = _pack_array(codes + 1, "<u4" if len(distinct) > 65000 else "<u2")
            item["wide"] = len(distinct) > 65000
        found.append(item)
    return found


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and np.isnan(value))


def _value_texts(changes: Mapping[str, Any]) -> dict[str, str]:
    return {path: format_value(value) for path, value in changes.items()}


def _pack_curves(keys: Sequence[str], curves: Mapping[str, NDArray[np.float32]]) -> dict[str, Any]:
    """Pack the curves: indices of the cells that have one, ends, lengths, epochs and points."""
    places, ends, lengths, epochs, points = [], [], [], [], []
    for index, key in enumerate(keys):
        packed = pack_curve(curves[key]) if key in curves else None
        if packed is not None:
            places.append(index)
            ends += packed[0]
            lengths.append(len(packed[1]))
            epochs.append(len(curves[key]))
            points.append(packed[1])
    return {
        "places": _pack_array(np.array(places), "<u4"),
        "ends": _pack_array(np.array(ends), "<f4"),
        "lengths": _pack_array(np.array(lengths), "<u2"),
        "epochs": _pack_array(np.array(epochs), "<u4"),
        "points": base64.b64encode(b"".join(points)).decode("ascii"),
    }
