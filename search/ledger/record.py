"""A finished cell, and its line in the ledger: JSON whose last value is a checksum.

Curves are kept as base64 of little-endian float32, all of a cell in one text; undefined values are
NaN there. Everything else, metrics above all, is kept to the last digit.
"""

import base64
import binascii
import json
import math
import sys
import zlib
from array import array
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Annotated, Any, NoReturn

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from spaces.abilities import PackSize
from spaces.core import Status
from spaces.fields.declaration import Value
from spaces.plan.plan import Phase

LONGEST = 2**26  # bytes of a line that is still parsed
MOST = 2**53  # of a whole number: up to here every one is a float, too
LARGEST = int(sys.float_info.max)
MOST_CANDIDATES = 10**6
MORE = b',"more":true'  # the next line was appended with this one
CRC = b',"crc":"'
SEAL = len(CRC) + 8 + len(b'"}')
VALUES = "curve_values"


@dataclass(frozen=True, kw_only=True, slots=True)
class CellRecord:
    """A finished cell.

    Attributes:
        key: Key of the cell, of `spaces.plan.plan.cell_key`.
        arm: Name of its arm.
        arm_key: Key of its planned arm.
        candidate: Number of the candidate in its arm, from 0.
        params: Values of the candidate: searched field -> value.
        config: Every field of the configuration that means something, resolved.
        reason: Reason why it is not complete, in a line.
        kind: A `FailureKind`; empty if it did not fail. Older files may hold others.
        log: Last lines of the training's output, if it failed.
        attempts: Number of times that it was given to a worker.
        epochs, best_epoch: Epochs that were trained; the one restored, from 1.
        metrics: `valid.<name>`, `test.<name>` (confirm only) and `seconds`.
        curve: Curves: name -> one value per epoch; None where undefined. Kept as float32.
        predictions: Test predictions (confirm only), encoded float32; empty if there are none.
        code: Digest of the training core that trained it, which with `--keep` is not the one in
            its key; empty if unknown.
    """

    key: str
    arm: str
    arm_key: str
    phase: Phase
    candidate: int
    seed: int
    params: Mapping[str, Value]
    config: Mapping[str, Value]
    status: Status
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


class MappingPool:
    """Mappings that many records have alike, each kept in memory once."""

    def __init__(self) -> None:
        self._kept: dict[int, dict[str, Any]] = {}

    def share_mapping(self, mapping: dict[str, Any]) -> dict[str, Any]:
        """Return an equal mapping of an earlier record, or else this one."""
        digest = hash((*mapping, *mapping.values()))
        kept = self._kept.get(digest)
        if kept is None:
            kept = self._kept[digest] = _intern_names(mapping)
        # 1, 1.0 and True are equal, and still not the same.
        elif kept != mapping or [*map(type, kept.values())] != [*map(type, mapping.values())]:
            kept = mapping
        return kept


def encode_record(record: Record) -> bytes:
    """Encode a record as a line without checksum and end.

    Raises:
        ValueError, TypeError: it holds what JSON can't hold, such as NaN.
    """
    content = {item.name: getattr(record, item.name) for item in fields(record)}
    for name, value in content.items():
        if isinstance(value, Mapping):
            content[name] = dict(value)
    if isinstance(record, CellRecord):
        content["reason"], content["log"] = _storable(record.reason), _storable(record.log)
        curve = content.pop("curve")
        if curve:
            content["curve"] = {name: len(values) for name, values in curve.items()}
            content[VALUES] = _pack_curves(curve)
    return json.dumps(content, separators=(",", ":"), allow_nan=False).encode()


def add_checksum(line: bytes, more: bool) -> bytes:
    """Complete a line of `encode_record` with its checksum and its end.

    Args:
        line: Line of a record.
        more: Whether the next line is appended with it, so that neither counts alone.
    """
    body = line[:-1] + (MORE if more else b"")
    return body + CRC + b"%08x" % zlib.crc32(body) + b'"}\n'


def clear_more_mark(line: bytes) -> bytes:
    """Return a written line as if it was the last of what was appended with it."""
    body = line[: -SEAL - 1]
    return add_checksum(body.removesuffix(MORE) + b"}", False) if body.endswith(MORE) else line


def parse_record(
    line: bytes,
    *,
    light: bool,
    pool: MappingPool | None = None,
    curves: Collection[str] | None = None,
) -> tuple[Record, bool]:
    """Parse a line without its end; also tell whether the next line was appended with it.

    Args:
        line: Line as it is in the file; of older versions, which wrote no checksum, too.
        light: Whether to leave out what is large: predictions, and curves except the validation
            curves of a cell that was stopped early, which the sampler needs.
        pool: Pool for the mappings that many records have alike.
        curves: Names of the curves to read of a cell that is not read lightly; None = all.

    Raises:
        ValueError: it is no record, in a few words.
    """
    content = _read_json(line)
    more = content.pop("more", False)
    if more not in (True, False):
        raise ValueError("no record: 'more' is neither true nor false")
    if "pack_key" in content:
        return PackSize(**_check_values(PackSizeLine, content)), bool(more)
    return _make_cell(_check_values(CellLine, content), light, pool, curves), bool(more)


def _read_json(line: bytes) -> dict[str, Any]:
    if len(line) > LONGEST:
        raise ValueError(f"longer than any record ({len(line)} bytes)")
    has_seal = line[-SEAL : len(CRC) - SEAL] == CRC
    if has_seal and b"%08x" % zlib.crc32(line[:-SEAL]) != line[-10:-2]:
        raise ValueError("its checksum does not fit: some of it was changed")
    try:
        content = json.loads(line.decode(), parse_constant=_refuse_constant)
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
    # The search in the bytes is quick, the check is not, and nearly no line needs it.
    if b"\\ud" in line:
        _check_text(content)
    return content


