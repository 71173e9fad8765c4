"""A run at one moment: what the screen draws, `live.json` keeps and `triptych status` reads.

The driver writes `live.json` into the results folder every few seconds. It tells how a run is
doing and decides nothing: the ledger knows what is done. Standard library only.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from search.atomic_files import write_whole

LIVE = "live.json"
WAITING, TUNING, CONFIRMING, DONE = "waiting", "tuning", "confirming", "done"
PHASES = (WAITING, TUNING, CONFIRMING, DONE)
STARTING, RUNNING, PAUSED, STOPPING = "starting", "running", "paused", "stopping"
FINISHING, ENDED = "finishing", "ended"  # nothing trains any more; and all is written


@dataclass(frozen=True, kw_only=True, slots=True)
class Best:
    """How good an arm is, as far as is known, on validation.

    Attributes:
        mean: of the study's metric over the seeds.
        sd: standard deviation over them; None of a single one.
        seeds: how many.
        confirmed: whether they are the confirm seeds, and not the tuning seeds.
    """

    mean: float
    sd: float | None
    seeds: int
    confirmed: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmSnapshot:
    """An arm at one moment.

    Attributes:
        phase: one of `PHASES`.
        frozen: the arm whose values it takes; empty = none.
        tune_done, tune_total: tuning cells that are finished, and planned; 0 = nothing to tune.
        tune_seconds: that they trained.
        most_seconds: of tuning, where seconds are its budget; None = candidates are.
        confirm_done, confirm_total: confirm cells.
        running: cells that workers have now.
        failed: finished cells that failed.
        best: None while no candidate has a value.
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
    best: Best | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class FlightSnapshot:
    """A pack on a worker.

    Attributes:
        pack: its number in this run.
        phase: `tune` or `confirm`.
        cells, finished: in it, and of those in the ledger.
        epoch: that its slowest cell has trained, of those still training.
        most_epochs: of the configuration; 0 = nothing was heard yet.
        node: of its worker; empty until it is known.
        seconds: since it was handed out.
        silent: seconds since its worker last said something.
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
        kind: one of `search.schedule.failures.KINDS`.
        reason: of the first of them.
    """

    kind: str
    count: int
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """A run at one moment.

    Attributes:
        study: name.
        metric: that is tuned, on validation.
        time: in seconds since 1970.
        host, process: of the driver.
        state: `starting`, `running`, `paused`, `stopping`, `finishing` or `ended`.
        reason: why it is paused, stopping, or how it ended; empty if there is nothing to say.
        seconds: that this run has taken.
        arms: in the order of the plan.
        failures: of all failed cells, by kind.
        trained: cells finished in this run.
        cells_a_minute: over the last minutes; None until something is known.
        seconds_left: until the study is finished, about; None until something is known.
        workers, busy: there are, and have a pack.
        share: of the workers' time that went into training; None until something is known.
        device_seconds: of training in this run, with what is under way.
        earlier_seconds: of training in earlier runs of this study.
        nodes: address -> packs there.
        flights: the packs on workers.
    """

    study: str
    metric: str
    time: float
    host: str = ""
    process: int = 0
    state: str = RUNNING
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
    """For a program."""
    return {
        **asdict(snapshot),
        "done": snapshot.done,
        "total": snapshot.total,
        "failed": snapshot.failed,
    }


def write_live(folder: Path, snapshot: Snapshot) -> None:
    """Write `live.json`, whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    write_whole(folder / LIVE, json.dumps(asdict(snapshot)))


def read_live(folder: Path) -> Snapshot | None:
    """The last sign of life of a driver; None if there is none that can be read."""
    try:
        content = json.loads((folder / LIVE).read_text(encoding="utf-8"))
        return _snapshot(content)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _snapshot(content: Mapping[str, Any]) -> Snapshot:
    found = _known(Snapshot, content)
    arms = tuple(
        ArmSnapshot(**{**_known(ArmSnapshot, arm), "best": Best(**arm["best"])})
        if arm["best"]
        else ArmSnapshot(**_known(ArmSnapshot, arm))
        for arm in content["arms"]
    )
    flights = tuple(FlightSnapshot(**_known(FlightSnapshot, one)) for one in content["flights"])
    failures = tuple(FailureCount(**_known(FailureCount, one)) for one in content["failures"])
    return Snapshot(**{**found, "arms": arms, "flights": flights, "failures": failures})


def _known(kind: Any, content: Mapping[str, Any]) -> dict[str, Any]:
    """What a version of this program wrote that may not be this one."""
    names = {one.name for one in fields(kind)}
    return {name: value for name, value in content.items() if name in names}
