"""Safetensors files: named arrays behind a JSON header, mapped into memory instead of being read.

The library checks and writes them. Its own arrays are copies, so they are laid over the mapped
file here: a file is the length of its header (8 bytes, little-endian), the header, and the bytes
of the arrays.

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
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from msa_core.data.dataset import DataError

METADATA = "__metadata__"
LENGTH_BYTES = 8
_BFLOAT16 = "BF16"
_CODES = {
    "F64": "f8", "F32": "f4", "F16": "f2", _BFLOAT16: "u2", "I64": "i8", "I32": "i4", "I16": "i2",
    "I8": "i1", "U64": "u8", "U32": "u4", "U16": "u2", "U8": "u1", "BOOL": "b1",
}  # fmt: skip


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
        try:
            with safe_open(path, framework="numpy"):  # checks the header against the file
                mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except SafetensorError as error:
            raise DataError(
                f"{path.name}: not a readable safetensors file: {error}; is it complete?"
            ) from error
    start = LENGTH_BYTES + int.from_bytes(mapped[:LENGTH_BYTES], "little")
    header = json.loads(mapped[LENGTH_BYTES:start])
    metadata = header.pop(METADATA, {})
    arrays = {name: _map_array(path, name, entry, mapped, start) for name, entry in header.items()}
    return TensorFile(arrays=arrays, metadata=metadata)


def write_tensors(
    path: Path, arrays: Mapping[str, NDArray[np.generic]], metadata: Mapping[str, str]
) -> None:
    """Write a file.

    Args:
        path: File, replaced if it is there.
        arrays: Name -> numbers or truth values.
        metadata: Name -> text.

    Raises:
        OSError: The file can't be written.
    """
    # The library writes an array's memory as it lies.
    whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    try:
        save_file(whole, path, dict(metadata))
    except SafetensorError as error:
        raise OSError(str(error)) from error


def _map_array(
    path: Path, name: str, entry: Mapping[str, Any], mapped: mmap.mmap, start: int
) -> NDArray[np.generic]:
    kind, shape, (first, _) = entry["dtype"], entry["shape"], entry["data_offsets"]
    if kind not in _CODES:
        raise DataError(
            f"{path.name}: array '{name}' holds {kind!r} values, which are not read; "
            f"there are {', '.join(_CODES)}; save it as F32"
        )
    dtype, count = np.dtype(f"<{_CODES[kind]}"), math.prod(shape)
    try:
        if count == 0:
            return np.empty(shape, dtype)
        array: NDArray[np.generic] = np.frombuffer(mapped, dtype, count, start + first)
        array = array.reshape(shape)
    except ValueError as error:  # axes beyond what numpy has
        raise DataError(
            f"{path.name}: array '{name}' has an impossible shape ({error}); is it complete?"
        ) from error
    if kind == _BFLOAT16:  # The upper half of a float32.
        return (array.astype(np.uint32) << 16).view(np.float32)
    # Files of other writers may hold arrays at odd offsets; those are copied.
    return np.require(array, requirements=["A"])
