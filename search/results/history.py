"""How long the runs of a folder took, and what had been estimated before them.

`runs.jsonl` has a line for every run, `estimate.json` the last estimate of `triptych plan`.
Standard library only.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from search.atomic_files import append_line, write_whole
from search.ledger.lock import KilledRun

RUNS_FILE = "runs.jsonl"
ESTIMATE_FILE = "estimate.json"
ENDINGS = ("complete", "interrupted", "ceiling", "failed", "killed")


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRecord:
    """One run.

    Attributes:
        started: ISO time, with its zone.
        wall_seconds: of the whole process, as far as it is known when this is written.
        startup_seconds: of the process, until the first pack was handed out; 0 = none was.
        device_seconds: sum of the `seconds` of the cells trained in this run.
        cells: trained in this run.
        workers: packs trained at once.
        ended: one of `ENDINGS`.
        estimate_seconds: wall time that was estimated for it; None if nothing was.
        training_seconds: wall time from the first moment of training to the last cell; 0 = unknown.
        data: the feature file, absolute; empty where the data is generated, or nobody knows.
    """

    started: str
    wall_seconds: float
    startup_seconds: float
    device_seconds: float
    cells: int
    workers: int
    ended: str
    estimate_seconds: float | None = None
    training_seconds: float = 0.0
    data: str = ""

    @property
    def overhead(self) -> float | None:
        """The workers' time while there was training, as a multiple of what the cells took.

        1 = a worker was never without one; None if nothing was trained.
        """
        if not (self.training_seconds and self.device_seconds and self.workers):
            return None
        return self.training_seconds * self.workers / self.device_seconds


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptEstimate:
    """What an estimate said, as the folder remembers it.

    Attributes:
        plan: identity of the plan and of what was finished; an estimate of another is no use.
        wall_seconds: of the whole process.
        device_seconds: of training.
        workers: that it was made for.
        basis: `probe` or `ledger`.
    """

    plan: str
    wall_seconds: float
    device_seconds: float
    workers: int
    basis: str


def now() -> str:
    """The time as a `RunRecord` has it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def append_run(folder: Path, record: RunRecord) -> None:
    """Add a run; a line torn by a crash before it is closed off first."""
    append_line(folder / RUNS_FILE, json.dumps(asdict(record), separators=(",", ":")))


def record_killed(folder: Path, killed: KilledRun, cells: int = 0) -> RunRecord:
    """Add the run that ended without a word: all that is known of it is when it was seen last.

    Args:
        folder: of the results.
        killed: what its lock says.
        cells: that it trained, if anybody knows.
    """
    started, seen = map(datetime.fromisoformat, (killed.started, killed.last_seen))
    record = RunRecord(
        started=killed.started,
        wall_seconds=max(0.0, (seen - started).total_seconds()),
        startup_seconds=0.0,
        device_seconds=0.0,
        cells=cells,
        workers=0,
        ended="killed",
    )
    append_run(folder, record)
    return record


def read_runs(folder: Path) -> list[RunRecord]:
    """The runs of a folder, oldest first; what is no record is passed over."""
    try:
        text = (folder / RUNS_FILE).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    found = (_parsed(RunRecord, line) for line in text.splitlines())
    return [record for record in found if record is not None]


def keep_estimate(folder: Path, estimate: KeptEstimate) -> None:
    """Write `estimate.json`, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / ESTIMATE_FILE, json.dumps(asdict(estimate), indent=1))


def read_estimate(folder: Path, plan: str) -> KeptEstimate | None:
    """The kept estimate, if it is one of this very plan."""
    try:
        text = (folder / ESTIMATE_FILE).read_text(encoding="utf-8")
    except OSError:
        return None
    kept = _parsed(KeptEstimate, text)
    return kept if kept is not None and kept.plan == plan else None


def truth_line(estimate: KeptEstimate | None, run: RunRecord) -> str:
    """What was planned and what it took; empty if the two can't be compared.

    Args:
        estimate: read before the run started.
        run: as it ended.
    """
    comparable = estimate is not None and run.ended == "complete" and run.cells > 0
    if estimate is None or not comparable or estimate.workers != run.workers:
        return ""
    error = estimate.wall_seconds / run.wall_seconds - 1
    size = f"{abs(error):.0%}".replace("%", " %")
    verdict = f"{size} too {'high' if error > 0 else 'low'}" if abs(error) >= 0.005 else "right"
    planned, took = duration(estimate.wall_seconds), duration(run.wall_seconds)
    return f"planned {planned}, took {took} (estimate {verdict})"


def overhead_line(run: RunRecord) -> str:
    """How much of its workers' time a run used; empty if nobody knows."""
    if run.overhead is None:
        return ""
    workers = "worker" if run.workers == 1 else "workers"
    return (
        f"{run.workers} {workers} trained for {duration(run.training_seconds)}, "
        f"{run.overhead:.2f} x what the cells took ({duration(run.device_seconds)})"
    )


def duration(seconds: float) -> str:
    """Minutes and seconds as `1:05`, from an hour on `1:05 h`, from two days on `2.5 days`."""
    if seconds >= 48 * 3600:
        return f"{seconds / 86400:.1f} days"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}:{rest:02d}"
    return f"{minutes // 60}:{minutes % 60:02d} h"


def last_data(runs: Sequence[RunRecord]) -> Path | None:
    """The feature file of the last run that had one."""
    return next((Path(run.data) for run in reversed(runs) if run.data), None)


def last_startups(runs: Sequence[RunRecord], most: int = 3) -> list[float]:
    """How long the last runs that trained anything took to hand out their first pack."""
    return [run.startup_seconds for run in runs if run.startup_seconds > 0][-most:]


def _parsed(kind: Any, text: str) -> Any:
    """A record from JSON; None if it is none. Unknown fields are passed over."""
    try:
        content = json.loads(text)
        if not isinstance(content, Mapping):
            return None
        known = {field.name for field in fields(kind)}
        return kind(**{name: value for name, value in content.items() if name in known})
    except (ValueError, TypeError):
        return None
