"""A pack: the cells that one trial trains, as the schedule assigns them to a worker."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spaces.fields.declaration import Value
from spaces.plan.plan import Phase


@dataclass(frozen=True, kw_only=True, slots=True)
class PackCell:
    """A cell that waits to be trained.

    Attributes:
        candidate: Number of the candidate in its arm, from 0.
        params: Values of the candidate: searched field -> value.
        config: Every field of the configuration.
        resolved: Fields of the configuration that mean something.
        key: Key of the cell in the ledger.
        pack_key: Key of cells that can train in one step; empty if it trains sequentially.
    """

    candidate: int
    seed: int
    params: Mapping[str, Value]
    config: Mapping[str, Value]
    resolved: Mapping[str, Value]
    key: str
    pack_key: str


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class Pack:
    """The cells that one trial trains together: candidates x seeds of one arm.

    Attributes:
        cells: Cells to train.
        pack_key: Pack key that they share; empty if they share none, or train sequentially.
        size: Most members in one step; None = not measured yet.
        seconds: Device-seconds after which it is stopped; None = it trains to its end.
        scheduler: Early stopping of candidates: `none`, `bracket` or `asha`.
        metric: Validation metric by which candidates are compared.
        higher_is_better: Direction of the metric.
        attempts: Number of times that its cells were assigned, this one included.
        losses: Number of times that these very cells were lost together.
    """

    arm: str
    arm_key: str
    phase: Phase
    cells: tuple[PackCell, ...]
    pack_key: str
    size: int | None
    seconds: float | None = None
    scheduler: str
    metric: str
    higher_is_better: bool
    attempts: int = 1
    losses: int = 0

    def __deepcopy__(self, memo: dict[int, Any]) -> "Pack":
        """Return the pack itself: it never changes, and Tune copies it several times."""
        return self

    def __repr__(self) -> str:
        """Return a short text: Tune makes a name of it."""
        return f"Pack({self.arm_key[:8]} {self.phase} {len(self.cells)} cells)"
