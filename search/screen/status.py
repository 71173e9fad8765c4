"""`triptych status`: how far a study is, from another terminal or another machine.

While a driver gives signs of life its own snapshot is shown, from `live.json`; otherwise one that
is made from the ledger. Both are drawn in the same way.
"""

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import click
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from search.console import print_line
from search.ledger.ledger import read_ledger
from search.ledger.lock import lock_holder, seconds_since_heartbeat
from search.ledger.record import CellRecord
from search.results.folder import Manifest, read_manifest, results_folder, tried_candidates
from search.results.history import format_duration
from search.results.layout import PLAN, RUNS
from search.results.selection import ArmCells, Objective, planned_cells, seconds_of
from search.results.snapshot import (
    ArmPhase,
    ArmSnapshot,
    RunState,
    Snapshot,
    read_live,
    snapshot_json,
)
from search.results.tasks import task_of
from search.screen.live_table import draw_snapshot, snapshot_line
from search.screen.progress import failure_line
from search.screen.tally import best_value, count_failures
from spaces.core import Status
from spaces.plan.plan import Phase

WATCH_SECONDS = 2.0


class DriverState(StrEnum):
    """Whether the driver of a study is alive."""

    RUNNING = "running"
    NOT_RUNNING = "not running"
    KILLED = "killed"  # it ended without a last snapshot


@dataclass(frozen=True, kw_only=True, slots=True)
class StatusOptions:
    """How a status is shown.

    Attributes:
        watch: Whether to show it again and again until nothing runs any more.
        as_json: Whether to print JSON, one line each time.
        failed: Whether to print the last log lines of each failed cell too.
    """

    watch: bool = False
    as_json: bool = False
    failed: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyStatus:
    """How far a study is.

    Attributes:
        folder: Results folder.
        state: Whether its driver is alive.
        sign: Time of its driver's last sign of life, in seconds since 1970; None = never.
        snapshot: Counters of the study.
    """

    folder: Path
    state: DriverState
    sign: float | None
    snapshot: Snapshot


def show_status(name: str | None, workdir: Path, options: StatusOptions) -> None:
    """Print how far one study is, or every study of a work folder.

    Raises:
        ResultsError: No results there.
        LedgerError: A damaged ledger.
    """
    console = Console(stderr=options.as_json)
    folders = (
        [results_folder(name, workdir)]
        if name
        else sorted(path.parent for path in (workdir / RUNS).glob(f"*/{PLAN}"))
    )
    if not folders:
        print_line(console, f"no study has been run in {workdir / RUNS}")
    elif options.as_json:
        _print_json(folders, options)
    elif options.watch:
        _watch_studies(console, folders)
    else:
        for folder in folders:
            _print_status(console, status_of(folder))
    if options.failed and not options.as_json:
        for folder in folders:
            for text in _failure_lines(folder):
                print_line(console, text)


def status_of(folder: Path) -> StudyStatus:
    """Find out how far a study is, whoever runs it and wherever.

    Raises:
        ResultsError, LedgerError: As `show_status`.
    """
    live, holder = read_live(folder), lock_holder(folder)
    signs = [live.time] if live else []
    if holder is None:
        state = (
            DriverState.KILLED
            if live is not None and live.state != RunState.ENDED
            else DriverState.NOT_RUNNING
        )
        found = ledger_snapshot(folder)
    else:
        state = DriverState.RUNNING
        # Two signs: the lock is touched even while the driver has nothing new to show.
        signs.append(time.time() - seconds_since_heartbeat(folder))
        if live is not None and (live.host, live.process) == (holder.host, holder.pid):
            found = (
                replace(live, state=RunState.FINISHING) if live.state == RunState.ENDED else live
            )
        else:  # `live.json` is of an earlier run, and this one is still starting
            found = replace(ledger_snapshot(folder), state=RunState.STARTING)
    return StudyStatus(folder=folder, state=state, sign=max(signs, default=None), snapshot=found)


def ledger_snapshot(folder: Path) -> Snapshot:
    """Make a snapshot of a study from its ledger.

    Raises:
        ResultsError, LedgerError: As `show_status`.
    """
    manifest = read_manifest(folder)
    records = read_ledger(folder)
    by_key: dict[str, list[CellRecord]] = {}
    for record in records.values():
        by_key.setdefault(record.arm_key, []).append(record)
    cells = {arm: ArmCells(key, by_key.get(key, ())) for arm, key in manifest.arm_keys.items()}
    found = [_arm_snapshot(manifest, name, cells) for name in manifest.facts.arms]
    return Snapshot(
        study=manifest.facts.study,
        metric=manifest.facts.primary,
        time=time.time(),
        state=RunState.ENDED,
        arms=tuple(arm for _, arm in found),
        failures=count_failures(cell for own, _ in found for cell in own),
        earlier_seconds=sum(seconds_of(own) for own, _ in found),
    )


