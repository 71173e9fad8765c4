"""The events of a run, one after another: for the screen, for programs, for later.

`events.jsonl` in the results folder has one JSON object per line: `time` (ISO, with its zone),
`event`, and its details. It explains a run and decides nothing: the ledger is the record of what is
done. Standard library only.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from search.atomic_files import append_line
from search.redaction import without_secrets
from search.results.history import RunEnd

EVENTS = "events.jsonl"

# Event -> names of its details.
KINDS: Mapping[str, tuple[str, ...]] = {
    "run started": ("study", "address", "cells_done"),
    "ray ready": ("nodes", "workers", "device", "resources"),
    "pack started": ("pack", "arm", "phase", "cells", "resumed"),
    "cell finished": (
        "key",
        "arm",
        "phase",
        "candidate",
        "seed",
        "status",
        "kind",
        "reason",
        "seconds",
    ),
    "pack again": ("pack", "arm", "phase", "cells", "kind", "reason", "node", "parts"),
    "no checkpoint": ("reason",),
    "node lost": ("node",),
    "node joined": ("node",),
    "worker hangs": ("pack", "arm", "seconds"),
    "paused": ("reason",),
    "went on": ("seconds",),
    "stopping": ("reason", "ended"),
    "run ended": ("ended", "trained", "failed", "seconds"),
}
FREE_TEXT = ("reason", "address")  # details that could hold a password


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """Something that happened in a run.

    Attributes:
        time: Seconds since 1970.
        what: One of `KINDS`.
        details: Name -> value, of the names that the kind has.
    """

    time: float
    what: str
    details: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return the event as one line of JSON, without its end."""
        moment = datetime.fromtimestamp(self.time, UTC).isoformat(timespec="milliseconds")
        return json.dumps({"time": moment, "event": self.what, **self.details})


class Events:
    """Events of one run, handed to listeners and appended to the folder's file."""

    def __init__(
        self, folder: Path | None = None, listeners: Sequence[Callable[[Event], None]] = ()
    ) -> None:
        """Create the events of a run that has not begun.

        Args:
            folder: Results folder to keep them in; None = they are not kept.
            listeners: Functions that are called with every event.
        """
        self._path = folder / EVENTS if folder is not None else None
        self._listeners = listeners

    def emit(self, what: str, **details: Any) -> None:
        """Record an event.

        Args:
            what: One of `KINDS`.
            details: Values by the names that the kind has.
        """
        assert what in KINDS
        # Here and not in each listener: the file, the screen and standard output get the same.
        for name in FREE_TEXT:
            if isinstance(details.get(name), str):
                details[name] = without_secrets(details[name])
        event = Event(time=time.time(), what=what, details=details)
        self._append_line(event)
        for listener in self._listeners:
            listener(event)

    def _append_line(self, event: Event) -> None:
        if self._path is None:
            return
        with suppress(OSError):  # a full disk; it is the ledger that must not miss anything
            append_line(self._path, event.to_json())


def event_sentence(event: Event) -> str:
    """Return the line to print for an event; empty where it is routine."""
    details = event.details
    match event.what:
        case "ray ready":
            return str(details.get("resources", ""))
        case "node lost":
            return f"node {details['node']} is lost; what it trained is trained again elsewhere"
        case "node joined":
            return f"node {details['node']} has joined"
        case "pack again":
            where = f" (on {details['node']})" if details.get("node") else ""
            parts = details.get("parts", 1)
            how = f", in {parts} parts" if parts > 1 else ""
            return (
                f"trained again{how}: {details['arm']}, {details['phase']}, "
                f"{details['cells']} cells; "
                f"{details['kind']}: {details['reason']}{where}"
            )
        case "worker hangs":
            return (
                f"a worker has been silent for {details['seconds']:.0f} s and is ended: pack "
                f"{details['pack']}, {details['arm']}"
            )
        case "no checkpoint":
            return f"warning: {details['reason']}"
        case "paused":
            return f"paused: {details['reason']}"
        case "went on":
            return f"going on after {details['seconds']:.0f} s"
        case "stopping":
            # A stop by hand has been printed at once, by `search.engine.stopping`.
            by_hand = details.get("ended") == RunEnd.INTERRUPTED
            return "" if by_hand else f"no more work is handed out: {details['reason']}"
    return ""
