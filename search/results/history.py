"""How long the runs of a folder took, and what had been estimated before them.

`runs.jsonl` has a line for every run, `estimate.json` the last estimate of `triptych plan`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from search.atomic_files import append_line, write_text_atomically
from search.ledger.lock import KilledRun

RUN_HISTORY = "runs.jsonl"
ESTIMATE_FILE = "estimate.json"


class RunEnd(StrEnum):
    """How a run ended, as files, events and exit codes have it."""

    COMPLETE = "complete"
    INCOMPLETE = "incomplete"  # it came to its end, but cells failed
    INTERRUPTED = "interrupted"  # by Ctrl-C or SIGTERM
    BUDGET_LIMIT = "ceiling"
    FAILING = "failing"  # every cell failed alike, so it gave up
    FAILED = "failed"  # with an error
    KILLED = "killed"  # without a record; the next run wrote it


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRecord:
    """The record of one run.

    Attributes:
        started: ISO time, with its zone.
        wall_seconds: Wall time of the whole process, as far as it is known when this is written.
        startup_seconds: Wall time until the first pack was handed out; 0 = none was.
        device_seconds: Sum of the `seconds` of the cells trained in this run.
        cells: Number of cells trained in this run.
        workers: Number of packs trained at once.
        ended: One of `RunEnd`; a string, since a newer version may know other ends.
        estimate_seconds: Wall time that was estimated for it; None if nothing was.
        training_seconds: Wall time from the first moment of training to the last cell; 0 = unknown.
        data: Absolute path of the feature file; empty if unknown or the data is generated.
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
    """What is compared of a kept estimate with the run after it.

    Attributes:
        plan: Identity of the plan and of what was finished; an estimate of another is no use.
        wall_seconds: Estimated wall time of the whole process.
        workers: Number of packs trained at once that it was made for.
    """

    plan: str
    wall_seconds: float
    workers: int


def utc_timestamp() -> str:
    """Return the time in the form of `RunRecord.started`."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def append_run(folder: Path, record: RunRecord) -> None:
    """Add a run; a line torn by a crash before it is closed off first."""
    append_line(folder / RUN_HISTORY, json.dumps(asdict(record), separators=(",", ":")))


def record_killed(folder: Path, killed: KilledRun, cells: int = 0) -> RunRecord:
    """Add a run that ended without a record of its own.

    Args:
        folder: Results folder.
        killed: Content of its lock.
        cells: Number of cells that it trained; 0 = unknown.
    """
    # All that is known of it is its last sign of life, which its lock dates.
    started, seen = map(datetime.fromisoformat, (killed.started, killed.last_seen))
    record = RunRecord(
        started=killed.started,
        wall_seconds=max(0.0, (seen - started).total_seconds()),
        startup_seconds=0.0,
        device_seconds=0.0,
        cells=cells,
        workers=0,
        ended=RunEnd.KILLED,
    )
    append_run(folder, record)
    return record


def read_runs(folder: Path) -> list[RunRecord]:
    """Read the runs of a folder, oldest first; what is no record is passed over."""
    try:
        text = (folder / RUN_HISTORY).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    found = (_parse_record(RunRecord, line) for line in text.splitlines())
    return [record for record in found if record is not None]


def keep_estimate(folder: Path, estimate: Mapping[str, Any]) -> None:
    """Write an estimate as `estimate.json` by an atomic write."""
    folder.mkdir(parents=True, exist_ok=True)
    write_text_atomically(folder / ESTIMATE_FILE, json.dumps(estimate, indent=1))


def read_estimate(folder: Path, plan: str) -> KeptEstimate | None:
    """Read the kept estimate, if it is one of this very plan."""
    try:
        text = (folder / ESTIMATE_FILE).read_text(encoding="utf-8")
    except OSError:
        return None
    kept = _parse_record(KeptEstimate, text)
    return kept if kept is not None and kept.plan == plan else None


def estimate_check_line(estimate: KeptEstimate | None, run: RunRecord) -> str:
    """Return what was planned and what it took; empty if the two can't be compared.

    Args:
        estimate: Estimate that was kept before the run started.
        run: Record of the run after its end.
    """
    # A run that was interrupted, or had nothing to train, is no test of its estimate.
    comparable = estimate is not None and run.ended == RunEnd.COMPLETE and run.cells > 0
    if estimate is None or not comparable or estimate.workers != run.workers:
        return ""
    error = estimate.wall_seconds / run.wall_seconds - 1
    size = f"{abs(error):.0%}".replace("%", " %")
    verdict = f"{size} too {'high' if error > 0 else 'low'}" if abs(error) >= 0.005 else "right"
    planned, took = format_duration(estimate.wall_seconds), format_duration(run.wall_seconds)
    return f"planned {planned}, took {took} (estimate {verdict})"


def overhead_line(run: RunRecord) -> str:
    """Return how much of its workers' time a run used; empty if unknown."""
    if run.overhead is None:
        return ""
    workers = "worker" if run.workers == 1 else "workers"
    return (
        f"{run.workers} {workers} trained for {format_duration(run.training_seconds)}, "
        f"{run.overhead:.2f} x what the cells took ({format_duration(run.device_seconds)})"
    )


def format_duration(seconds: float) -> str:
    """Format as `1:05` (minutes), from an hour on as `1:05 h`, from two days on as `2.5 days`."""
    if seconds >= 48 * 3600:
        return f"{seconds / 86400:.1f} days"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}:{rest:02d}"
    return f"{minutes // 60}:{minutes % 60:02d} h"


def last_data(runs: Sequence[RunRecord]) -> Path | None:
    """Return the feature file of the last run that had one."""
    return next((Path(run.data) for run in reversed(runs) if run.data), None)


def _parse_record(kind: Any, text: str) -> Any:
    """Parse a record from JSON; None if it is none."""
    try:
        content = json.loads(text)
        if not isinstance(content, Mapping):
            return None
        # A newer version may have written fields that this one does not know.
        known = {field.name for field in fields(kind)}
        return kind(**{name: value for name, value in content.items() if name in known})
    except (ValueError, TypeError):
        return None
