"""What happens in a run, one event after another: for the screen, for programs, for later.

`events.jsonl` in the results folder has one JSON object a line: `time` (ISO, with its zone),
`event`, and what belongs to it. It explains a run and decides nothing: the ledger knows what is
done. Standard library only.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from search.redaction import without_secrets

EVENTS = "events.jsonl"

# Event -> what belongs to it.
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
FREE_TEXT = ("reason", "address")  # where a password could be


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """Something that happened.

    Attributes:
        time: in seconds since 1970.
        what: one of `KINDS`.
        details: by the names that the kind has.
    """

    time: float
    what: str
    details: Mapping[str, Any] = field(default_factory=dict)

    def line(self) -> str:
        """As one line of JSON."""
        moment = datetime.fromtimestamp(self.time, UTC).isoformat(timespec="milliseconds")
        return json.dumps({"time": moment, "event": self.what, **self.details})


class Events:
    """Tells whoever listens, and keeps what it told."""

    def __init__(
        self, folder: Path | None = None, listeners: Sequence[Callable[[Event], None]] = ()
    ) -> None:
        """Start to tell.

        Args:
            folder: of the results, where the events are kept; None = they are not.
            listeners: hear every event.
        """
        self._path = folder / EVENTS if folder is not None else None
        self._listeners = list(listeners)
        self._torn = self._path is not None and _is_torn(self._path)

    def listen(self, listener: Callable[[Event], None]) -> None:
        """Tell this one too from now on."""
        self._listeners.append(listener)

    def tell(self, what: str, **details: Any) -> None:
        """Something happened: one of `KINDS`, with what belongs to it."""
        assert what in KINDS
        for name in FREE_TEXT:
            if isinstance(details.get(name), str):
                details[name] = without_secrets(details[name])
        event = Event(time=time.time(), what=what, details=details)
        self._keep(event)
        for listener in self._listeners:
            listener(event)

    def _keep(self, event: Event) -> None:
        if self._path is None:
            return
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(("\n" if self._torn else "") + event.line() + "\n")
            self._torn = False
        except OSError:  # a full disk; it is the ledger that must not miss anything
            self._torn = True


def read_events(folder: Path) -> list[Event]:
    """The events of all runs of a folder, oldest first; what is none is passed over."""
    try:
        text = (folder / EVENTS).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    found = []
    for line in text.splitlines():
        try:
            content = json.loads(line)
            moment = datetime.fromisoformat(content.pop("time")).timestamp()
            found.append(Event(time=moment, what=content.pop("event"), details=content))
        except (ValueError, TypeError, KeyError, AttributeError):
            continue
    return found


def _is_torn(path: Path) -> bool:
    """Whether a driver was killed while it wrote the last line."""
    try:
        with path.open("rb") as file:
            if file.seek(0, 2) == 0:
                return False
            file.seek(-1, 2)
            return file.read(1) != b"\n"
    except OSError:
        return False


def sentence(event: Event) -> str:
    """What a person should know at once, in a line; empty where the event is routine."""
    told = event.details
    match event.what:
        case "ray ready":
            return str(told.get("resources", ""))
        case "node lost":
            return f"node {told['node']} is lost; what it trained is trained again elsewhere"
        case "node joined":
            return f"node {told['node']} has joined"
        case "pack again":
            where = f" (on {told['node']})" if told.get("node") else ""
            parts = told.get("parts", 1)
            how = f", in {parts} parts" if parts > 1 else ""
            return (
                f"trained again{how}: {told['arm']}, {told['phase']}, {told['cells']} cells; "
                f"{told['kind']}: {told['reason']}{where}"
            )
        case "worker hangs":
            return (
                f"a worker has said nothing for {told['seconds']:.0f} s and is ended: pack "
                f"{told['pack']}, {told['arm']}"
            )
        case "no checkpoint":
            return f"warning: {told['reason']}"
        case "paused":
            return f"paused: {told['reason']}"
        case "went on":
            return f"going on after {told['seconds']:.0f} s"
        case "stopping":
            # A stop by hand has been printed at once, by `search.engine.stopping`.
            by_hand = told.get("ended") == "interrupted"
            return "" if by_hand else f"no more work is handed out: {told['reason']}"
    return ""
