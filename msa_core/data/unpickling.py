"""Pickles read without running what is in them, and without their taking what they do not have.

A pickle is a program. `pickle.load` runs it, and so can delete a home directory. Here the program
may name only the few things that feature files are made of; any other name ends the reading
before it is called. Arrays are not even made by numpy's own reconstruction, which trusts the
memory layout that the file declares, but from their checked parts.

Nor can a small file take much time or memory: what it refers to again and again is counted each
time, and what is made of it stays in proportion to its size.
"""

import copyreg
import math
import pickle
import re
import reprlib
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, NoReturn

import numpy as np
from numpy.typing import NDArray

from spaces.core import DataError

SPARE_BYTES = 2**23  # that even a tiny file may be made into
MOST_AXES = 32
MOST_CHARACTERS = 2**28  # of texts in one array
_SIZED = (str, bytes, bytearray, list, tuple, set, frozenset, dict)


def unpickle(path: Path) -> object:
    """Return what a pickle holds; its arrays are made by `make_arrays`.

    Raises:
        DataError: It is broken, or asks to run anything.
        OSError: It can't be opened.
    """
    # Objects cached under extension codes would be returned without asking `find_class`.
    copyreg.clear_extension_cache()
    with path.open("rb") as file:
        if not file.peek(1):
            raise DataError(f"{path.name}: the file is empty")
        try:
            return _Unpickler(path, file).load()
        except DataError:
            raise
        except Exception as error:  # Broken pickles raise almost anything.
            raise DataError(
                f"{path.name}: not a readable pickle ({type(error).__name__}: {error}); "
                "is the file complete, and a feature file?"
            ) from error


class SizeLimit:
    """Limit on what may be made of a file: about as much as is in it."""

    def __init__(self, path: Path) -> None:
        self._left = 2 * path.stat().st_size + SPARE_BYTES

    def spend(self, amount: int) -> None:
        """Count something made of so many parts or bytes.

        Raises:
            ValueError: Nothing is left.
        """
        self._left -= amount
        if self._left < 0:
            raise ValueError(
                "it refers to the same values again and again, to make far more of them than the "
                "file holds; write each value out"
            )


_InPython: Any = pickle._Unpickler


class _Unpickler(_InPython):  # type: ignore[misc]  # it is declared without its parts
    """Unpickler that knows the names of `_ALLOWED` and no others.

    It is the one written in Python: it remembers only what there is, where the other one makes
    room for as many objects as a file claims, and it can look at what is used as a key.
    """

    def __init__(self, path: Path, file: BinaryIO) -> None:
        # Latin-1 is how arrays pickled by Python 2 keep their bytes.
        super().__init__(file, encoding="latin1")
        self._source = path.name
        self._limit = SizeLimit(path)

    def find_class(self, module_name: str, global_name: str, /) -> object:
        try:
            allowed = _ALLOWED[module_name, global_name]
        except KeyError:
            raise DataError(
                f"{self._source}: refused, because it names '{module_name}.{global_name}' and a "
                "feature file may hold only numpy arrays, lists, dictionaries, text and numbers; "
                f"nothing was run; {_advise_on(module_name)}"
            ) from None
        return _Callable(allowed, self._limit) if callable(allowed) else allowed

    def persistent_load(self, pid: object, /) -> NoReturn:
        raise DataError(
            f"{self._source}: refused, because it refers to an object outside the file "
            f"(persistent id {reprlib.repr(pid)})"
        )

    # What a key is must be known before it is used: hashing a tuple of tuples of the same tuples
    # takes for ever.

    def _load_item(self) -> None:
        _check_keys(self.stack[-2:-1])
        self.load_setitem()

    def _load_items(self) -> None:
        _check_keys(self.stack[::2])
        self.load_setitems()

    def _load_dict(self) -> None:
        _check_keys(self.stack[::2])
        self.load_dict()

    def _load_members(self) -> None:
        _check_keys(self.stack)
        self.load_additems()

    def _load_frozenset(self) -> None:
        _check_keys(self.stack)
        self.load_frozenset()

    dispatch: ClassVar[dict[int, Any]] = {
        **_InPython.dispatch,
        pickle.SETITEM[0]: _load_item,
        pickle.SETITEMS[0]: _load_items,
        pickle.DICT[0]: _load_dict,
        pickle.ADDITEMS[0]: _load_members,
        pickle.FROZENSET[0]: _load_frozenset,
    }


