"""The outcome of a training: what it reported, and how its predictions score."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.cores.cell_training import CellTraining
from spaces.core import Status
from spaces.failures import FailureKind
from spaces.metrics.canonical import canonical_predictions
from spaces.metrics.tasks import score_all
from spaces.task import Task

VALID = "valid."


@dataclass
class FunctionOutcome:
    """The outcome of a training; see `spaces.core.Outcome`.

    Attributes:
        test_numbers: Numbers that the user's code computed of the test split.
        test_predictions: Predictions of the test split; None where there are none.
    """

    status: Status = Status.COMPLETE
    reason: str = ""
    kind: str = ""
    log: str = ""
    epochs: int = 0
    best_epoch: int = 0
    valid: Mapping[str, float] = field(default_factory=dict)
    curve: Mapping[str, Sequence[float]] = field(default_factory=dict)
    seconds: float = 0.0
    parameters: int | None = None
    test_numbers: Mapping[str, float] = field(default_factory=dict)
    test_predictions: NDArray[Any] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Scoring:
    """How the predictions of a task are scored.

    Attributes:
        scheme: Name of the task.
        task: Its metrics.
        labels: Labels of the validation split; None where the code evaluates itself.
        like_test: Shape and number of classes of the test labels; None where the members are not
            tested.
        compared: Metric that every report needs, since members are compared by it; empty = none.
    """

    scheme: str
    task: Task
    labels: NDArray[Any] | None
    like_test: NDArray[Any] | None
    compared: str = ""


def outcome_of(cell: CellTraining, scoring: Scoring) -> FunctionOutcome:
    """Make the outcome of a training that has ended."""
    assert cell.ended is not None
    message, arrays = cell.ended
    outcome = stopped_outcome(cell, scoring.task)
    if message["ended"] == "stopped":
        return outcome
    outcome.status = Status.FAILED if message["ended"] == "failed" else Status.COMPLETE
    if outcome.status == Status.FAILED:
        outcome.kind, outcome.reason = message["kind"], message["reason"]
        outcome.log, outcome.valid = message["log"], {}
        return outcome
    outcome.reason, outcome.parameters = "", message["parameters"]
    # A training without a report is one epoch.
    outcome.epochs = max(1, outcome.epochs)
    outcome.best_epoch = max(1, outcome.best_epoch)
    try:
        outcome.valid = _score_valid(message["numbers"], arrays.get("valid"), scoring)
        if scoring.like_test is not None:
            # What can't be scored is a failed cell, with its reason.
            outcome.test_numbers = _numbers_of("test", message["numbers"], scoring.task)
            if "test" in arrays:
                outcome.test_predictions = _canonical(
                    "test", arrays["test"], scoring.scheme, scoring.like_test
                )
    except UnusableOutput as error:
        outcome.status, outcome.kind, outcome.reason = Status.FAILED, error.kind, str(error)
        outcome.valid = {}
    return outcome


def stopped_outcome(cell: CellTraining, task: Task) -> FunctionOutcome:
    """Make the outcome of a training that is stopped here."""
    names = list(dict.fromkeys(name for _, metrics in cell.reports for name in metrics))
    curve = {
        f"{VALID}{name}": [metrics.get(name, math.nan) for _, metrics in cell.reports]
        for name in names
    }
    last = cell.reports[-1][1] if cell.reports else {}
    return FunctionOutcome(
        status=Status.PRUNED,
        reason=f"stopped after report {len(cell.reports)}",
        epochs=len(cell.reports),
        best_epoch=_best_report(curve, task),
        valid={name: value for name, value in last.items() if name in task},
        curve=curve,
        seconds=cell.seconds,
    )


def _best_report(curve: Mapping[str, Sequence[float]], task: Task) -> int:
    """Return the number of the best report by the first metric that was reported; 0 if none."""
    for name, metric in task.items():
        values = np.asarray(curve.get(f"{VALID}{name}", []), dtype=np.float64)
        if np.isfinite(values).any():
            best: Callable[[Any], Any] = np.nanargmax if metric.higher_is_better else np.nanargmin
            return int(best(values)) + 1
    return max((len(values) for values in curve.values()), default=0)


class UnusableOutput(ValueError):
    """Predictions or numbers that can't be scored.

    Attributes:
        kind: Kind of the failure.
    """

    def __init__(self, kind: FailureKind, message: str) -> None:
        """Create the error."""
        super().__init__(message)
        self.kind = kind


def _score_valid(
    numbers: Mapping[str, float], predictions: NDArray[Any] | None, scoring: Scoring
) -> dict[str, float]:
    found = _numbers_of("valid", numbers, scoring.task)
    if predictions is None or scoring.labels is None:
        return found
    canonical = _canonical("valid", predictions, scoring.scheme, scoring.labels)
    return {**score_all(scoring.scheme, canonical, scoring.labels), **found}


def _numbers_of(split: str, numbers: Mapping[str, float], task: Task) -> dict[str, float]:
    """Return the numbers that the user's code computed of a split.

    Raises:
        UnusableOutput: One has no direction, or is not finite.
    """
    start = f"{split}."
    found = {
        name.removeprefix(start): value for name, value in numbers.items() if name.startswith(start)
    }
    for name, value in found.items():
        if name not in task:
            raise UnusableOutput(
                FailureKind.EXCEPTION,
                f"evaluate returned '{name}', of which higher_is_better has no direction",
            )
        if not math.isfinite(value):
            raise UnusableOutput(FailureKind.NOT_FINITE, f"{name} of the {split} split is {value}")
    return found


def _canonical(
    split: str, predictions: NDArray[Any], scheme: str, labels: NDArray[Any]
) -> NDArray[Any]:
    """Return predictions as the metrics of a task read them.

    Raises:
        UnusableOutput: They can't be read.
    """
    try:
        return canonical_predictions(scheme, predictions, labels)
    except ValueError as error:
        finite = np.isfinite(predictions).all()
        kind = FailureKind.EXCEPTION if finite else FailureKind.NOT_FINITE
        raise UnusableOutput(kind, f"predict of the {split} split: {error}") from None
