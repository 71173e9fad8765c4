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

EVENTS = "events.jsonl"

# Event -> what belongs to it.
KINDS: Mapping[str, tuple[str, ...]] = {
    "run started": ("study", "address", "cells_done"),
    "ray ready": ("nodes", "workers", "device"),
    "pack started": ("pack", "arm", "phase", "cells"),
    "cell finished": ("key", "arm", "phase", "candidate", "seed", "status", "kind", "seconds"),
    "pack again": ("pack", "arm", "phase", "cells", "kind", "reason", "node"),
    "node lost": ("node",),
    "node joined": ("node",),
    "worker hangs": ("pack", "arm", "seconds"),
    "paused": ("reason",),
    "went on": ("seconds",),
    "stopping": ("reason",),
    "run ended": ("ended", "trained", "failed", "seconds"),
}


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

    def listen(self, listener: Callable[[Event], None]) -> None:
        """Tell this one too from now on."""
        self._listeners.append(listener)

    def tell(self, what: str, **details: Any) -> None:
        """Something happened."""
        event = Event(time=time.time(), what=what, details=details)
        if self._path is not None:
            try:
                with self._path.open("a", encoding="utf-8") as file:
                    file.write(event.line() + "\n")
            except OSError:  # a full disk; it is the ledger that must not miss anything
                pass
        for listener in self._listeners:
            listener(event)
