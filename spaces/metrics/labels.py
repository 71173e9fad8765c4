"""Checks of the labels of a split."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import ArrayLike

from spaces.fields.paths import did_you_mean
from spaces.metrics.kinds import Values


def check_labels(task: str, labels: ArrayLike, split: str) -> None:
    """Check that labels are what a task asks for.

    Args:
        task: `regression`, `binary`, `multiclass` or `multilabel`.
        labels: Labels of all examples of a split.
        split: Name of the split, for messages.

    Raises:
        ValueError: No labels, another shape, a number that is not finite, or no label of the task.
    """
    check = find_task(task)
    whose = f"{task} labels of '{split}'"
    values = read_numbers(labels, whose)
    if not values.size:
        raise ValueError(f"{whose} are empty: their shape is {values.shape}")
    check(values, whose)


def find_task(task: str) -> Callable[[Values, str], None]:
    """Return the check of a task's labels.

    Raises:
        ValueError: An unknown task.
    """
    if task not in _CHECKS:
        raise ValueError(
            f"'{task}' is not a task{did_you_mean(task, list(_CHECKS))}; allowed are "
            f"{', '.join(_CHECKS)}"
        )
    return _CHECKS[task]


def read_numbers(given: ArrayLike, whose: str) -> Values:
    """Return finite numbers as float64.

    Args:
        given: What may be an array of numbers.
        whose: What they are, in the plural, for messages.

    Raises:
        ValueError: They are no numbers, or not finite.
    """
    try:
        array = np.asarray(given)
        values = array.astype(np.float64) if array.dtype.kind != "c" else None
    except (TypeError, ValueError):
        values = None
    if values is None:
        raise ValueError(
            f"{whose} must be an array of numbers, but got {_describe_values(given)}; give classes "
            "numbers from 0, and rows equally many numbers"
        )
    wrong = np.argwhere(~np.isfinite(values))
    if len(wrong):
        first = tuple(int(place) for place in wrong[0])
        place = first[0] if len(first) == 1 else first
        kind = "NaN" if np.isnan(values[first]) else "infinite"
        raise ValueError(
            f"{whose} must be finite, but {len(wrong)} of {values.size} are not; the first is "
            f"{kind}, at index {place}"
        )
    return values


def _check_regression(values: Values, whose: str) -> None:
    _check_dimensions(values, whose, (1, 2), "[N] or [N, K]")


def _check_binary(values: Values, whose: str) -> None:
    _check_dimensions(values, whose, (1,), "[N]")
    _check_zero_or_one(values, whose)


def _check_multilabel(values: Values, whose: str) -> None:
    _check_dimensions(values, whose, (2,), "[N, K]")
    _check_zero_or_one(values, whose)


def _check_multiclass(values: Values, whose: str) -> None:
    _check_dimensions(values, whose, (1,), "[N]")
    wrong = np.flatnonzero((values < 0) | (values != np.rint(values)))
    if len(wrong):
        raise ValueError(
            f"{whose} must be whole numbers from 0, but {values[wrong[0]]:g} is at index "
            f"{wrong[0]}; number the classes, e.g. numpy.unique(labels, return_inverse=True)[1]"
        )


_CHECKS: Mapping[str, Callable[[Values, str], None]] = {
    "regression": _check_regression,
    "binary": _check_binary,
    "multiclass": _check_multiclass,
    "multilabel": _check_multilabel,
}


def _check_dimensions(values: Values, whose: str, allowed: tuple[int, ...], form: str) -> None:
    if values.ndim in allowed:
        return
    single = values.ndim == 2 and values.shape[1] == 1
    fix = "; take its only column, labels[:, 0]" if single else ""
    raise ValueError(f"{whose} must be {form}, but their shape is {values.shape}{fix}")


def _check_zero_or_one(values: Values, whose: str) -> None:
    wrong = np.argwhere((values != 0) & (values != 1))
    if not len(wrong):
        return
    first = tuple(int(place) for place in wrong[0])
    found = np.unique(values)
    fix = ""
    if len(found) == 2:
        fix = (
            f"; the two values are {found[0]:g} and {found[1]:g}: if {found[1]:g} is the positive "
            f"one, use (labels == {found[1]:g})"
        )
    elif values.ndim == 1:
        fix = f"; they have {len(found)} values, which is a task 'multiclass' or 'regression'"
    raise ValueError(
        f"{whose} must be 0 or 1, but {values[first]:g} is at index "
        f"{first[0] if len(first) == 1 else first}{fix}"
    )


def _describe_values(given: object) -> str:
    if isinstance(given, np.ndarray):
        return f"an array of {given.dtype}, e.g. {given.reshape(-1)[0]!r}" if given.size else "none"
    shown = repr(given)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
