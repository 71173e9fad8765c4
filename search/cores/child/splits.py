"""The splits that the user's `load` returns: checked, counted, with a fingerprint."""

import hashlib
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.cores.child.user_errors import CodeMistake

NAMES = ("train", "valid", "test")
SPARSE = ("data", "indices", "indptr")  # parts of a sparse matrix in rows or columns
ALLOWED = (
    "load must return {'train': (inputs, labels), 'valid': ..., 'test': ...}, each with groups as "
    "a third part if there are any"
)


@dataclass(frozen=True, slots=True)
class Split:
    """A split, as `load` returned it.

    Attributes:
        whole: Tuple of the user's, unchanged.
        labels: Labels [N] or [N, K]; None for train, whose labels nobody else reads.
        groups: Group of each example, as text; empty if there are none.
        count: Number of examples; 0 if unknown.
    """

    whole: Any
    labels: NDArray[Any] | None
    groups: tuple[str, ...]
    count: int

    @property
    def inputs(self) -> Any:
        """The first part."""
        return self.whole[0]


def load_splits(load: Callable[..., Any] | None, path: str) -> dict[str, Split]:
    """Call the user's `load` and check what it returns.

    Args:
        load: Function; None = the core brings its own data.
        path: File or folder of the study's `data`; empty = none.

    Raises:
        CodeMistake: Splits are missing, or are no pairs of inputs and labels.
    """
    if load is None:
        return {}
    found = _call_load(load, path)
    if not isinstance(found, Mapping) or not set(NAMES) <= found.keys():
        got = f"a mapping with {', '.join(map(repr, found))}" if isinstance(found, Mapping) else (
            f"a value of type {type(found).__name__}"
        )  # fmt: skip
        raise CodeMistake(f"{ALLOWED}; it returned {got}")
    return {name: _checked_split(name, found[name]) for name in NAMES}


def path_parameter(load: Callable[..., Any] | None) -> str:
    """Return the name of the parameter without which `load` can't be called; empty if none."""
    for one in inspect.signature(load).parameters.values() if load else ():
        by_place = one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)
        if by_place and one.default is one.empty:
            return one.name
    return ""


def _call_load(load: Callable[..., Any], path: str) -> Any:
    parameters = inspect.signature(load).parameters
    if path and not parameters:
        raise CodeMistake(
            "the study names data, but load takes no path; write 'def load(path)', or remove "
            "'data' from the study"
        )
    if not path and (needed := path_parameter(load)):
        raise CodeMistake(
            f"load needs '{needed}', and the study names no data; give it 'data: FILE' or "
            f"--data FILE, or write 'def load({needed}=None)'"
        )
    return load(path) if path else load()


def _checked_split(name: str, whole: Any) -> Split:
    if not isinstance(whole, tuple | list) or len(whole) not in (2, 3):
        got = f"{len(whole)} parts" if isinstance(whole, tuple | list) else type(whole).__name__
        raise CodeMistake(f"split '{name}' has {got}; {ALLOWED}")
    inputs, labels = whole[0], whole[1]
    count = _length_of(inputs)
    if labels is None and name != "train":
        raise CodeMistake(f"split '{name}' has no labels; without them nothing can be scored")
    known = None
    if name != "train":
        known = as_array(labels, f"the labels of split '{name}'")
        if count not in (0, len(known)):
            raise CodeMistake(f"split '{name}' has {count} inputs, but {len(known)} labels")
        count = len(known)
    if not count and name == "train":
        count = _length_of(labels)
    groups = tuple(map(str, whole[2])) if len(whole) == 3 and whole[2] is not None else ()
    if groups and len(groups) != count:
        raise CodeMistake(f"split '{name}' has {count} examples, but {len(groups)} groups")
    if known is not None and not count:
        raise CodeMistake(f"split '{name}' is empty")
    return Split(whole=whole, labels=known, groups=groups, count=count)


def _length_of(inputs: Any) -> int:
    """Return the number of examples; 0 where it can't be known."""
    if isinstance(inputs, Mapping):
        lengths = {_length_of(part) for part in inputs.values()}
        return lengths.pop() if len(lengths) == 1 else 0
    try:
        return len(inputs)
    except TypeError:  # a sparse matrix has a shape alone
        shape = getattr(inputs, "shape", None)
        return int(shape[0]) if shape else 0


def as_array(values: Any, what: str) -> NDArray[Any]:
    """Return numbers of any library as an array.

    Args:
        values: Array, tensor, list, series of N or N x K numbers.
        what: Name of it for a message.

    Raises:
        CodeMistake: They are no numbers.
    """
    for step in ("detach", "cpu", "numpy"):  # of PyTorch's tensors, whatever their device
        if hasattr(values, step):
            values = getattr(values, step)()
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise CodeMistake(f"{what} are no rectangle of numbers: {error}") from None
    if array.dtype == object or array.dtype.kind not in "biuf":
        raise CodeMistake(
            f"{what} must be numbers, but are of type {array.dtype}; classes are whole numbers "
            "from 0 on"
        )
    if array.ndim not in (1, 2):
        raise CodeMistake(f"{what} must be [N] or [N, K], but their shape is {array.shape}")
    return array.astype(np.float64)


def fingerprint_of(splits: Mapping[str, Split], path: str) -> str:
    """Digest the file, the labels and what is known of the inputs."""
    digest = hashlib.sha256()
    if path:
        _add_file(digest, Path(path))
    for name, split in splits.items():
        digest.update(f"{name} {split.count} {split.groups}".encode())
        for part in split.whole[:2]:
            _add_value(digest, part)
    return digest.hexdigest()


def _add_file(digest: Any, path: Path) -> None:
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    for file in files:
        if file.is_file():
            digest.update(file.relative_to(path).as_posix().encode())
            with file.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())


def _add_value(digest: Any, value: Any, depth: int = 0) -> None:
    """Add a value: arrays, tensors, frames and containers by their contents, the rest by type.

    A generic pickle would depend on the identity of objects, and so change without a reason.
    """
    for step in ("detach", "cpu", "numpy", "to_numpy"):
        if not isinstance(value, np.ndarray) and hasattr(value, step):
            value = getattr(value, step)()
    digest.update(type(value).__name__.encode())
    if isinstance(value, np.ndarray) and value.dtype != object:
        digest.update(f"{value.dtype} {value.shape}".encode())
        digest.update(np.ascontiguousarray(value))
    elif isinstance(value, bool | int | float | complex | str | bytes | None):
        digest.update(repr(value).encode("utf-8", "surrogatepass"))
    elif all(hasattr(value, part) for part in ("shape", *SPARSE)):
        digest.update(f"{value.shape}".encode())
        for part in SPARSE:
            _add_value(digest, getattr(value, part), depth + 1)
    elif depth < 4 and (parts := _parts_of(value)) is not None:
        for part in parts:
            _add_value(digest, part, depth + 1)
    else:
        digest.update(str(_length_of(value)).encode())


def _parts_of(value: Any) -> Iterable[Any] | None:
    if isinstance(value, Mapping):
        return [part for item in value.items() for part in item]
    if isinstance(value, np.ndarray):  # of objects
        return list(value.ravel())
    return value if isinstance(value, list | tuple) else None
