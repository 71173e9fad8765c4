"""The object `run`: all that a training function has of the platform."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from search.cores.child.user_errors import CodeMistake


class Stop(Exception):  # a request, and no error
    """The request to stop training: raised by `run.report`; nothing needs to catch it."""


class SealedSplits(Mapping[str, Any]):
    """The splits of a training: `train` and `valid`, as `load` returned them."""

    def __init__(self, splits: Mapping[str, Any]) -> None:
        """Wrap the splits, of which test is no one."""
        self._splits = dict(splits)

    def __getitem__(self, name: str) -> Any:
        """Return a split."""
        if name == "test":
            raise CodeMistake(
                "run.data has no 'test': trainings never see it; use run.data['valid']"
            )
        if not self._splits:
            raise CodeMistake(f"run.data has no '{name}', since the file has no function load")
        return self._splits[name]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names."""
        return iter(self._splits)

    def __len__(self) -> int:
        """Return the number of splits."""
        return len(self._splits)


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One training.

    Attributes:
        seed: Seed; `random`, NumPy and PyTorch are seeded with it already.
        device: Device, `cpu` or `cuda`.
        data: Splits `train` and `valid`, as `load` returned them.
        folder: Folder for scratch files, gone afterwards.
        checkpoint: Folder that survives a lost worker.
        resumed: Whether the checkpoint holds something.
    """

    seed: int
    device: str
    data: SealedSplits
    folder: Path
    checkpoint: Path
    resumed: bool
    answer: Callable[[int, Mapping[str, float]], bool]
    process: int
    state: dict[str, int]

    Stop: ClassVar[type[Stop]] = Stop

    def report(self, step: int, **metrics: Any) -> None:
        """Report validation metrics after a step.

        Args:
            step: Number of the step, epoch or round; never smaller than the last one. What is
                reported of one step belongs together.
            metrics: Metrics; plain numbers, or arrays and tensors of one.

        Raises:
            Stop: The training is to end here.
        """
        if os.getpid() != self.process:
            raise CodeMistake("run.report was called in another process than train")
        if self.state.get("stopped"):
            raise CodeMistake("run.report was called after run.Stop; let it end train")
        if isinstance(step, bool) or not hasattr(step, "__index__"):
            raise CodeMistake(f"run.report needs a whole number as step, but got {step!r}")
        if not metrics:
            raise CodeMistake("run.report needs a metric, as in run.report(epoch, accuracy=0.5)")
        if step < (last := self.state.get("step", step)):
            raise CodeMistake(
                f"run.report needs steps that grow, but got {step} after {last}; count on over "
                "all stages of the training"
            )
        self.state["step"] = int(step)
        values = {name: _as_number(name, value) for name, value in metrics.items()}
        if not self.answer(int(step), values):
            self.state["stopped"] = True
            raise Stop

    def log(self, *texts: object) -> None:
        """Print; the last lines are kept if the training fails."""
        print(*texts, flush=True)  # noqa: T201  # to the cell's own output


def _as_number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise CodeMistake(
            f"run.report needs numbers, but '{name}' is of type {type(value).__name__}"
        ) from None
