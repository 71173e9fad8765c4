"""Feature files of the MMSA framework: pickles, read without running what is in them.

A pickle is a program. `pickle.load` runs it, and so can delete a home directory. Here the program
may name only the few things that feature files are made of; any other name ends the reading
before it is called. Arrays are not even made by numpy's own reconstruction, which trusts the
memory layout that the file declares, but from their checked parts.
"""

import copyreg
import math
import pickle
import re
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Collection
from pathlib import Path
from typing import BinaryIO, NoReturn

import numpy as np
from numpy.typing import NDArray

from msa_core.data.dataset import DataError, Dataset
from msa_core.data.layout import KEYS, SPLITS, SplitValues, to_dataset


def read_mmsa(path: Path, scheme: str) -> Dataset:
    """Read a feature file in the layout of MMSA.

    Args:
        path: a pickle, protocol 0 to 5, of a dictionary split -> key -> values. Splits are
            `train`, `valid` and `test`; the keys are those of `layout.to_split`.
        scheme: a key of `LABEL_SCHEMES`.

    Raises:
        DataError: the file is broken, asks to run anything, or its contents are wrong.
        OSError: the file can't be opened.

    Source: github.com/thuiar/MMSA, `src/MMSA/data_loader.py`.
    """
    return to_dataset(path.name, scheme, mmsa_values(path))


def mmsa_values(path: Path, keys: Collection[str] = KEYS) -> SplitValues:
    """The values of some keys, unchecked; see `read_mmsa`.

    Raises:
        DataError: the file is broken or asks to run anything.
        OSError: the file can't be opened.
    """
    source = path.name
    content = _unpickle(path)
    if not isinstance(content, dict):
        raise DataError(
            f"{source}: holds {_described(content)}, but a dictionary of the splits "
            f"{', '.join(SPLITS)} is needed"
        )
    splits: SplitValues = {str(name): {} for name in content}
    for name in SPLITS:
        if name in content:
            splits[name] = _split(source, name, content[name], keys)
    return splits


def _split(source: str, name: str, content: object, keys: Collection[str]) -> dict[str, object]:
    """The keys of one split; those that are read with real arrays, the others as names only."""
    where = f"{source}: split '{name}'"
    if not isinstance(content, dict):
        raise DataError(
            f"{where} holds {_described(content)}, but a dictionary of arrays is needed"
        )
    values: dict[str, object] = {str(key): None for key in content}
    for key in keys:
        if key in content:
            try:
                values[key] = _plain(content[key])
            except (ValueError, TypeError, RecursionError) as error:
                raise DataError(f"{where}, key '{key}': cannot be read: {error}") from error
    return values


def _unpickle(path: Path) -> object:
    # Objects cached under extension codes would be handed out without asking `find_class`.
    copyreg.clear_extension_cache()
    with path.open("rb") as file:
        if not file.peek(1):
            raise DataError(f"{path.name}: the file is empty")
        try:
            return _Unpickler(path.name, file).load()
        except DataError:
            raise
        except Exception as error:  # Broken pickles raise almost anything.
            raise DataError(
                f"{path.name}: not a readable pickle ({type(error).__name__}: {error}); "
                "is the file complete, and a feature file?"
            ) from error


class _Unpickler(pickle.Unpickler):
    """Hands out the names of `_ALLOWED` and no others."""

    def __init__(self, source: str, file: BinaryIO) -> None:
        # Latin-1 is how arrays pickled by Python 2 keep their bytes.
        super().__init__(file, encoding="latin1")
        self._source = source

    def find_class(self, module_name: str, global_name: str, /) -> object:
        try:
            return _ALLOWED[module_name, global_name]
        except KeyError:
            raise DataError(
                f"{self._source}: refused, because it names '{module_name}.{global_name}' and a "
                "feature file may hold only numpy arrays, lists, dictionaries, text and numbers; "
                f"nothing was run; {_advice(module_name)}"
            ) from None

    def persistent_load(self, pid: object, /) -> NoReturn:
        raise DataError(
            f"{self._source}: refused, because it refers to an object outside the file "
            f"(persistent id {pid!r})"
        )


def _advice(module_name: str) -> str:
    package = module_name.partition(".")[0]
    if package == "torch":
        return "save its tensors as numpy arrays (MMSA-FET: return_type='np')"
    if package in ("numpy", "pandas"):
        return "save its values as plain numpy arrays of numbers or text"
    return "do not open it with other tools, either, unless you trust who made it"