def _arm_snapshot(
    manifest: Manifest, name: str, cells: dict[str, ArmCells]
) -> tuple[list[CellRecord], ArmSnapshot]:
    """Return the planned cells of an arm that are finished, and its snapshot."""
    facts, own = manifest.facts, cells[name]
    tuned_as = facts.frozen.get(name, name)
    tried = {arm: tried_candidates(facts, arm, cells[arm]) for arm in {name, tuned_as}}
    objective = Objective.from_metrics(
        task_of(facts), facts.primary, facts.second_metric, facts.margins
    )
    best = (
        objective.best_candidate(cells[tuned_as], tried[tuned_as], facts.tune_seeds)
        if facts.searched[tuned_as]
        else 0
    )
    found = planned_cells(
        own,
        candidates=tried[name],
        tune_seeds=facts.tune_seeds,
        confirm_seeds=facts.confirm_seeds,
        best=best,
    )
    tuning = [cell for cell in found if cell.phase == Phase.TUNE]
    confirmed = len(found) - len(tuning)
    seconds = facts.device_seconds if facts.searched[name] else None
    total = tried[name] * len(facts.tune_seeds)
    # Without a schedule at hand: what is confirmed has been tuned, and a full budget is spent.
    is_tuned = bool(confirmed) or (seconds is None and len(tuning) == total)
    hopeless = is_tuned and best is None  # there is nothing to confirm
    if confirmed == len(facts.confirm_seeds) or hopeless:
        phase = ArmPhase.DONE
    elif name in facts.frozen and not confirmed:
        phase = ArmPhase.WAITING
    else:
        phase = ArmPhase.CONFIRMING if is_tuned else ArmPhase.TUNING
    return found, ArmSnapshot(
        name=name,
        phase=phase,
        frozen=facts.frozen.get(name, ""),
        tune_done=len(tuning),
        tune_total=total,
        tune_seconds=seconds_of(tuning),
        most_seconds=seconds,
        confirm_done=confirmed,
        confirm_total=0 if hopeless else len(facts.confirm_seeds),
        failed=sum(cell.status == Status.FAILED for cell in found),
        best=best_value(
            own, best, facts.tune_seeds, facts.confirm_seeds if confirmed else (), facts.primary
        ),
    )


def _status_heading(status: StudyStatus) -> str:
    state: str = status.state
    if status.state == DriverState.RUNNING and status.snapshot.state != RunState.RUNNING:
        state = f"running, {status.snapshot.state}"
    if status.sign is not None:
        ago = format_duration(max(0.0, time.time() - status.sign))
        if status.state == DriverState.RUNNING:
            state += f", last sign of life {ago} ago"
        elif status.state == DriverState.KILLED:
            moment = datetime.fromtimestamp(status.sign, UTC).isoformat(timespec="seconds")
            state += f": its last sign of life was at {moment}, {ago} ago; the same command goes on"
    return f"{status.snapshot.study} ({status.folder}), {state}"


def _draw_status(status: StudyStatus, height: int) -> RenderableType:
    return Group(Text(_status_heading(status)), draw_snapshot(status.snapshot, height))


def _print_status(console: Console, status: StudyStatus) -> None:
    print_line(console, _status_heading(status))
    console.print(draw_snapshot(status.snapshot))


def _watch_studies(console: Console, folders: Sequence[Path]) -> None:
    """Show what runs, until nothing does; without a terminal, print a line per change."""
    if not console.is_terminal:
        printed: dict[Path, int] = {}
        for found in _poll_statuses(folders):
            for one in found:
                if printed.get(one.folder) != one.snapshot.done:
                    printed[one.folder] = one.snapshot.done
                    print_line(console, f"{_status_heading(one)}: {snapshot_line(one.snapshot)}")
        return
    with Live(console=console, auto_refresh=False) as live:
        for found in _poll_statuses(folders):
            height = console.height // len(found)
            live.update(Group(*(_draw_status(one, height) for one in found)), refresh=True)


def _print_json(folders: Sequence[Path], options: StatusOptions) -> None:
    for found in _poll_statuses(folders):
        contents = [_status_content(one, options.failed) for one in found]
        click.echo(json.dumps(contents[0] if len(contents) == 1 else contents, ensure_ascii=False))
        if not options.watch:
            return


def _poll_statuses(folders: Sequence[Path]) -> Iterator[list[StudyStatus]]:
    """Yield how far they are, again and again; for the last time when nothing runs any more."""
    while True:
        found = [status_of(folder) for folder in folders]
        yield found
        if all(one.state != DriverState.RUNNING for one in found):
            return
        time.sleep(WATCH_SECONDS)


def _status_content(status: StudyStatus, failed: bool) -> dict[str, Any]:
    sign = datetime.fromtimestamp(status.sign, UTC).isoformat() if status.sign else None
    content: dict[str, Any] = {
        "folder": str(status.folder),
        "state": status.state,
        "last_sign_of_life": sign,
        "snapshot": snapshot_json(status.snapshot),
    }
    if failed:
        names = ("key", "arm", "phase", "candidate", "seed", "kind", "reason", "log")
        content["failed"] = [
            {name: getattr(record, name) for name in names}
            for record in _failed_cells(status.folder)
        ]
    return content


def _failed_cells(folder: Path) -> list[CellRecord]:
    keys = set(read_manifest(folder).arm_keys.values())
    return [
        record
        for record in read_ledger(folder).values()
        if record.status == Status.FAILED and record.arm_key in keys
    ]


def _failure_lines(folder: Path) -> Iterator[str]:
    """Yield a line for each failed cell, and the last lines of its log."""
    for record in _failed_cells(folder):
        yield failure_line(record)
        yield from (f"    {text}" for text in record.log.splitlines())