def _check_keys(keys: Iterable[object]) -> None:
    for key in keys:
        if type(key) is int and abs(key) < 2**63:
            continue
        if type(key) not in (str, bytes, bool, float, type(None), _Array):
            raise pickle.UnpicklingError(f"{describe_kind(key)} as the key of a dictionary")


def _advise_on(module_name: str) -> str:
    package = module_name.partition(".")[0]
    if package == "torch":
        return "save its tensors as numpy arrays (MMSA-FET: return_type='np')"
    if package in ("numpy", "pandas"):
        return "save its values as plain numpy arrays of numbers or text"
    return "do not open it with other tools, either, unless you trust who made it"


class _Callable:
    """A function that a pickle may call but not change (a function's attributes are open)."""

    __slots__ = ("_function", "_limit")

    def __init__(self, function: Callable[..., object], limit: SizeLimit) -> None:
        self._function = function
        self._limit = limit

    def __call__(self, *arguments: object) -> object:
        for argument in arguments:
            self._limit.spend(len(argument) if isinstance(argument, _SIZED) else 1)
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
            raise TypeError(f"values of type {reprlib.repr(code)} are neither numbers nor text")
        # Never numpy's own parser with a text of the file: it knows structures and comma lists too.
        if order not in ("<", ">", "|", "="):
            raise TypeError(f"{reprlib.repr(order)} is no byte order")
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
        if not isinstance(shape, tuple) or not all(
            isinstance(n, int) and 0 <= n < 2**63 for n in shape[: MOST_AXES + 1]
        ):
            raise TypeError(f"{reprlib.repr(shape)} is not the shape of an array")
        if len(shape) > MOST_AXES:
            raise ValueError(f"an array of {len(shape)} axes")
        if not isinstance(dtype, _Dtype):
            raise TypeError("an array without a type of its values")
        real = dtype.build()
        flat = self._text_array() if real.hasobject else np.frombuffer(self._raw_bytes(), real)
        if flat.size != math.prod(shape):
            raise ValueError(f"{flat.size} values do not fill an array of shape {shape}")
        if self._order == "K" and isinstance(self._axes, tuple):
            return flat.reshape(shape).transpose(self._axes)
        return flat.reshape(shape, order="F" if self._order == "F" else "C")

    def _raw_bytes(self) -> bytes | bytearray:
        if isinstance(self._data, str):
            return self._data.encode("latin1")
        if not isinstance(self._data, bytes | bytearray):
            raise TypeError(f"the values of an array as {type(self._data).__name__}")
        return self._data

    def _text_array(self) -> NDArray[np.generic]:
        items = self._data
        if not isinstance(items, list):
            raise TypeError("an array of objects without a list of them")
        for row, item in enumerate(items):
            if not isinstance(item, str):
                raise TypeError(
                    f"an array of Python objects, item {row} {describe_kind(item)}; "
                    "save numbers as one array of float32"
                )
        # numpy gives every text of an array the room of the longest.
        if len(items) * max(map(len, items), default=0) > MOST_CHARACTERS:
            raise ValueError("texts of very different lengths in one array; save them as a list")
        return np.array(items, dtype=np.str_)


def make_arrays(value: object, limit: SizeLimit) -> object:
    """Return the value with every array in it made real.

    Args:
        value: Part of what `unpickle` returned.
        limit: Limit of the file.

    Raises:
        ValueError, TypeError, RecursionError, OverflowError, MemoryError: An array is none that
            can be made, there is no end to it, or the limit is reached.
    """
    if isinstance(value, _Array):
        array = value.build()
        limit.spend(array.nbytes if array.dtype.kind != "U" else array.size)
        return array
    # Each time anew: a list that holds the same list twice, and so on, doubles at every level.
    if isinstance(value, list | tuple):
        limit.spend(len(value))
        return [make_arrays(item, limit) for item in value]
    return value