class _Callable:
    """A function that a pickle may call but not change (a function's attributes are open)."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., object]) -> None:
        self._function = function

    def __call__(self, *arguments: object) -> object:
        return self._function(*arguments)

    def __setstate__(self, state: object) -> NoReturn:
        raise pickle.UnpicklingError("it tries to change a function")


class _Dtype:
    """The parts of a pickled dtype: a code such as `f4`, then, in its state, the byte order."""

    __slots__ = ("_byte_order", "_code")

    def __init__(self, code: object, *_: object) -> None:
        self._code = code
        self._byte_order: object = "="

    def __setstate__(self, state: tuple[object, ...]) -> None:
        self._byte_order = state[1]

    def build(self) -> np.dtype[np.generic]:
        code, order = self._code, self._byte_order
        if not isinstance(code, str) or not re.fullmatch(r"[biufcSU]\d{1,8}|O8?", code):
            raise TypeError(f"values of type {code!r} are neither numbers nor text")
        if order not in ("<", ">", "|", "="):
            raise TypeError(f"{order!r} is no byte order")
        return np.dtype(f"{order}{code}")


class _Array:
    """The parts of a pickled array; made into a real one only where it is read."""

    __slots__ = ("_axes", "_data", "_dtype", "_order", "_shape")

    def __init__(
        self,
        data: object = b"",
        dtype: object = None,
        shape: object = (0,),
        order: object = "C",
        axes: object = None,
    ) -> None:
        self._data, self._dtype, self._shape = data, dtype, shape
        self._order, self._axes = order, axes

    def __setstate__(self, state: tuple[object, ...]) -> None:
        _, self._shape, self._dtype, is_fortran, self._data = state
        self._order = "F" if is_fortran else "C"

    def build(self) -> NDArray[np.generic]:
        shape, dtype = self._shape, self._dtype
        if not isinstance(shape, tuple) or not all(isinstance(n, int) and n >= 0 for n in shape):
            raise TypeError(f"{shape!r} is not the shape of an array")
        if not isinstance(dtype, _Dtype):
            raise TypeError("an array without a type of its values")
        real = dtype.build()
        flat = self._objects() if real.hasobject else np.frombuffer(self._bytes(), real)
        if flat.size != math.prod(shape):
            raise ValueError(f"{flat.size} values do not fill an array of shape {shape}")
        if self._order == "K" and isinstance(self._axes, tuple):
            return flat.reshape(shape).transpose(self._axes)
        return flat.reshape(shape, order="F" if self._order == "F" else "C")

    def _bytes(self) -> bytes | bytearray:
        if isinstance(self._data, str):
            return self._data.encode("latin1")
        if not isinstance(self._data, bytes | bytearray):
            raise TypeError(f"the values of an array as {type(self._data).__name__}")
        return self._data

    def _objects(self) -> NDArray[np.generic]:
        items = self._data
        if not isinstance(items, list):
            raise TypeError("an array of objects without a list of them")
        for row, item in enumerate(items):
            if not isinstance(item, str):
                raise TypeError(
                    f"an array of Python objects, item {row} {_described(item)}; "
                    "save numbers as one array of float32"
                )
        return np.array(items, dtype=np.str_)


def _plain(value: object) -> object:
    """The value with every array in it made real."""
    if isinstance(value, _Array):
        return value.build()
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _described(value: object) -> str:
    return "an array" if isinstance(value, _Array) else f"a value of type {type(value).__name__}"


def _reconstruct(*_: object) -> _Array:
    return _Array()


def _scalar(dtype: object, data: object) -> _Array:
    return _Array(data, dtype, ())


def _encode(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"bytes written as {encoding!r}")
    return text.encode("latin1")


_BUILTINS = (list, dict, tuple, set, frozenset, bytearray, complex, slice, range,
             str, int, float, bool, bytes)  # fmt: skip
_ALLOWED: dict[tuple[str, str], object] = {
    **{
        (module, kind.__name__): kind
        for kind in _BUILTINS
        for module in ("builtins", "__builtin__")
    },
    ("__builtin__", "xrange"): range,
    ("collections", "OrderedDict"): OrderedDict,
    ("collections", "defaultdict"): defaultdict,
    ("_codecs", "encode"): _Callable(_encode),
    ("numpy", "ndarray"): "numpy.ndarray",  # Only ever an argument of `_reconstruct`.
    ("numpy", "dtype"): _Callable(_Dtype),
}
for _package in ("numpy.core", "numpy._core"):
    _ALLOWED[f"{_package}.multiarray", "_reconstruct"] = _Callable(_reconstruct)
    _ALLOWED[f"{_package}.multiarray", "scalar"] = _Callable(_scalar)
    _ALLOWED[f"{_package}.numeric", "_frombuffer"] = _Callable(_Array)
