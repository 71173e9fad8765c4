"""Every cell of a study in few bytes, for the page's cells panel; `cells.js` reads it.

Columns, not rows. Numbers are base64 of little-endian arrays, NaN where missing; texts and
parameters are numbers of a list; a curve is at most 24 points of 8 bits between its own ends.
"""

import base64
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reports.page.field_names import field_names, written
from reports.results import METRIC, PARAM, PHASES, STATUSES, Results, StudyFacts

CURVE_POINTS = 24
_NONE = 255  # a point of a curve that is undefined; 0 to 254 are values


def cell_archive(results: Results, labels: Mapping[str, str]) -> dict[str, Any]:
    """The archive as JSON values.

    Args:
        results: of the study.
        labels: metric -> what a person calls it.
    """
    facts = results.facts
    order = {arm: place for place, arm in enumerate(facts.arms)}
    cells = results.cells.assign(
        _arm=results.cells["arm"].map(order), _phase=results.cells["phase"].map(PHASES.index)
    ).sort_values(["_arm", "_phase", "candidate", "seed", "key"])
    keys = [str(key) for key in cells["key"]]
    return {
        "study": facts.study,
        "command": f"triptych reproduce {shlex.quote(facts.study)}",
        "primary": facts.primary,
        "arms": list(facts.arms),
        "changes": [_plain(facts.changes.get(arm, {})) for arm in facts.arms],
        "searched": [list(facts.searched.get(arm, ())) for arm in facts.arms],
        "phases": PHASES,
        "statuses": STATUSES,
        "keys": keys,
        "arm": _packed(cells["_arm"].to_numpy(), "<u2"),
        "phase": _packed(cells["_phase"].to_numpy(), "<u2"),
        "status": _packed(cells["status"].map(STATUSES.index).to_numpy(), "<u2"),
        "candidate": _packed(cells["candidate"].to_numpy(), "<i4"),
        "seed": _packed(cells["seed"].to_numpy(), "<f8"),
        "epochs": _packed(cells["epochs"].to_numpy(), "<i4"),
        "metrics": [
            {"name": (name := str(column).removeprefix(METRIC)), "label": _metric(name, labels),
             "values": _packed(cells[column].to_numpy(), "<f4")}
            for column in cells.columns
            if str(column).startswith(METRIC)
        ],
        "params": _params(cells, facts),
        "curves": _curves(keys, results.curves),
        "reasons": {k: results.reasons[k] for k in keys if k in results.reasons},
    }  # fmt: skip


def packed_curve(curve: NDArray[np.float32]) -> tuple[list[float], bytes] | None:
    """(lowest, highest), and a byte a point; None where no epoch has a value.

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


def _metric(name: str, labels: Mapping[str, str]) -> str:
    split, _, metric = name.partition(".")
    spoken = {"valid": "validation", "test": "test"}
    if metric and split in spoken:
        return f"{labels.get(metric, metric)}, {spoken[split]}"
    return name


def _packed(values: NDArray[Any], kind: str) -> str:
    return base64.b64encode(np.asarray(values).astype(kind).tobytes()).decode("ascii")


def _params(cells: pd.DataFrame, facts: StudyFacts) -> list[dict[str, Any]]:
    """Path, label, the different values, and of each cell the number of its value; 0 = none."""
    found = []
    names = field_names(facts.fields)
    for column in cells.columns:
        if not str(column).startswith(PARAM):
            continue
        path = str(column).removeprefix(PARAM)
        # By text: 1 and True are the same to a set, and not to a reader.
        texts = [None if _missing(value) else written(value) for value in cells[column]]
        codes, distinct = pd.factorize(np.array(texts, dtype=object))
        item: dict[str, Any] = {
            "path": path,
            "label": names.get(path, path),
            "values": [str(value) for value in distinct],
        }
        if len(distinct) != 1 or (codes < 0).any():  # else: all cells have the one value
            item["codes"] = _packed(codes + 1, "<u4" if len(distinct) > 65000 else "<u2")
            item["wide"] = len(distinct) > 65000
        found.append(item)
    return found


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and np.isnan(value))


def _plain(changes: Mapping[str, Any]) -> dict[str, str]:
    return {path: written(value) for path, value in changes.items()}


def _curves(keys: Sequence[str], curves: Mapping[str, NDArray[np.float32]]) -> dict[str, Any]:
    """Cells that have a curve: where they stand, the ends, lengths, epochs and points."""
    places, ends, lengths, epochs, points = [], [], [], [], []
    for place, key in enumerate(keys):
        packed = packed_curve(curves[key]) if key in curves else None
        if packed is not None:
            places.append(place)
            ends += packed[0]
            lengths.append(len(packed[1]))
            epochs.append(len(curves[key]))
            points.append(packed[1])
    return {
        "places": _packed(np.array(places), "<u4"),
        "ends": _packed(np.array(ends), "<f4"),
        "lengths": _packed(np.array(lengths), "<u2"),
        "epochs": _packed(np.array(epochs), "<u4"),
        "points": base64.b64encode(b"".join(points)).decode("ascii"),
    }