def describe_kind(value: object) -> str:
    """Return what kind of value it is, for a message."""
    return "an array" if isinstance(value, _Array) else f"a value of type {type(value).__name__}"


def _reconstruct(*_: object) -> _Array:
    return _Array()


def _make_scalar(dtype: object, data: object) -> _Array:
    return _Array(data, dtype, ())


def _encode(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"bytes written as {encoding!r}")
    return text.encode("latin1")


def _collection_of(kind: type) -> Callable[..., object]:
    """Return a maker of lists, tuples or sets of such."""

    def make(*arguments: object) -> object:
        for one in arguments:
            # `list(range(10**12))` would fill any memory.
            if not isinstance(one, list | tuple | set | frozenset):
                raise pickle.UnpicklingError("a list or a set made of what is none")
            if kind in (set, frozenset):
                _check_keys(one)
        return kind(*arguments)

    return make


def _mapping_of(kind: type[dict[object, object]]) -> Callable[..., object]:
    """Return a maker of dictionaries: empty, or of pairs."""

    def make(*arguments: object) -> object:
        made = kind()
        for pairs in arguments:
            # The factory of a `defaultdict`: nothing here asks for a key that is not there.
            if isinstance(pairs, _Callable):
                continue
            if not isinstance(pairs, list | tuple):
                raise pickle.UnpicklingError("a dictionary made of what is no list of pairs")
            for pair in pairs:
                if not isinstance(pair, list | tuple) or len(pair) != 2:
                    raise pickle.UnpicklingError("a dictionary made of what are no pairs")
                _check_keys(pair[:1])
                made[pair[0]] = pair[1]
        return made

    return make


def _scalar_of(kind: Callable[..., object]) -> Callable[..., object]:
    """Return a maker of a number or text of one."""

    def make(*arguments: object) -> object:
        # The text of a list that refers to itself many times has no end.
        if not all(type(one) in (str, bytes, int, float, bool) for one in arguments):
            raise pickle.UnpicklingError("a number or text made of what is none")
        return kind(*arguments)

    return make


def _bytes_of(kind: Callable[..., object]) -> Callable[..., object]:
    """Return a maker of bytes of bytes or text."""

    def make(*arguments: object) -> object:
        # `bytes(10**12)` would be so many zeros.
        if not all(type(one) in (str, bytes, bytearray) for one in arguments):
            raise pickle.UnpicklingError("bytes made of what are none")
        return kind(*arguments)

    return make


_BUILTINS: dict[str, Callable[..., object]] = {
    **{kind.__name__: _collection_of(kind) for kind in (list, tuple, set, frozenset)},
    **{kind.__name__: _scalar_of(kind) for kind in (str, int, float, bool, complex, slice, range)},
    **{kind.__name__: _bytes_of(kind) for kind in (bytes, bytearray)},
    "dict": _mapping_of(dict),
}
_ALLOWED: dict[tuple[str, str], object] = {
    **{
        (module, name): function
        for name, function in _BUILTINS.items()
        for module in ("builtins", "__builtin__")
    },
    ("__builtin__", "xrange"): _BUILTINS["range"],
    ("collections", "OrderedDict"): _mapping_of(OrderedDict),
    ("collections", "defaultdict"): _mapping_of(defaultdict),
    ("_codecs", "encode"): _encode,
    ("numpy", "ndarray"): "numpy.ndarray",  # Only ever an argument of `_reconstruct`.
    ("numpy", "dtype"): _Dtype,
}
for _package in ("numpy.core", "numpy._core"):
    _ALLOWED[f"{_package}.multiarray", "_reconstruct"] = _reconstruct
    _ALLOWED[f"{_package}.multiarray", "scalar"] = _make_scalar
    _ALLOWED[f"{_package}.numeric", "_frombuffer"] = _Array
