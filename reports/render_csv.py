"""Results, comparisons and evidence as CSV: every digit kept, empty where missing.

Text that a spreadsheet would take for a formula, `=1+1`, gets an apostrophe in front, `'=1+1`;
`reports.loading` takes it off again.
"""

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import pandas as pd

from reports.evidence.comparison import Comparison
from reports.evidence.values import Evidence
from reports.results import CELL_COLUMNS, METRIC, PARAM, Results, StatedClaim, order_cells

ESTIMATE_COLUMNS = (
    "arm",
    "metric",
    "n",
    "mean",
    "sd",
    "delta",
    "ci_low",
    "ci_high",
    "p",
    "p_holm",
    "verdict",
)
# Text that a spreadsheet computes. Also text that begins like an escaped one: without a second
# apostrophe `reports.loading` would take its own off.
FORMULA = re.compile(r"'*[=+\-@\t\r]")
CLAIM_COLUMNS = (
    "verdict",
    "delta",
    "ci_low",
    "ci_high",
    "p",
    "p_holm",
    "pairs",
    "seeds_to_decide",
    "reason",
    "sentence",
)


def render_csv(comparison: Comparison) -> str:
    """Write one row per (arm, metric); `p_holm` and `verdict` on the primary metric's rows."""
    rows = ([getattr(e, name) for name in ESTIMATE_COLUMNS] for e in comparison.estimates)
    return csv_text(ESTIMATE_COLUMNS, rows)


def render_claims_csv(comparison: Comparison) -> str:
    """Write one row per claim: its parts, then its answer."""
    stated = [item.name for item in fields(StatedClaim)]
    header = ["claim" if name == "text" else name for name in stated]
    rows = (
        [
            *(getattr(answer.claim, name) for name in stated),
            *(getattr(answer, name) for name in CLAIM_COLUMNS),
        ]
        for answer in comparison.claims
    )
    return csv_text([*header, *CLAIM_COLUMNS], rows)


def render_cells_csv(results: Results) -> str:
    """Write one row per cell, in the order of arms, phases, candidates and seeds."""
    cells = results.cells
    columns = [
        *CELL_COLUMNS,
        *sorted(name for name in cells.columns if str(name).startswith(METRIC)),
        *sorted(name for name in cells.columns if str(name).startswith(PARAM)),
    ]
    rows = order_cells(cells, results.facts)[columns].to_dict("records")
    return csv_text(columns, ([row[name] for name in columns] for row in rows))


def evidence_csvs(evidence: Evidence) -> dict[str, str]:
    """Return file name -> CSV of one kind of evidence, for the kinds that the study has.

    Rows keep the order of the evidence. Curves have one row per point.
    """
    named = {
        "effects.csv": _effect_rows(evidence),
        "shapley.csv": [_fields_of(value) for value in evidence.shapley],
        "matrices.csv": _matrix_rows(evidence),
        "path.csv": [{"step": step, **_fields_of(at)} for step, at in enumerate(evidence.path)],
        "frozen.csv": [_fields_of(pair) for pair in evidence.frozen],
        "importance.csv": [_fields_of(share) for share in evidence.importance],
        "anytime.csv": [
            {"arm": curve.arm, "seconds": seconds, "best": best}
            for curve in evidence.anytime
            for seconds, best in zip(curve.seconds, curve.best, strict=True)
        ],
        "expected.csv": [
            {"arm": curve.arm, "candidates": number, "expected": value}
            for curve in evidence.expected
            for number, value in enumerate(curve.values, 1)
        ],
        "slices.csv": [_fields_of(part) for part in evidence.slices],
        "learning.csv": _learning_rows(evidence),
        "tuning.csv": _tuning_rows(evidence),
    }
    return {name: _rows_as_csv(rows) for name, rows in named.items() if rows}


def _fields_of(value: Any) -> dict[str, Any]:
    """Return the fields of a frozen value that has no nested ones."""
    return {item.name: getattr(value, item.name) for item in fields(value)}


def _effect_rows(evidence: Evidence) -> list[dict[str, Any]]:
    effects = evidence.effects
    if effects is None:
        return []
    counted = {"arms": effects.arms, "seeds": effects.seeds}
    return [
        {"order": len(effect.factors), **_fields_of(effect), "factors": " x ".join(effect.factors)}
        | counted
        for effect in (*effects.main, *effects.interactions)
    ]


def _matrix_rows(evidence: Evidence) -> list[dict[str, Any]]:
    return [
        {
            "row_factor": matrix.row_factor,
            "row": row,
            "column_factor": matrix.column_factor,
            "column": column,
            "arm": matrix.arms[i][j],
            "mean": matrix.means[i][j],
        }
        for matrix in evidence.matrices
        for i, row in enumerate(matrix.rows)
        for j, column in enumerate(matrix.columns)
    ]


def _learning_rows(evidence: Evidence) -> list[dict[str, Any]]:
    return [
        {"arm": curve.arm, "epoch": epoch, "mean": mean, "low": low, "high": high, "cells": cells}
        for curve in evidence.learning
        for epoch, (mean, low, high, cells) in enumerate(
            zip(curve.mean, curve.low, curve.high, curve.cells, strict=True), 1
        )
    ]


def _tuning_rows(evidence: Evidence) -> list[dict[str, Any]]:
    paths = sorted({path for point in evidence.tuning for path in point.params})
    return [
        {
            "arm": point.arm,
            "candidate": point.number,
            "status": point.status,
            "value": point.value,
            "confirmed": point.confirmed,
            **{f"{PARAM}{path}": point.params.get(path) for path in paths},
        }
        for point in evidence.tuning
    ]


def _rows_as_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    return csv_text(list(rows[0]), (list(row.values()) for row in rows))


def csv_text(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Write rows of values as CSV: numbers with every digit, no formulas."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([_exact_text(value) for value in row] for row in rows)
    return text.getvalue()


def _exact_text(value: Any) -> str:
    if isinstance(value, np.generic):
        value = value.item()
    # `pd.isna` of a list is a list, so only scalars are asked.
    if value is None or (pd.api.types.is_scalar(value) and pd.isna(value)):
        return ""
    if isinstance(value, str):
        return f"'{value}" if FORMULA.match(value) else value
    # `repr` is the shortest text that reads back as the same float.
    return repr(value) if isinstance(value, float) else str(value)
