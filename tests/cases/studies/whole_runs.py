"""Whole runs of `triptych` in processes of their own, and what they leave behind."""

import csv
import json
import os
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from search.ledger.lines import LEDGER
from search.results.events import EVENTS
from tests.cases.paths import TRIPTYCH

TIMES = ("metric.seconds",)  # all that may differ between two runs of the same cells


def start(
    *arguments: object, folder: Path, said: Path, environment: Mapping[str, str] | None = None
) -> "subprocess.Popen[bytes]":
    """Start a command in a process group of its own; what it says goes to a file."""
    with said.open("a") as file:
        return subprocess.Popen(
            [str(TRIPTYCH), *map(str, arguments)],
            cwd=folder,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, **(environment or {})},
        )


def run(
    *arguments: object,
    folder: Path,
    environment: Mapping[str, str] | None = None,
    seconds: float = 400,
) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end."""
    return subprocess.run(
        [str(TRIPTYCH), *map(str, arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
        env={**os.environ, **(environment or {})},
    )


def wait_for(condition: Callable[[], object], seconds: float = 180, why: str = "") -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"it never came: {why}"
        time.sleep(0.05)


def lines_of(results: Path) -> list[dict[str, Any]]:
    """The cells of a ledger as they stand in the file, in their order."""
    whole = (results / LEDGER).read_bytes().split(b"\n")[:-1] if (results / LEDGER).exists() else []
    return [content for line in whole if "key" in (content := json.loads(line))]


def events_of(results: Path, what: str) -> list[dict[str, Any]]:
    """The events of a kind, oldest first."""
    events = map(json.loads, (results / EVENTS).read_text(encoding="utf-8").splitlines())
    return [event for event in events if event["event"] == what]


def cells_of(results: Path) -> list[dict[str, str]]:
    """`cells.csv` of a report, without what the clock says."""
    with (results / "report" / "cells.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [{name: value for name, value in row.items() if name not in TIMES} for row in rows]