def _make_cell(
    content: dict[str, Any],
    light: bool,
    pool: MappingPool | None,
    curves: Collection[str] | None,
) -> CellRecord:
    packed, curve = content.pop(VALUES), content["curve"]
    wanted = [
        name
        for name in curve
        if (_is_kept(name, content["status"]) if light else curves is None or name in curves)
    ]
    # The first versions wrote lists of values, and no counts.
    if packed or any(type(count) is int for count in curve.values()):
        curve = _unpack_curves(curve, packed, wanted)
    content["curve"] = {name: curve[name] for name in wanted}
    if light:
        content["predictions"] = ""
        content["curve"] = _intern_names(content["curve"])
        # A study has thousands of cells and few different texts: each is kept in memory once.
        for name in ("arm", "arm_key", "reason", "kind", "log", "code"):
            content[name] = sys.intern(content[name])
        pool = pool or MappingPool()
        content["params"] = pool.share_mapping(content["params"])
        content["config"] = pool.share_mapping(content["config"])
        content["metrics"] = _intern_names(content["metrics"])
    return CellRecord(**content)


def _is_kept(curve: str, status: Status) -> bool:
    """Check whether a curve stays in memory."""
    return status == Status.PRUNED and curve.startswith("valid.")


def _pack_curves(curve: Mapping[str, Sequence[float | None]]) -> str:
    flat = [math.nan if value is None else value for values in curve.values() for value in values]
    try:
        numbers = array("f", flat)
    except OverflowError:  # some value is larger than any float32
        numbers = array("f", [value if abs(value) < 3.4e38 else math.nan for value in flat])
    if sys.byteorder == "big":
        numbers.byteswap()
    return base64.b64encode(numbers.tobytes()).decode("ascii")


def _unpack_curves(
    counts: Mapping[str, Any], packed: str, wanted: Collection[str]
) -> dict[str, list[float | None]]:
    if not all(type(count) is int and 0 <= count <= MOST for count in counts.values()):
        raise ValueError("'curve' holds no numbers of values")
    raw = _decode_base64(VALUES, packed)
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


def _decode_base64(name: str, text: str) -> bytes:
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        raise ValueError(f"'{name}' is no base64") from None


def _intern_names(mapping: dict[str, Any]) -> dict[str, Any]:
    return dict(zip(map(sys.intern, mapping), mapping.values(), strict=True))


def _storable(text: str) -> str:
    """Return a text as every store takes it: without halves of characters and zero bytes."""
    return text.encode("utf-8", "replace").decode().replace("\0", "")


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"no record: {constant} is no number")


def _check_text(content: dict[str, Any]) -> None:
    """Refuse halves of characters: they are no text, and printing them would fail later."""
    try:
        json.dumps(content, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("it holds what is no text") from None


def _check_predictions(text: str) -> str:
    if len(_decode_base64("predictions", text)) % 4:
        raise ValueError(f"'predictions' can't be {_format_value(text)}")
    return text


# What the values of a line must be, so that nothing that uses them fails later. Strict: a number
# in quotes is no number, and `true` is none either.

Count = Annotated[int, Field(ge=0, le=MOST)]
# JSON's 1e999 is not finite, and a whole number may be larger than any float.
Number = Annotated[int, Field(ge=-LARGEST, le=LARGEST)] | FiniteFloat
Values = dict[str, bool | Number | str]
BySize = dict[Annotated[str, Field(pattern="^[0-9]{1,9}$")], Number]


class _Line(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")


class CellLine(_Line):
    """The fields of the line of a cell; those with a default are missing in older files."""

    key: Annotated[str, Field(min_length=1)]
    arm: str
    arm_key: str
    phase: Annotated[Phase, Field(strict=False)]
    candidate: Annotated[int, Field(ge=0, le=MOST_CANDIDATES)]
    seed: Annotated[int, Field(ge=-MOST, le=MOST)]
    params: Values
    config: Values
    status: Annotated[Status, Field(strict=False)]
    reason: str = ""
    kind: str = ""
    log: str = ""
    attempts: Count = 1
    epochs: Count
    best_epoch: Count
    metrics: dict[str, Number]
    curve: dict[str, int | list[Number | None]] = Field(default_factory=dict)
    curve_values: str = ""
    predictions: Annotated[str, AfterValidator(_check_predictions)] = ""
    code: str = ""


class PackSizeLine(_Line):
    """The fields of the line of a pack size."""

    pack_key: str
    data: str = ""
    device: str
    size: Annotated[int, Field(ge=1, le=MOST)]
    seconds: BySize
    memory: BySize
    share: Count


def _check_values(line: type[_Line], content: dict[str, Any]) -> dict[str, Any]:
    try:
        return vars(line.model_validate(content))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
    name = str(first["loc"][0])
    if first["type"] == "missing":
        raise ValueError(f"no record: '{name}' is missing")
    if first["type"] == "extra_forbidden":
        raise ValueError(f"no record: '{name[:40]}' is none of its fields")
    if first["type"] == "value_error":  # of one of our own checks: a whole sentence
        raise ValueError(str(first["ctx"]["error"]))
    raise ValueError(f"'{name}' can't be {_format_value(content[name])}")


def _format_value(value: Any) -> str:
    """Format a value for a message, as far as it is short."""
    if type(value) is dict or type(value) is list:
        return f"this {type(value).__name__}"
    return repr(value if type(value) is not str else value[:40])
