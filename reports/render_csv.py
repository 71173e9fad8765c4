"""Results and comparisons as CSV: every digit kept, empty where missing."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import pandas as pd

from reports.evidence.comparison import Comparison
from reports.results import CELL_COLUMNS, METRIC, PARAM, PHASES, Claim, Results

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
    """One row an (arm, metric); `p_holm` and `verdict` on the primary metric's rows."""
    rows = ([getattr(e, name) for name in ESTIMATE_COLUMNS] for e in comparison.estimates)
    return _csv(ESTIMATE_COLUMNS, rows)


def render_claims_csv(comparison: Comparison) -> str:
    """One row a claim: what it says, then its answer."""
    stated = [item.name for item in fields(Claim)]
    header = ["claim" if name == "text" else name for name in stated]
    rows = (
        [
            *(getattr(answer.claim, name) for name in stated),
            *(getattr(answer, name) for name in CLAIM_COLUMNS),
        ]
        for answer in comparison.claims
    )
    return _csv([*header, *CLAIM_COLUMNS], rows)


def render_cells_csv(results: Results) -> str:
    """One row a cell: by arm as in the facts, tuning before confirming, candidate, seed."""
    cells = results.cells
    columns = [
        *CELL_COLUMNS,
        *sorted(name for name in cells.columns if str(name).startswith(METRIC)),
        *sorted(name for name in cells.columns if str(name).startswith(PARAM)),
    ]
    arms = {arm: place for place, arm in enumerate(results.facts.arms)}
    rows = cells[columns].to_dict("records")
    rows.sort(
        key=lambda row: (
            arms[row["arm"]],
            PHASES.index(row["phase"]),
            row["candidate"],
            row["seed"],
            row["key"],
        )
    )
    return _csv(columns, ([row[name] for name in columns] for row in rows))


def _csv(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([_exact(value) for value in row] for row in rows)
    return text.getvalue()


def _exact(value: Any) -> str:
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or (pd.api.types.is_scalar(value) and pd.isna(value)):
        return ""
    return repr(value) if isinstance(value, float) else str(value)
