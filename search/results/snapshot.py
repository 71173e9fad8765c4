"""A run at one moment: what the screen draws, `live.json` keeps and `triptych status` reads.

The driver writes `live.json` into the results folder every few seconds. It shows how a run is
doing and decides nothing: the ledger is the record of what is done.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from search.atomic_files import write_text_atomically

LIVE = "live.json"


class ArmPhase(StrEnum):
    """What an arm is at."""

    WAITING = "waiting"  # for the arm whose values it takes
    TUNING = "tuning"
    CONFIRMING = "confirming"
    DONE = "done"


class RunState(StrEnum):
    """What a run is at."""

    STARTING = "starting"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPING = "stopping"
    FINISHING = "finishing"  # nothing trains any more
    ENDED = "ended"  # everything is written


@dataclass(frozen=True, kw_only=True, slots=True)
class BestValue:
    """Value of an arm's best candidate on validation.

    Attributes:
        mean: Mean of the study's metric over the seeds.
        sd: Standard deviation over the seeds; None with a single one.
        seeds: Number of seeds.
        confirmed: Whether they are the confirm seeds, and not the tuning seeds.
    """

    mean: float
    sd: float | None
    seeds: int
    confirmed: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmSnapshot:
    """An arm at one moment.

    Attributes:
        phase: One of `ArmPhase`.
        frozen: Arm whose values it takes; empty = none.
        tune_done, tune_total: Tuning cells that are finished, and planned; 0 = nothing to tune.
        tune_seconds: Seconds that the tuning cells trained.
        most_seconds: Tuning budget in seconds; None = candidates are the budget.
        confirm_done, confirm_total: Confirm cells that are finished, and planned.
        running: Cells that are on workers now.
        failed: Finished cells that failed.
        best: Value of its best candidate; None while no candidate has one.
    """

    name: str
    phase: str
    frozen: str = ""
    tune_done: int
    tune_total: int
    tune_seconds: float = 0.0
    most_seconds: float | None = None
    confirm_done: int
    confirm_total: int
    running: int = 0
    failed: int = 0
    best: BestValue | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class FlightSnapshot:
    """A pack on a worker.

    Attributes:
        pack: Number of the pack in this run.
        phase: `tune` or `confirm`.
        cells, finished: Cells of the pack, and those of them that are in the ledger.
        epoch: Epoch of its slowest cell that still trains.
        most_epochs: Epochs of the configuration; 0 = unknown before the worker's first report.
        node: Address of its worker's node; empty until it is known.
        seconds: Seconds since it was handed out.
        silent: Seconds since its worker's last report.
    """

    pack: int
    arm: str
    phase: str
    cells: int
    finished: int
    epoch: int
    most_epochs: int
    node: str
    seconds: float
    silent: float


@dataclass(frozen=True, kw_only=True, slots=True)
class FailureCount:
    """Failed cells of one kind.

    Attributes:
        kind: One of `FailureKind`.
        count: Number of cells.
        reason: Reason of the first of them.
    """

    kind: str
    count: int
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """A run at one moment.

    Attributes:
        study: Name of the study.
        metric: Metric that is tuned, on validation.
        time: Seconds since 1970.
        host, process: Host name and process id of the driver.
        state: One of `RunState`.
        reason: Why it is paused or stopping, or how it ended; else empty.
        seconds: Wall time of this run until now.
        arms: Arms in the order of the plan.
        failures: Failed cells by kind.
        trained: Cells finished in this run.
        cells_a_minute: Cells per minute over the last minutes; None until known.
        seconds_left: Wall time until the study is finished, about; None until known.
        workers, busy: Number of workers, and of those with a pack.
        share: Share of the workers' time that went into training, 0 to 1; None until known.
        device_seconds: Seconds of training in this run, with what is under way.
        earlier_seconds: Seconds of training in earlier runs of this study.
        nodes: Node address -> number of packs there.
        flights: In-flight packs.
    """

    study: str
    metric: str
    time: float
    host: str = ""
    process: int = 0
    state: str = RunState.RUNNING
    reason: str = ""
    seconds: float = 0.0
    arms: tuple[ArmSnapshot, ...]
    failures: tuple[FailureCount, ...] = ()
    trained: int = 0
    cells_a_minute: float | None = None
    seconds_left: float | None = None
    workers: int = 0
    busy: int = 0
    share: float | None = None
    device_seconds: float = 0.0
    earlier_seconds: float = 0.0
    nodes: Mapping[str, int] = field(default_factory=dict)
    flights: tuple[FlightSnapshot, ...] = ()

    @property
    def done(self) -> int:
        """Cells that are finished, of any status."""
        return sum(arm.tune_done + arm.confirm_done for arm in self.arms)

    @property
    def total(self) -> int:
        """Cells of the study, as far as is known."""
        return sum(arm.tune_total + arm.confirm_total for arm in self.arms)

    @property
    def failed(self) -> int:
        """Cells that failed."""
        return sum(arm.failed for arm in self.arms)


def snapshot_json(snapshot: Snapshot) -> dict[str, Any]:
    """Return the snapshot as JSON content, with its sums."""
    return {
        **asdict(snapshot),
        "done": snapshot.done,
        "total": snapshot.total,
        "failed": snapshot.failed,
    }


def write_live(folder: Path, snapshot: Snapshot) -> None:
    """Write `live.json` by an atomic write.

    Raises:
        OSError: It cannot be written.
    """
    write_text_atomically(folder / LIVE, json.dumps(asdict(snapshot)))


def read_live(folder: Path) -> Snapshot | None:
    """Read the last snapshot of a driver; None if there is none that can be read."""
    try:
        # Fields of another version are passed over.
        return TypeAdapter(Snapshot).validate_json((folder / LIVE).read_bytes())
    except (OSError, ValueError):
        return None
