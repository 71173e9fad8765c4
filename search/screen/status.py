"""`triptych status`: how far a study is, from another terminal or another machine.

While a driver gives signs of life its own picture is shown, from `live.json`; otherwise the
ledger's. Both are the same kind of picture, drawn in the same way.
"""

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from search.console import say
from search.ledger.ledger import read_ledger
from search.ledger.lock import last_sign, lock_holder
from search.ledger.record import CellRecord
from search.results.folder import (
    PLAN,
    RUNS,
    Manifest,
    read_manifest,
    results_folder,
    tried_candidates,
)
from search.results.history import duration
from search.results.selection import ArmCells, Objective, planned_cells, seconds_of
from search.results.snapshot import (
    CONFIRMING,
    DONE,
    ENDED,
    FINISHING,
    RUNNING,
    STARTING,
    TUNING,
    WAITING,
    ArmSnapshot,
    Snapshot,
    read_live,
    snapshot_json,
)
from search.screen.live_table import draw, line
from search.screen.progress import failure_line
from search.screen.tally import FailureTally, all_failures, best_of
from spaces.plan.plan import TUNE

WATCH_SECONDS = 2.0
NOT_RUNNING, KILLED = "not running", "killed"


@dataclass(frozen=True, kw_only=True, slots=True)
class StatusOptions:
    """How a status is shown.

    Attributes:
        watch: show it again and again until nothing runs any more.
        as_json: print JSON, one line each time.
        failed: also print what each failed cell said last.
    """

    watch: bool = False
    as_json: bool = False
    failed: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Status:
    """How far a study is.

    Attributes:
        state: `running`, `not running` or `killed`.
        sign: when its driver last gave a sign of life, in seconds since 1970; None = never.
    """

    folder: Path
    state: str
    sign: float | None
    snapshot: Snapshot


def show_status(name: str | None, workdir: Path, options: StatusOptions) -> None:
    """Print how far one study is, or every study of a work folder.

    Raises:
        ResultsError: no results there.
        LedgerError: a damaged ledger.
    """
    console = Console(stderr=options.as_json)
    folders = (
        [results_folder(name, workdir)]
        if name
        else sorted(path.parent for path in (workdir / RUNS).glob(f"*/{PLAN}"))
    )
    if not folders:
        say(console, f"no study has been run in {workdir / RUNS}")
    elif options.as_json:
        _print_json(folders, options)
    elif options.watch:
        _watch(console, folders)
    else:
        for folder in folders:
            _show(console, status_of(folder))
    if options.failed and not options.as_json:
        for folder in folders:
            for text in _failures(folder):
                say(console, text)


def status_of(folder: Path) -> Status:
    """How far a study is, whoever runs it and wherever.

    Raises:
        ResultsError, LedgerError: as `show_status`.
    """
    live, holder = read_live(folder), lock_holder(folder)
    signs = [live.time] if live else []
    if holder is None:
        state = KILLED if live is not None and live.state != ENDED else NOT_RUNNING
        found = ledger_snapshot(folder)
    else:
        state = RUNNING
        signs.append(time.time() - last_sign(folder))
        if live is not None and (live.host, live.process) == (holder.host, holder.pid):
            found = replace(live, state=FINISHING) if live.state == ENDED else live
        else:  # of an earlier run
            found = replace(ledger_snapshot(folder), state=STARTING)
    return Status(folder=folder, state=state, sign=max(signs, default=None), snapshot=found)


def ledger_snapshot(folder: Path) -> Snapshot:
    """What the ledger knows of a study, as a picture of it.

    Raises:
        ResultsError, LedgerError: as `show_status`.
    """
    manifest = read_manifest(folder)
    records = read_ledger(folder)
    by_key: dict[str, list[CellRecord]] = {}
    for record in records.values():
        by_key.setdefault(record.arm_key, []).append(record)
    cells = {arm: ArmCells(key, by_key.get(key, ())) for arm, key in manifest.arm_keys.items()}
    arms, failures, seconds = [], [], 0.0
    for name in manifest.facts.arms:
        own, arm = _arm(manifest, name, cells)
        arms.append(arm)
        seconds += seconds_of(own)
        failures.append(FailureTally())
        failures[-1].take_in(own)
    return Snapshot(
        study=manifest.facts.study,
        metric=manifest.facts.primary,
        time=time.time(),
        state=ENDED,
        arms=tuple(arms),
        failures=all_failures(failures),
        earlier_seconds=seconds,
    )


