"""What a core predicted, as metrics read it and ledgers keep it.

Every number is rounded to float32, as it is stored: metrics of a cell are then those of its stored
predictions, to the last digit.
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import ArrayLike

from spaces.metrics.kinds import Values
from spaces.metrics.labels import find_task, read_numbers
from spaces.metrics.scores import are_logits, sigmoid

SUM_TOLERANCE = 1e-3  # of a row of probabilities; float16 has no more digits


def canonical_predictions(task: str, predictions: ArrayLike, labels: ArrayLike) -> Values:
    """Check predictions against task and labels, and return them as metrics read them.

    Args:
        task: `regression`, `binary`, `multiclass` or `multilabel`.
        predictions: Predictions, one row per label. `regression`: [N] (or [N, 1]), or [N, K] as the
            labels. `binary`: scores [N] (or [N, 1]) of class 1, or probabilities or logits of both
            classes [N, 2]. `multiclass`: probabilities or logits [N, C], or classes [N].
            `multilabel`: scores [N, K].
        labels: Labels [N], or [N, K].

    Returns:
        float64. `regression`: in the shape of the labels. `binary`, `multilabel`: scores [N] or
        [N, K]; probabilities, or logits where any is below 0 or above 1. `multiclass`:
        probabilities [N, C], made of logits where a row has negative numbers or another sum than 1;
        classes [N] stay as they are. What is returned is returned unchanged if given again.

    Raises:
        ValueError: Another shape, a number that is not finite, or no class.
    """
    find_task(task)
    wanted = read_numbers(labels, f"{task} labels")
    given = read_numbers(predictions, f"{task} predictions")
    if given.ndim == 0 or not len(given) == len(wanted) > 0:
        raise _shape_error(task, given, wanted)
    with np.errstate(over="ignore"):
        stored = given.astype(np.float32).astype(np.float64)
    # A large finite number overflows float32.
    return _READERS[task](read_numbers(stored, f"{task} predictions (as float32)"), wanted)


def _read_regression(given: Values, wanted: Values) -> Values:
    if given.shape == wanted.shape:
        return given
    if given.size == wanted.size == len(wanted):
        return given.reshape(wanted.shape)
    raise _shape_error("regression", given, wanted)


def _read_binary(given: Values, wanted: Values) -> Values:
    if given.ndim == 1 or given.shape == (len(wanted), 1):
        return given.reshape(-1)
    if given.shape != (len(wanted), 2):
        raise _shape_error("binary", given, wanted)
    if _are_probabilities(given):
        return given[:, 1]
    # Kept as a logit, because probabilities of large ones would all be 1; unless none is outside
    # 0..1, where it would be read as a probability.
    logits = _round_to_float32(given[:, 1] - given[:, 0])
    return logits if are_logits(logits) else _round_to_float32(sigmoid(logits))


def _read_multiclass(given: Values, wanted: Values) -> Values:
    if given.ndim == 1 or given.shape == (len(wanted), 1):
        return _read_classes(given.reshape(-1))
    largest = int(wanted.max())
    if given.ndim != 2:
        raise _shape_error("multiclass", given, wanted)
    if given.shape[1] <= largest:
        raise ValueError(
            f"multiclass predictions have {given.shape[1]} columns, of the classes 0 to "
            f"{given.shape[1] - 1}, but the labels hold class {largest}; predict one column for "
            "each class, in the order of the classes"
        )
    return given if _are_probabilities(given) else _round_to_float32(_softmax(given))


def _read_classes(given: Values) -> Values:
    wrong = np.flatnonzero((given < 0) | (given != np.rint(given)))
    if len(wrong):
        raise ValueError(
            f"multiclass predictions of shape ({len(given)},) are classes, whole numbers from 0, "
            f"but {given[wrong[0]]:g} is at index {wrong[0]}; for probabilities or logits return "
            f"({len(given)}, C), one column for each class"
        )
    return given


def _read_multilabel(given: Values, wanted: Values) -> Values:
    if given.shape != wanted.shape:
        raise _shape_error("multilabel", given, wanted)
    return given


_READERS: Mapping[str, Callable[[Values, Values], Values]] = {
    "regression": _read_regression,
    "binary": _read_binary,
    "multiclass": _read_multiclass,
    "multilabel": _read_multilabel,
}


def _are_probabilities(rows: Values) -> bool:
    return bool((rows >= 0).all() and (np.abs(rows.sum(axis=1) - 1) <= SUM_TOLERANCE).all())


def _softmax(logits: Values) -> Values:
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities: Values = shares / shares.sum(axis=1, keepdims=True)
    return probabilities


def _round_to_float32(values: Values) -> Values:
    return values.astype(np.float32).astype(np.float64)


def _shape_error(task: str, given: Values, wanted: Values) -> ValueError:
    n = len(wanted)
    allowed = {
        "regression": f"{wanted.shape}, the shape of the labels",
        "binary": f"({n},) scores of class 1, or ({n}, 2) probabilities or logits",
        "multiclass": f"({n}, C) probabilities or logits, or ({n},) classes",
        "multilabel": f"{wanted.shape}, the shape of the labels",
    }
    return ValueError(
        f"{task} predictions of {n} labels must have the shape {allowed[task]}, but theirs is "
        f"{given.shape}"
    )
