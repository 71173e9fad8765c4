"""Text forms of results: one definition for every writer and every reader."""

import base64
import binascii
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reports.numerals import name_some
from reports.results import (
    CELL_COLUMNS,
    DESCRIPTIONS,
    METRIC,
    PARAM,
    Amount,
    FieldFacts,
    ResultsError,
    SharedInformation,
    StatedClaim,
    StudyFacts,
)

Scalar = bool | int | float | str | None
CURVE_TAG = "triptych.curve"
MOST_TEXT = 4000  # characters per tag; MLflow takes 8000
TAG_EPOCHS = MOST_TEXT // 4 * 3 // 4  # of a curve in one tag: base64 of float32
MOST_EPOCHS = 20 * TAG_EPOCHS  # longer curves are dropped, in the ledger and in MLflow alike


def facts_to_json(facts: StudyFacts) -> str:
    """Write the facts as JSON; tuples become lists, and empty descriptions are left out."""
    raw = asdict(facts)
    # Left out, so that the facts of a study without claims, say, are the bytes that they were
    # before claims existed: digests are made from them.
    for name in (*DESCRIPTIONS[2:], "core", "own_metrics"):
        if not raw[name]:
            del raw[name]
    return json.dumps(raw, indent=2, ensure_ascii=False)


def facts_from_json(text: str) -> StudyFacts:
    """Read what `facts_to_json` wrote; lists become tuples where the facts hold tuples.

    Raises:
        ResultsError: The text is not JSON, or has unknown or missing parts.
    """
    try:
        raw = json.loads(text)
    except json.JSONDecodeError as error:
        raise ResultsError(f"the study's facts are not JSON: {error}") from error
    known = {item.name for item in fields(StudyFacts)}
    if not isinstance(raw, dict) or not set(raw) <= known:
        extra = sorted(set(raw) - known) if isinstance(raw, dict) else type(raw).__name__
        raise ResultsError(f"the study's facts have unknown parts: {extra}")
    for name in ("arms", "tune_seeds", "confirm_seeds", "notes"):
        if name in raw:
            raw[name] = tuple(raw[name])
    if "searched" in raw:
        raw["searched"] = {arm: tuple(names) for arm, names in raw["searched"].items()}
    try:
        if "claims" in raw:
            raw["claims"] = tuple(StatedClaim(**claim) for claim in raw["claims"])
        if "fields" in raw:
            raw["fields"] = {path: FieldFacts(**item) for path, item in raw["fields"].items()}
        if "methods" in raw:
            raw["methods"] = {arm: tuple(keys) for arm, keys in raw["methods"].items()}
        return StudyFacts(**raw)
    except TypeError as error:
        raise ResultsError(f"the study's facts are incomplete: {error}") from error


