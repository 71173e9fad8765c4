"""A finished cell, and its line in the ledger: JSON whose last value is a checksum.

Curves are kept as base64 of little-endian float32, all of a cell in one text; undefined values are
NaN there. Everything else, metrics above all, is kept to the last digit.
"""

import base64
import binascii
import json
import math
import re
import sys
import zlib
from array import array
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, NoReturn

from msa_core.config.paths import Value
from msa_core.vectorised.pack_key import PackSize

STATUSES = ("complete", "pruned", "failed")
PHASES = ("tune", "confirm")
LONGEST = 2**26  # bytes of a line that anybody tries to read
MOST = 2**53  # of a whole number
MOST_CANDIDATES = 10**6
MORE = b',"more":true'  # the next line was appended with this one
CRC = b',"crc":"'
SEAL = len(CRC) + 8 + len(b'"}')
VALUES = "curve_values"
COUNT = re.compile("[0-9]{1,9}")
NUMBERS = {int, float}
SCALARS = {bool, int, float, str}


@dataclass(frozen=True, kw_only=True, slots=True)
class CellRecord:
    """One finished cell.

    Attributes:
        key: `spaces.plan.plan.cell_key`.
        arm_key: the planned arm it belongs to.
        phase: `tune` or `confirm`.
        candidate: number of the candidate in its arm, from 0.
        params: the candidate: searched field -> value.
        config: every field that means something, resolved.
        status: `complete`, `pruned` or `failed`.
        reason: why it is not complete, in a line.
        kind: of a failure, one of `search.schedule.failures.KINDS`; empty if it did not fail.
        log: of a failure: the last lines that the training said.
        attempts: how often it was handed to a worker.
        epochs, best_epoch: trained, restored.
        metrics: `valid.<name>`, `test.<name>` (confirm only) and `seconds`.
        curve: name -> one value an epoch; None where undefined. Kept as float32.
        predictions: test predictions (confirm only), encoded float32; empty if there are none.
        code: digest of the training core that trained it, which with `--keep` is not the one in
            its key; empty if unknown.
    """

    key: str
    arm: str
    arm_key: str
    phase: str
    candidate: int
    seed: int
    params: Mapping[str, Value]
    config: Mapping[str, Value]
    status: str
    reason: str = ""
    kind: str = ""
    log: str = ""
    attempts: int = 1
    epochs: int
    best_epoch: int
    metrics: Mapping[str, float]
    curve: Mapping[str, Sequence[float | None]] = field(default_factory=dict)
    predictions: str = ""
    code: str = ""


Record = CellRecord | PackSize


class Pool:
    """Mappings that many records have alike, each kept once."""

    def __init__(self) -> None:
        self._kept: dict[int, dict[str, Any]] = {}

    def shared(self, mapping: dict[str, Any]) -> dict[str, Any]:
        """The mapping, or an equal one that is there already."""
        place = hash((*mapping, *mapping.values()))
        kept = self._kept.get(place)
        if kept is None:
            kept = self._kept[place] = _named(mapping)
        # 1, 1.0 and True are equal, and still not the same.
        elif kept != mapping or [*map(type, kept.values())] != [*map(type, mapping.values())]:
            kept = mapping
        return kept


def line_of(record: Record) -> bytes:
    """The line of a record, unsealed.

    Raises:
        ValueError, TypeError: it holds what JSON can't hold, such as NaN.
    """
    content = {item.name: getattr(record, item.name) for item in fields(record)}
    for name, value in content.items():
        if isinstance(value, Mapping):
            content[name] = dict(value)
    if isinstance(record, CellRecord):
        content["reason"], content["log"] = _plain(record.reason), _plain(record.log)
        curve = content.pop("curve")
        if curve:
            content["curve"] = {name: len(values) for name, values in curve.items()}
            content[VALUES] = _packed(curve)
    return json.dumps(content, separators=(",", ":"), allow_nan=False).encode()


def sealed(line: bytes, more: bool) -> bytes:
    """A line of `line_of` as it is written, with its end.

    Args:
        line: of the record.
        more: whether the next line is appended with it, so that neither counts alone.
    """
    body = line[:-1] + (MORE if more else b"")
    return body + CRC + b"%08x" % zlib.crc32(body) + b'"}\n'