def _arm(
    manifest: Manifest, name: str, cells: dict[str, ArmCells]
) -> tuple[list[CellRecord], ArmSnapshot]:
    """The planned cells of an arm that are finished, and what they come to."""
    facts, own = manifest.facts, cells[name]
    tuned_as = facts.frozen.get(name, name)
    tried = {arm: tried_candidates(facts, arm, cells[arm]) for arm in {name, tuned_as}}
    objective = Objective.of(facts.primary, facts.second_metric, facts.margins)
    best = (
        objective.best(cells[tuned_as], tried[tuned_as], facts.tune_seeds)
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
    tuning = [cell for cell in found if cell.phase == TUNE]
    confirmed = len(found) - len(tuning)
    seconds = facts.device_seconds if facts.searched[name] else None
    total = tried[name] * len(facts.tune_seeds)
    is_tuned = bool(confirmed) or (seconds is None and len(tuning) == total)
    hopeless = is_tuned and best is None  # there is nothing to confirm
    if confirmed == len(facts.confirm_seeds) or hopeless:
        phase = DONE
    elif name in facts.frozen and not confirmed:
        phase = WAITING
    else:
        phase = CONFIRMING if is_tuned else TUNING
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
        failed=sum(cell.status == "failed" for cell in found),
        best=best_of(
            own, best, facts.tune_seeds, facts.confirm_seeds if confirmed else (), facts.primary
        ),
    )


def _heading(status: Status) -> str:
    state = status.state
    if status.state == RUNNING and status.snapshot.state != RUNNING:
        state = f"running, {status.snapshot.state}"
    if status.sign is not None:
        ago = duration(max(0.0, time.time() - status.sign))
        if status.state == RUNNING:
            state += f", last sign of life {ago} ago"
        elif status.state == KILLED:
            moment = datetime.fromtimestamp(status.sign, UTC).isoformat(timespec="seconds")
            state += f": its last sign of life was at {moment}, {ago} ago; the same command goes on"
    return f"{status.snapshot.study} ({status.folder}), {state}"


def _drawn(status: Status, height: int) -> RenderableType:
    return Group(Text(_heading(status)), draw(status.snapshot, height))


def _show(console: Console, status: Status) -> None:
    say(console, _heading(status))
    console.print(draw(status.snapshot))


def _watch(console: Console, folders: Sequence[Path]) -> None:
    """Show what runs, until nothing does; on no terminal, a line each time that it changed."""
    if not console.is_terminal:
        said: dict[Path, int] = {}
        for found in _rounds(folders):
            for one in found:
                if said.get(one.folder) != one.snapshot.done:
                    said[one.folder] = one.snapshot.done
                    say(console, f"{_heading(one)}: {line(one.snapshot)}")
        return
    with Live(console=console, auto_refresh=False) as live:
        for found in _rounds(folders):
            height = console.height // len(found)
            live.update(Group(*(_drawn(one, height) for one in found)), refresh=True)


def _print_json(folders: Sequence[Path], options: StatusOptions) -> None:
    for found in _rounds(folders):
        said = [_json(one, options.failed) for one in found]
        click.echo(json.dumps(said[0] if len(said) == 1 else said, ensure_ascii=False))
        if not options.watch:
            return


def _rounds(folders: Sequence[Path]) -> Iterator[list[Status]]:
    """How far they are, again and again; for the last time when nothing runs any more."""
    while True:
        found = [status_of(folder) for folder in folders]
        yield found
        if all(one.state != RUNNING for one in found):
            return
        time.sleep(WATCH_SECONDS)


def _json(status: Status, failed: bool) -> dict[str, Any]:
    sign = datetime.fromtimestamp(status.sign, UTC).isoformat() if status.sign else None
    said: dict[str, Any] = {
        "folder": str(status.folder),
        "state": status.state,
        "last_sign_of_life": sign,
        "snapshot": snapshot_json(status.snapshot),
    }
    if failed:
        names = ("key", "arm", "phase", "candidate", "seed", "kind", "reason", "log")
        said["failed"] = [
            {name: getattr(record, name) for name in names} for record in _failed(status.folder)
        ]
    return said


def _failed(folder: Path) -> list[CellRecord]:
    keys = set(read_manifest(folder).arm_keys.values())
    return [
        record
        for record in read_ledger(folder).values()
        if record.status == "failed" and record.arm_key in keys
    ]


def _failures(folder: Path) -> Iterator[str]:
    """Each failed cell, and what its training said last."""
    for record in _failed(folder):
        yield failure_line(record)
        yield from (f"    {text}" for text in record.log.splitlines())