def code_notes(codes: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Return a note for the reader if an arm's cells were trained by different training cores.

    Args:
        codes: Arm of each cell, and digest of the code that trained it; empty if unknown. Arms
            reach different parts of the core, so digests are compared within an arm.
    """
    by_arm: dict[str, set[str]] = {}
    for arm, code in codes:
        if code:
            by_arm.setdefault(arm, set()).add(code)
    mixed = [arm for arm, own in by_arm.items() if len(own) > 1]
    if not mixed:
        return ()
    which = name_some([f"'{arm}'" for arm in mixed])
    return (f"Cells of {which} were trained by different versions of the training core (--keep).",)


def encode_floats(values: NDArray[Any]) -> str:
    """Encode a vector as base64 of little-endian float32."""
    return base64.b64encode(np.asarray(values, dtype="<f4").tobytes()).decode("ascii")


def encode_labels(labels: NDArray[Any]) -> str | dict[str, Any]:
    """Encode test labels: those of one column as `encode_floats`, others with their number."""
    if labels.ndim == 1:
        return encode_floats(labels)
    return {"columns": labels.shape[1], "values": encode_floats(labels)}


def decode_labels(plain: str | Mapping[str, Any]) -> NDArray[np.float32]:
    """Decode labels [N] or [N, K] of `encode_labels`.

    Raises:
        ResultsError: They are damaged.
    """
    if isinstance(plain, str):
        return decode_floats(plain)
    try:
        return decode_floats(plain["values"]).reshape(-1, plain["columns"])
    except (KeyError, TypeError, ValueError) as error:
        raise ResultsError(f"the test labels are damaged: {error!r}") from error


def decode_floats(text: str) -> NDArray[np.float32]:
    """Decode a text of `encode_floats`.

    Raises:
        ResultsError: The text is not base64 of whole float32 values.
    """
    try:
        raw = base64.b64decode(text, validate=True)
        return np.frombuffer(raw, dtype="<f4").astype(np.float32)
    except (binascii.Error, ValueError) as error:
        raise ResultsError(f"not base64 of little-endian float32 values: {error}") from error


def encode_curve(values: Sequence[float | None]) -> NDArray[np.float32]:
    """Convert a curve to the form of `Results.curves`; empty if it is longer than `MOST_EPOCHS`.

    Args:
        values: One value per epoch; None where undefined.
    """
    # The limit of MLflow's tags holds for the ledger too: both must give the same report.
    if len(values) > MOST_EPOCHS:
        return np.empty(0, dtype=np.float32)
    numbers = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    # Beyond the range of float32 the cast would warn and give infinity.
    numbers[np.abs(numbers) > np.finfo(np.float32).max] = np.nan
    return numbers.astype(np.float32)


def curve_tags(curve: NDArray[np.float32]) -> dict[str, str]:
    """Split a curve into tags of a run, each short enough for MLflow; no tag if it is empty."""
    parts = [curve[start : start + TAG_EPOCHS] for start in range(0, len(curve), TAG_EPOCHS)]
    return {_curve_tag(number): encode_floats(part) for number, part in enumerate(parts)}


def curve_from_tags(tags: Mapping[str, str]) -> NDArray[np.float32]:
    """Read the curve that `curve_tags` wrote among other tags; empty if there is none.

    Raises:
        ResultsError: A tag is not base64 of whole float32 values.
    """
    parts: list[NDArray[np.float32]] = []
    while (name := _curve_tag(len(parts))) in tags:
        parts.append(decode_floats(tags[name]))
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.float32)


def _curve_tag(number: int) -> str:
    return f"{CURVE_TAG}.{number}" if number else CURVE_TAG


def tags_to_plain(tags: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Encode tags of utterances for JSON: the names, and one byte per utterance.

    Args:
        tags: Dimension -> tag of every utterance; at most 256 different ones per dimension.
    """
    plain = {}
    for dimension, values in tags.items():
        names = sorted(set(values))
        code_of = {name: code for code, name in enumerate(names)}
        codes = bytes(code_of[value] for value in values)
        plain[dimension] = {"names": names, "codes": base64.b64encode(codes).decode("ascii")}
    return plain


def tags_from_plain(plain: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Decode what `tags_to_plain` made.

    Raises:
        ResultsError: The value has another form.
    """
    try:
        return {
            dimension: tuple(
                found["names"][code] for code in base64.b64decode(found["codes"], validate=True)
            )
            for dimension, found in plain.items()
        }
    except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
        raise ResultsError(f"the tags of the utterances are damaged: {error!r}") from error


def information_to_plain(information: Iterable[SharedInformation]) -> list[dict[str, Any]]:
    """Encode the information of pairs of modalities for JSON."""
    return [asdict(pair) for pair in information]


def information_from_plain(plain: Iterable[Mapping[str, Any]]) -> tuple[SharedInformation, ...]:
    """Decode what `information_to_plain` made.

    Raises:
        ResultsError: The value has another form.
    """
    try:
        return tuple(_parse_information(dict(pair)) for pair in plain)
    except (AttributeError, TypeError) as error:
        raise ResultsError(f"what the modalities say is damaged: {error}") from error


def _parse_information(raw: dict[str, Any]) -> SharedInformation:
    for name, value in raw.items():
        if isinstance(value, Mapping):
            raw[name] = Amount(**value)
    return SharedInformation(**raw)


def parse_param(text: str) -> Scalar:
    """Return the value whose `str` is `text`: None, bool, int, float, or else the text itself."""
    named: dict[str, Scalar] = {"None": None, "True": True, "False": False}
    if text in named:
        return named[text]
    for kind in (int, float):
        try:
            value = kind(text)
        except ValueError:
            continue
        # Only an exact round trip counts: `1e5` or `007`, which no number prints as, stay text.
        if str(value) == text:
            return value
    return text


def cells_from_rows(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Make the cells of `Results` from one mapping per cell, in any order of rows and keys.

    Columns: `CELL_COLUMNS`, then `metric.*`, then `param.*`, sorted; params keep their Python
    types (dtype object). A value that a row lacks is missing.
    """
    ordered = sorted(rows, key=lambda row: str(row["key"]))
    names = {name for row in ordered for name in row}
    metrics = sorted(name for name in names if name.startswith(METRIC))
    params = sorted(name for name in names if name.startswith(PARAM))
    columns: dict[str, pd.Series[Any]] = {}
    for name in (*CELL_COLUMNS, *metrics, *params):
        values = [row.get(name) for row in ordered]
        if name.startswith(METRIC):
            columns[name] = pd.Series(values, dtype="float64")
        elif name in ("candidate", "seed", "epochs"):
            columns[name] = pd.Series(values, dtype="int64")
        else:
            # Parameters of one column may differ in type between arms; pandas would convert them.
            columns[name] = pd.Series(values, dtype="object")
    return pd.DataFrame(columns)
