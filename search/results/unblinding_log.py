"""`openings.jsonl`: who looks at test metrics before a study is finished leaves a line there.

One JSON object a line. `early` is an opening of an unfinished plan; `seen` is a finished plan of
the same folder, whose report was written, and which was then changed. Every later report says what
follows from them. It is a record among honest people: the ledger itself is not encrypted.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from search.atomic_files import append_line

OPENINGS = "openings.jsonl"
EARLY, SEEN = "early", "seen"


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanSize:
    """How much a plan makes of its arms.

    Attributes:
        plan: its digest.
        arm_keys: of its arms, sorted.
        confirm_seeds: how many.
        candidates: of every arm that is tuned; 0 where device-seconds are the budget.
        device_seconds: of every arm that is tuned, or None.
    """

    plan: str
    arm_keys: tuple[str, ...]
    confirm_seeds: int
    candidates: int
    device_seconds: float | None


def open_early(folder: Path, size: PlanSize, confirm_done: int, confirm_planned: int) -> None:
    """Write down that the test metrics of an unfinished study are looked at now.

    Args:
        folder: of the results.
        size: of the plan.
        confirm_done: its confirm cells that are there.
        confirm_planned: all of them.

    Raises:
        OSError: it cannot be written down, so nothing may be shown.
    """
    _append(
        folder, EARLY, plan=size.plan, confirm_done=confirm_done, confirm_planned=confirm_planned
    )


def note_seen(folder: Path, size: PlanSize) -> None:
    """Write down that a finished plan makes room for another one; once a plan.

    Raises:
        OSError: it cannot be written.
    """
    known = {found.get("plan") for found in _read(folder) if found.get("what") == SEEN}
    if size.plan not in known:
        _append(folder, SEEN, **asdict(size))


def opening_sentences(folder: Path, size: PlanSize) -> tuple[str, ...]:
    """What a reader of a report must know of test metrics that were seen before the end.

    Args:
        folder: of the results; a folder without such a record has nothing to say.
        size: of the plan that the report is of.
    """
    said = []
    for found in _read(folder):
        try:
            if found["what"] == EARLY:
                said.append(_early(found, size))
            elif found["what"] == SEEN and (sentence := _grown(found, size)):
                said.append(sentence)
        except (KeyError, TypeError, ValueError):
            continue  # of another version
    return tuple(said)


def _early(found: Mapping[str, Any], size: PlanSize) -> str:
    moment = datetime.fromisoformat(found["time"]).astimezone(UTC)
    changed = "" if found["plan"] == size.plan else "; the plan of the study was changed since"
    return (
        f"Test metrics were opened early, on {moment:%Y-%m-%d} at {moment:%H:%M} UTC, when "
        f"{int(found['confirm_done'])} of {int(found['confirm_planned'])} confirm cells were "
        f"done{changed}."
    )


def _grown(found: Mapping[str, Any], size: PlanSize) -> str:
    """Empty unless arms of that plan got more in this one."""
    if not set(found["arm_keys"]) & set(size.arm_keys):
        return ""
    before, after = [], []
    for name, unit in (
        ("confirm_seeds", "confirm seeds"),
        ("candidates", "candidates an arm"),
        ("device_seconds", "device-seconds an arm"),
    ):
        old, new = found[name], getattr(size, name)
        if old and new and new > old:
            before.append(f"{old:g} {unit}")
            after.append(f"{new:g}")
    if not before:
        return ""
    return (
        f"Test metrics had been seen with {' and '.join(before)} before the study grew to "
        f"{' and '.join(after)}."
    )


def _read(folder: Path) -> Iterator[Mapping[str, Any]]:
    """The lines, oldest first; what is none is passed over."""
    try:
        text = (folder / OPENINGS).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    for line in text.splitlines():
        try:
            content = json.loads(line)
        except ValueError:
            continue
        if isinstance(content, dict):
            yield content


def _append(folder: Path, what: str, **content: Any) -> None:
    moment = datetime.now(UTC).isoformat(timespec="seconds")
    append_line(folder / OPENINGS, json.dumps({"time": moment, "what": what, **content}))
