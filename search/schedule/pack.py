"""A pack: what one trial trains, as it goes from the schedule to a worker."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from msa_core.config.paths import Value


@dataclass(frozen=True, kw_only=True, slots=True)
class PackCell:
    """One cell that waits to be trained.

    Attributes:
        params: the candidate, searched field -> value.
        config: every field of the configuration.
        resolved: the fields that mean something.
        key: the cell's key in the ledger.
        pack_key: cells that share it can train in one step; empty for what trains in turn.
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
        cells: what is trained.
        pack_key: that they share; empty if they share none, or train in turn.
        size: most members in one step; None = not measured yet.
        seconds: device-seconds after which it is stopped; None = it trains to its end.
        scheduler: `none`, `bracket` or `asha`: which candidates are stopped early, if any.
        metric: validation metric by which candidates are compared.
        higher_is_better: its direction.
        attempts: how often its cells were handed out, this time included.
        losses: how often these very cells were lost together.
    """

    arm: str
    arm_key: str
    phase: str
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
        """Itself: nobody changes a pack, and Tune copies what it is given several times."""
        return self

    def __repr__(self) -> str:
        """Short: Tune makes a name of it."""
        return f"Pack({self.arm_key[:8]} {self.phase} {len(self.cells)} cells)"