def without_more(line: bytes) -> bytes:
    """A written line as if it was the last of what was appended with it."""
    body = line[: -SEAL - 1]
    return sealed(body.removesuffix(MORE) + b"}", False) if body.endswith(MORE) else line


def parsed(
    line: bytes,
    *,
    light: bool,
    pool: Pool | None = None,
    curves: Collection[str] | None = None,
) -> tuple[Record, bool]:
    """The record of a line without its end, and whether the next line was appended with it.

    Args:
        line: as it is in the file. Lines of older versions, which have no checksum, are read too.
        light: leave out what is large: predictions, and curves except the validation curves of a
            cell that was stopped early, which the sampler wants to know.
        pool: keeps mappings once that many records have alike.
        curves: the names of those that are wanted of a cell that is not read lightly; None = all.

    Raises:
        ValueError: it is no record, in a few words.
    """
    content = _content(line)
    more = content.pop("more", False)
    if more not in (True, False):
        raise ValueError("no record: 'more' is neither true nor false")
    if "pack_key" in content:
        _check(content, PACK_SIZE)
        return PackSize(**content), bool(more)
    _check(content, CELL)
    return _cell(content, light, pool or Pool(), curves), bool(more)


def _content(line: bytes) -> dict[str, Any]:
    if len(line) > LONGEST:
        raise ValueError(f"longer than any record ({len(line)} bytes)")
    has_seal = line[-SEAL : len(CRC) - SEAL] == CRC
    if has_seal and b"%08x" % zlib.crc32(line[:-SEAL]) != line[-10:-2]:
        raise ValueError("its checksum does not fit: some of it was changed")
    try:
        content = json.loads(line.decode(), parse_constant=_refuse)
    except UnicodeDecodeError:
        raise ValueError("no text") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"no JSON: {error.msg} at character {error.pos}") from None
    except RecursionError:
        raise ValueError("no record: too deep") from None
    if not isinstance(content, dict):
        raise ValueError("no record: no JSON object")
    if has_seal:
        content.pop("crc", None)
    if b"\\ud" in line:
        _check_text(content)
    return content


def _cell(
    content: dict[str, Any], light: bool, pool: Pool, curves: Collection[str] | None
) -> CellRecord:
    packed = content.pop(VALUES, None)
    curve = content.get("curve", {})
    wanted = [
        name
        for name in curve
        if (_is_kept(name, content["status"]) if light else curves is None or name in curves)
    ]
    if packed is not None or any(type(count) is int for count in curve.values()):
        curve = _unpacked(curve, packed, wanted)
    content["curve"] = {name: curve[name] for name in wanted}
    if light:
        content["predictions"] = ""
        content["curve"] = _named(content["curve"])
        for name in ("arm", "arm_key", "phase", "status", "reason", "kind", "log", "code"):
            if name in content:
                content[name] = sys.intern(content[name])
        content["params"] = pool.shared(content["params"])
        content["config"] = pool.shared(content["config"])
        content["metrics"] = _named(content["metrics"])
    return CellRecord(**content)


def _is_kept(curve: str, status: str) -> bool:
    """Whether a curve stays in memory."""
    return status == "pruned" and curve.startswith("valid.")


def _packed(curve: Mapping[str, Sequence[float | None]]) -> str:
    flat = [math.nan if value is None else value for values in curve.values() for value in values]
    try:
        numbers = array("f", flat)
    except OverflowError:  # it has no place in float32
        numbers = array("f", [value if abs(value) < 3.4e38 else math.nan for value in flat])
    if sys.byteorder == "big":
        numbers.byteswap()
    return base64.b64encode(numbers.tobytes()).decode("ascii")


def _unpacked(
    counts: Mapping[str, Any], packed: str | None, wanted: Collection[str]
) -> dict[str, list[float | None]]:
    if not all(type(count) is int and 0 <= count <= MOST for count in counts.values()):
        raise ValueError("'curve' holds no numbers of values")
    raw = _bytes(VALUES, packed or "")
    if len(raw) != 4 * sum(counts.values()):
        raise ValueError(f"'{VALUES}' holds {len(raw)} bytes, and 'curve' says otherwise")
    curve, start = {}, 0
    for name, count in counts.items():
        if name in wanted:
            numbers = array("f", raw[4 * start : 4 * (start + count)])
            if sys.byteorder == "big":
                numbers.byteswap()
            curve[name] = [value if math.isfinite(value) else None for value in numbers]
        start += count
    return curve


