"""What the user's `load` returned, as far as the platform needs it.

No example leaves the process that loaded it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spaces.core import DataSource


@dataclass(frozen=True, kw_only=True)
class FunctionSource(DataSource):
    """What the user's `load` is given.

    Attributes:
        needs_path: Whether it can't do without a file or folder.
    """

    needs_path: bool = False

    @property
    def is_named(self) -> bool:
        """Whether there is something to open."""
        return self.file is not None or not self.needs_path


@dataclass(frozen=True, kw_only=True)
class FunctionData:
    """What the user's `load` returned, as far as the platform needs it; see `spaces.core.Data`.

    Attributes:
        scheme: Name of the task.
        path: Path that it was given; empty = none.
        valid_labels: Labels of the validation split; None where the code evaluates itself.
        test_labels: Labels of the test split; empty where the code evaluates itself.
    """

    scheme: str
    path: str
    fingerprint: str
    source: str
    counts: Mapping[str, int]
    valid_labels: NDArray[Any] | None
    test_labels: NDArray[Any]
    facts: None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class PreparedFunctionData:
    """What a worker needs to load the same data: no example is in it.

    Attributes:
        path: Path for the user's `load`; empty = none.
        fingerprint: Fingerprint that they must have.
        scheme: Name of the task.
        valid_labels: Labels of the validation split; None where the code evaluates itself.
        like_test: Shape and number of classes of the test labels (`labels_like`).
    """

    path: str
    fingerprint: str
    scheme: str
    valid_labels: NDArray[Any] | None
    like_test: NDArray[Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class TestSplit:
    """The labels of the test split, which no training is given.

    Attributes:
        scheme: Name of the task.
        labels: Labels; empty where the code evaluates itself.
    """

    scheme: str
    labels: NDArray[Any]


def labels_like(labels: NDArray[Any]) -> NDArray[Any]:
    """Return labels of the same shape and number of classes that tell nothing else."""
    alike = np.zeros_like(labels)
    if labels.size:
        alike.flat[-1] = labels.max()
    return alike
