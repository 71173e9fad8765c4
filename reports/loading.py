"""Written reports as data frames, for notebooks: `reports.load(folder)`."""

import csv
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from reports.render_csv import FORMULA
from reports.results import METRIC, PARAM, ResultsError

REPORT = "report"
# Table -> its file. Only `cells` and `arms` are in every report.
TABLES = {
    "cells": "cells.csv",
    "arms": "table.csv",
    "claims": "claims.csv",
    **{
        name: f"{name}.csv"
        for name in (
            *("effects", "shapley", "matrices", "path", "frozen", "importance", "anytime"),
            *("expected", "slices", "learning", "tuning"),
        )
    },
}
# Types are fixed by name, so that a column without any value has its type too.
_WHOLE = (
    *("candidate", "seed", "epochs", "n", "pairs", "seeds_to_decide", "step", "considered"),
    *("candidates", "utterances", "examples", "epoch", "cells", "order", "arms", "seeds"),
    *("resamples", "left"),
)
_NUMBER = re.compile(r"-?\d+(\.\d*)?(e[+-]?\d+)?")
_TRUTH = ("confirmed", "flips")
_NUMBERS = (
    *("mean", "sd", "delta", "ci_low", "ci_high", "p", "p_holm", "amount", "estimate", "low"),
    *("high", "value", "seconds", "best", "expected", "tuned_delta", "frozen_delta"),
)


def load(folder: str | Path, table: str = "cells") -> pd.DataFrame:
    """Read a table of a written report.

    Args:
        folder: Results folder of the study, as `triptych run` names it at its end; or the folder
            `report` in it.
        table: `cells`, one row per training; `arms`, one row per (arm, metric); `claims`; or a kind
            of evidence, e.g. `importance`.

    Returns:
        The table, in the report's order. Whole numbers are `Int64`, other numbers `Float64`,
        truths `boolean` and texts `string`; a missing value is `pd.NA`. A `param.*` column is of
        whole numbers, numbers or truths only where all of its values are.

    Raises:
        ResultsError: The table is unknown, damaged or not in this report, or there is no report.
    """
    if table not in TABLES:
        raise ResultsError(f"there is no table '{table}'; there are {', '.join(TABLES)}")
    path = _find_table(Path(folder), table)
    try:
        with path.open(encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file, strict=True)
        columns = list(zip(*rows, strict=True)) if rows else [()] * len(header)
        typed = {
            name: _typed_column(name, values) for name, values in zip(header, columns, strict=True)
        }
    except (OSError, UnicodeError, csv.Error, ValueError) as error:
        raise ResultsError(
            f"{path} can't be read ({error}); `triptych report` writes it again"
        ) from error
    return pd.DataFrame(typed, columns=header)


def _find_table(folder: Path, table: str) -> Path:
    name = TABLES[table]
    for path in (folder / REPORT / name, folder / name):
        if path.is_file():
            return path
    if (folder / REPORT / TABLES["cells"]).is_file() or (folder / TABLES["cells"]).is_file():
        raise ResultsError(f"the report in {folder} has no {name}: the study has nothing for it")
    raise ResultsError(
        f"{folder} holds no report; `triptych report` writes one into the study's results folder"
    )


def _typed_column(name: str, values: Iterable[str]) -> "pd.Series[Any]":
    known = [None if value == "" else value for value in values]
    if name in _TRUTH:
        return _boolean_column(known)
    if name in _WHOLE:
        return pd.Series([None if v is None else int(v) for v in known], dtype="Int64")
    if name.startswith(METRIC) or name in _NUMBERS:
        return pd.Series([None if v is None else float(v) for v in known], dtype="Float64")
    if name.startswith(PARAM):
        return _parameter_column(known)
    return _text_column(known)


def _parameter_column(values: list[str | None]) -> "pd.Series[Any]":
    """Choose the narrowest type that all values have."""
    # A parameter may be of several types over the arms, so it is the one kind that is guessed.
    present = [value for value in values if value is not None]
    if present and all(value in ("True", "False") for value in present):
        return _boolean_column(values)
    if present and all(
        re.fullmatch(r"-?\d{1,18}", value) for value in present
    ):  # 18 digits fit Int64
        return pd.Series([None if v is None else int(v) for v in values], dtype="Int64")
    if present and all(_NUMBER.fullmatch(value) for value in present):
        return pd.Series([None if v is None else float(v) for v in values], dtype="Float64")
    return _text_column(values)


def _boolean_column(values: list[str | None]) -> "pd.Series[Any]":
    return pd.Series([None if v is None else v == "True" for v in values], dtype="boolean")


def _text_column(values: list[str | None]) -> "pd.Series[Any]":
    # The apostrophe that `render_csv` put before formulas is no part of the text.
    read = [v[1:] if v and v.startswith("'") and FORMULA.match(v) else v for v in values]
    return pd.Series(read, dtype="string")
