"""The unblinding log, `openings.jsonl`: an entry each time test metrics were seen too early.

One JSON object per line. `early` is a look at an unfinished plan; `seen` is a finished plan of the
same folder, whose report was written, and which was then changed. Every later report states what
follows from them. It is a record among honest people: the ledger itself is not encrypted.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from search.atomic_files import append_line

UNBLINDING_LOG = "openings.jsonl"
EARLY, SEEN = "early", "seen"


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanSize:
    """Seeds and budget of a plan.

    Attributes:
        plan: Digest of the plan.
        arm_keys: Keys of its arms, sorted.
        confirm_seeds: Number of confirm seeds.
        candidates: Candidates of every arm that is tuned; 0 where device-seconds are the budget.
        device_seconds: Tuning budget of every arm in device-seconds; None where candidates are.
    """

    plan: str
    arm_keys: tuple[str, ...]
    confirm_seeds: int
    candidates: int
    device_seconds: float | None


def record_early_unblinding(
    folder: Path, size: PlanSize, confirm_done: int, confirm_planned: int
) -> None:
    """Log that the test metrics of an unfinished study are looked at now.

    Args:
        folder: Results folder.
        size: Size of the plan.
        confirm_done: Number of its confirm cells that are there.
        confirm_planned: Number of all its confirm cells.

    Raises:
        OSError: It cannot be written, so nothing may be shown.
    """
    _append_entry(
        folder, EARLY, plan=size.plan, confirm_done=confirm_done, confirm_planned=confirm_planned
    )


def record_seen_plan(folder: Path, size: PlanSize) -> None:
    """Log that a finished plan makes room for another one; once per plan.

    Raises:
        OSError: It cannot be written.
    """
    known = {found.get("plan") for found in _read_entries(folder) if found.get("what") == SEEN}
    if size.plan not in known:
        _append_entry(folder, SEEN, **asdict(size))


def unblinding_sentences(folder: Path, size: PlanSize) -> tuple[str, ...]:
    """Return what a reader of a report must know of test metrics that were seen before the end.

    Args:
        folder: Results folder.
        size: Size of the plan that the report is of.
    """
    sentences = []
    for found in _read_entries(folder):
        try:
            if found["what"] == EARLY:
                sentences.append(_early_sentence(found, size))
            elif found["what"] == SEEN and (sentence := _growth_sentence(found, size)):
                sentences.append(sentence)
        except (KeyError, TypeError, ValueError):
            continue  # written by another version
    return tuple(sentences)


def _early_sentence(found: Mapping[str, Any], size: PlanSize) -> str:
    moment = datetime.fromisoformat(found["time"]).astimezone(UTC)
    changed = "" if found["plan"] == size.plan else "; the plan of the study was changed since"
    return (
        f"Test metrics were opened early, on {moment:%Y-%m-%d} at {moment:%H:%M} UTC, when "
        f"{int(found['confirm_done'])} of {int(found['confirm_planned'])} confirm cells were "
        f"done{changed}."
    )


def _growth_sentence(found: Mapping[str, Any], size: PlanSize) -> str:
    """Return a sentence if arms of that plan got more seeds or budget in this one; else empty."""
    # Plans without a common arm are different studies: seeing one informs no choice in the other.
    if not set(found["arm_keys"]) & set(size.arm_keys):
        return ""
    before, after = [], []
    for name, unit in (
        ("confirm_seeds", "confirm seeds"),
        ("candidates", "candidates per arm"),
        ("device_seconds", "device-seconds per arm"),
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


def _read_entries(folder: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the entries, oldest first; what is none is passed over."""
    try:
        text = (folder / UNBLINDING_LOG).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    # Torn by a crash or edited by hand: one such line must not hide the others.
    for line in text.splitlines():
        try:
            content = json.loads(line)
        except ValueError:
            continue
        if isinstance(content, dict):
            yield content


def _append_entry(folder: Path, what: str, **content: Any) -> None:
    moment = datetime.now(UTC).isoformat(timespec="seconds")
    append_line(folder / UNBLINDING_LOG, json.dumps({"time": moment, "what": what, **content}))