def _bytes(name: str, text: str) -> bytes:
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        raise ValueError(f"'{name}' is no base64") from None


def _named(mapping: dict[str, Any]) -> dict[str, Any]:
    return dict(zip(map(sys.intern, mapping), mapping.values(), strict=True))


def _plain(text: str) -> str:
    """What a training said, as text that every store takes."""
    return text.encode("utf-8", "replace").decode().replace("\0", "")


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"no record: {constant} is no number")


def _check_text(content: dict[str, Any]) -> None:
    """Halves of characters are no text, and whoever prints them fails."""
    try:
        json.dumps(content, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("it holds what is no text") from None


# What the values of a line must be, so that nobody who uses them fails later.


def _is_text(value: Any) -> bool:
    return type(value) is str


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value <= MOST


def _is_candidate(value: Any) -> bool:
    return type(value) is int and 0 <= value <= MOST_CANDIDATES


def _is_seed(value: Any) -> bool:
    return type(value) is int and -MOST <= value <= MOST


def _is_number(value: Any) -> bool:
    return type(value) in NUMBERS and _are_finite((value,))


def _are_finite(values: Iterable[float]) -> bool:
    try:
        return all(map(math.isfinite, values))  # JSON's 1e999 is not
    except OverflowError:  # a whole number that is larger than any float
        return False


def _is_predictions(value: Any) -> bool:
    return type(value) is str and len(_bytes("predictions", value)) % 4 == 0


def _is_values(value: Any) -> bool:
    if type(value) is not dict or not set(map(type, value.values())) <= SCALARS:
        return False
    return _are_finite(item for item in value.values() if type(item) is not str)


def _is_numbers(value: Any) -> bool:
    if type(value) is not dict or not set(map(type, value.values())) <= NUMBERS:
        return False
    return _are_finite(value.values())


def _is_by_size(value: Any) -> bool:
    return _is_numbers(value) and all(map(COUNT.fullmatch, value))


def _is_curve(value: Any) -> bool:
    """Counts, or of older versions lists of values."""
    return type(value) is dict and all(
        type(item) is int
        or (type(item) is list and all(one is None or _is_number(one) for one in item))
        for item in value.values()
    )


Checks = Mapping[str, Callable[[Any], bool]]
CELL: Checks = {
    "key": lambda value: type(value) is str and bool(value),
    "arm": _is_text,
    "arm_key": _is_text,
    "phase": PHASES.__contains__,
    "candidate": _is_candidate,
    "seed": _is_seed,
    "params": _is_values,
    "config": _is_values,
    "status": STATUSES.__contains__,
    "reason": _is_text,
    "kind": _is_text,
    "log": _is_text,
    "attempts": _is_count,
    "epochs": _is_count,
    "best_epoch": _is_count,
    "metrics": _is_numbers,
    "curve": _is_curve,
    VALUES: _is_text,
    "predictions": _is_predictions,
    "code": _is_text,
}
PACK_SIZE: Checks = {
    "pack_key": _is_text,
    "data": _is_text,
    "device": _is_text,
    "size": lambda value: _is_count(value) and value > 0,
    "seconds": _is_by_size,
    "memory": _is_by_size,
    "share": _is_count,
}
OPTIONAL = {
    VALUES, "reason", "kind", "log", "attempts", "curve", "predictions", "code", "data",
}  # fmt: skip


def _check(content: Mapping[str, Any], checks: Checks) -> None:
    for name, value in content.items():
        check = checks.get(name)
        if check is None:
            raise ValueError(f"no record: '{name[:40]}' is none of its fields")
        if not check(value):
            raise ValueError(f"'{name}' can't be {_shown(value)}")
    missing = [name for name in checks if name not in content and name not in OPTIONAL]
    if missing:
        raise ValueError(f"no record: '{missing[0]}' is missing")


def _shown(value: Any) -> str:
    """A value for a message, if it is short."""
    if type(value) is dict or type(value) is list:
        return f"this {type(value).__name__}"
    return repr(value if type(value) is not str else value[:40])
