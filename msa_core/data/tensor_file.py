"""The safetensors format: named arrays behind a JSON header, opened without being read.

A file is the length of its header (8 bytes, little-endian), the header, and the arrays' bytes. The
header maps each name to `dtype`, `shape` and `data_offsets`, and `__metadata__` to texts. Written
out here because arrays go to the disk one by one and are mapped into memory, not copied; tests
compare with the reference library.

Source: github.com/huggingface/safetensors, README, "Format".
"""

import json
import math
import mmap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spaces.core import DataError

METADATA = "__metadata__"
LENGTH_BYTES = 8
_BFLOAT16 = "BF16"
_CODES = {
    "F64": "f8", "F32": "f4", "F16": "f2", _BFLOAT16: "u2", "I64": "i8", "I32": "i4", "I16": "i2",
    "I8": "i1", "U64": "u8", "U32": "u4", "U16": "u2", "U8": "u1", "BOOL": "b1",
}  # fmt: skip
# bfloat16 is read and never written: numpy has no such type.
_NAMES = {code: name for name, code in _CODES.items() if name != _BFLOAT16}


@dataclass(frozen=True, kw_only=True, slots=True)
class TensorFile:
    """An open safetensors file.

    Attributes:
        arrays: Name -> read-only array that lies in the file, loaded by the system where touched.
        metadata: Name -> text.
    """

    arrays: Mapping[str, NDArray[np.generic]]
    metadata: Mapping[str, str]


def open_tensors(path: Path) -> TensorFile:
    """Map a file into memory.

    Raises:
        DataError: Not a whole safetensors file, or a type that numpy does not have.
        OSError: The file can't be opened.
    """
    with path.open("rb") as file:
        length = file.read(LENGTH_BYTES)
        start = LENGTH_BYTES + int.from_bytes(length, "little")
        # Before the header is read: a wrong length would ask for any amount of memory.
        if start > path.stat().st_size or len(length) < LENGTH_BYTES:
            raise _broken_file(path, "its header is cut off" if length else "the file is empty")
        header = _read_header(path, file.read(start - LENGTH_BYTES))
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    metadata = header.pop(METADATA, {})
    if not _is_texts(metadata):
        raise _broken_file(path, f"'{METADATA}' holds more than texts")
    arrays = {name: _map_array(path, name, entry, mapped, start) for name, entry in header.items()}
    return TensorFile(arrays=arrays, metadata=metadata)


def write_tensors(
    path: Path, arrays: Mapping[str, NDArray[np.generic]], metadata: Mapping[str, str]
) -> None:
    """Write a file; the same contents give the same bytes.

    Args:
        path: File, replaced if it is there.
        arrays: Name -> numbers or truth values.
        metadata: Name -> text.

    Raises:
        OSError: The file can't be written.
        KeyError: An array of another type.
    """
    # Widest values first, behind a header of whole 8 bytes: every array is then aligned.
    names = sorted(arrays, key=lambda name: (-arrays[name].dtype.itemsize, name))
    header: dict[str, Any] = {METADATA: dict(sorted(metadata.items()))} if metadata else {}
    end = 0
    for name in names:
        start, end = end, end + arrays[name].nbytes
        header[name] = {
            "dtype": _NAMES[arrays[name].dtype.str[1:]],
            "shape": list(arrays[name].shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % LENGTH_BYTES)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(LENGTH_BYTES, "little"))
        file.write(text)
        for name in names:
            little = arrays[name].dtype.newbyteorder("<")
            file.write(np.ascontiguousarray(arrays[name], little).data)


def _read_header(path: Path, raw: bytes) -> dict[str, Any]:
    try:
        header = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise _broken_file(path, "its header is no JSON") from error
    if not isinstance(header, dict):
        raise _broken_file(path, "its header is no JSON object")
    return header


def _map_array(
    path: Path, name: str, entry: object, mapped: mmap.mmap, start: int
) -> NDArray[np.generic]:
    kind, shape, (first, last) = _read_entry(path, name, entry)
    if kind not in _CODES:
        raise DataError(
            f"{path.name}: array '{name}' holds {kind!r} values, which are not read; "
            f"there are {', '.join(_CODES)}; save it as F32"
        )
    dtype = np.dtype(f"<{_CODES[kind]}")
    count = math.prod(shape)
    if last - first != count * dtype.itemsize or start + last > len(mapped):
        raise _broken_file(path, f"array '{name}' does not fill its place, or the file is cut off")
    try:
        if count == 0:
            return np.empty(shape, dtype)
        array: NDArray[np.generic] = np.frombuffer(mapped, dtype, count, start + first)
        array = array.reshape(shape)
    except (ValueError, OverflowError) as error:  # axes beyond what numpy has
        raise _broken_file(path, f"array '{name}' has an impossible shape ({error})") from error
    if kind == _BFLOAT16:  # The upper half of a float32.
        return (array.astype(np.uint32) << 16).view(np.float32)
    # Files of other writers may hold arrays at odd offsets; those are copied.
    return np.require(array, requirements=["A"])


def _read_entry(path: Path, name: str, entry: object) -> tuple[str, list[int], list[int]]:
    if isinstance(entry, dict):
        kind: Any = entry.get("dtype")
        shape: Any = entry.get("shape")
        place: Any = entry.get("data_offsets")
        if isinstance(kind, str) and _is_counts(shape) and _is_counts(place) and len(place) == 2:
            return kind, shape, place
    raise _broken_file(path, f"its header says nothing sound of array '{name}'")


def _is_counts(value: Any) -> bool:
    return isinstance(value, list) and all(type(item) is int and item >= 0 for item in value)


def _is_texts(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(item, str) for item in value.values())


def _broken_file(path: Path, why: str) -> DataError:
    return DataError(f"{path.name}: not a readable safetensors file: {why}; is it complete?")
