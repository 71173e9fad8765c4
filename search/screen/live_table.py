"""A snapshot of a run, drawn for a terminal or as one line of a log."""

from collections import Counter
from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from search.results.history import format_duration
from search.results.snapshot import (
    ArmPhase,
    ArmSnapshot,
    BestValue,
    FlightSnapshot,
    RunState,
    Snapshot,
)
from spaces.plan.plan import Phase

MOST_ARMS = 30  # rows; of more arms only those in motion are listed
MOST_FLIGHTS = 8
MOST_KINDS = 3  # of failures, each with a line and a reason
LEAST_ROWS = 3  # of each, on however small a terminal
OTHER_LINES = 5  # headings, what is left out, and where the cursor stands
LEAST_NAME = 8  # characters of an arm's name
MOST_WIDTH = 24  # of a column that does not give way
STYLES: dict[str, str] = {
    ArmPhase.WAITING: "dim",
    ArmPhase.TUNING: "",
    ArmPhase.CONFIRMING: "cyan",
    ArmPhase.DONE: "green",
}
OVER = (RunState.FINISHING, RunState.ENDED)
BESTS_SHOWN = 3  # arms whose best value a plain line has


def draw_snapshot(snapshot: Snapshot, height: int | None = None) -> RenderableType:
    """Draw the table of arms, the state of the run and its in-flight packs.

    Args:
        snapshot: Snapshot to draw.
        height: Lines of the terminal; None = every arm is listed, however many there are.
    """
    # rich cuts off what is taller than the terminal: that would be the state and the packs.
    state = [Text(text, style=style) for text, style in _state_lines(snapshot)]
    flights, arms = MOST_FLIGHTS, len(snapshot.arms)
    if height is not None:
        room = height - len(state) - OTHER_LINES
        flights = min(len(snapshot.flights), MOST_FLIGHTS, max(LEAST_ROWS, room // 3))
        arms = min(MOST_ARMS, max(LEAST_ROWS, room - flights))
    shown, rest = _in_motion(snapshot.arms, arms)
    lines: list[RenderableType] = [_arms_table(snapshot, shown)]
    if rest:
        counts = Counter(arm.phase for arm in rest)
        summary = ", ".join(f"{counts[phase]} {phase}" for phase in ArmPhase if counts[phase])
        lines.append(_dim_text(f"{len(rest)} arms more: {summary}"))
    lines += [Text(), *state]
    lines += [_dim_text(text) for text in _flight_lines(snapshot.flights, flights)]
    return Group(*(_cut_to_width(line) for line in lines))


def snapshot_line(snapshot: Snapshot) -> str:
    """Return how far a run is, in one line of a log."""
    parts = _progress_parts(snapshot)
    if snapshot.workers and snapshot.state not in OVER:
        parts.append(f"{snapshot.busy} of {snapshot.workers} workers busy")
    current = [
        f"{arm.name} {snapshot.metric} {best_text(arm.best)}"
        for arm in snapshot.arms
        if arm.phase == ArmPhase.TUNING and arm.best is not None
    ]
    best = f"; best so far: {', '.join(current[:BESTS_SHOWN])}" if current else ""
    return ", ".join(parts) + best


def best_text(best: BestValue | None) -> str:
    """Format a value with its spread over the seeds."""
    if best is None:
        return ""
    return f"{best.mean:.4f}" + (f" ± {best.sd:.4f}" if best.sd is not None else "")


def tuned_text(arm: ArmSnapshot) -> str:
    """Return how far the tuning of an arm is, in the unit of its budget."""
    if arm.frozen:
        return f"as {arm.frozen}"
    if arm.most_seconds is not None:
        return f"{arm.tune_seconds:,.0f}/{arm.most_seconds:,g} s"
    if not arm.tune_total:
        return "nothing to tune"
    return f"{arm.tune_done:,}/{arm.tune_total:,}"


def _arms_table(snapshot: Snapshot, arms: Sequence[ArmSnapshot]) -> Table:
    """Make the table of arms; a column that would be empty is left out."""
    columns = {
        "arm": [Text(arm.name, no_wrap=True, overflow="ellipsis") for arm in arms],
        "phase": [Text(arm.phase, style=STYLES.get(arm.phase, "")) for arm in arms],
        "tuned": [Text(tuned_text(arm)) for arm in arms],
        "confirmed": [Text(f"{arm.confirm_done}/{arm.confirm_total}") for arm in arms],
        "running": [Text(str(arm.running or "")) for arm in arms],
        "failed": [Text(str(arm.failed or ""), style="red") for arm in arms],
        f"best {snapshot.metric}": [_styled_best(arm.best) for arm in arms],
    }
    shown = {title: cells for title, cells in columns.items() if any(cell.plain for cell in cells)}
    table = Table(box=None, pad_edge=False)
    for title, cells in shown.items():
        widest = min(MOST_WIDTH, max(len(title), *(len(cell.plain) for cell in cells)))
        table.add_column(
            title,
            justify="left" if title in ("arm", "phase") else "right",
            # On a narrow terminal long names give way, and numbers stay whole.
            no_wrap=title != "arm",
            min_width=LEAST_NAME if title == "arm" else widest,
        )
    for row in zip(*shown.values(), strict=True):
        table.add_row(*row)
    return table


def _styled_best(best: BestValue | None) -> Text:
    return Text(best_text(best), style="bold" if best is not None and best.confirmed else "")


def _in_motion(
    arms: Sequence[ArmSnapshot], most: int
) -> tuple[list[ArmSnapshot], list[ArmSnapshot]]:
    """Return the arms to list, in their order, and the others.

    All if there is room, else those that train, then those that are under way.
    """
    if len(arms) <= most:
        return list(arms), []

    def rest_last(arm: ArmSnapshot) -> tuple[bool, bool, bool]:
        begun = arm.phase in (ArmPhase.TUNING, ArmPhase.CONFIRMING) and bool(
            arm.tune_done or arm.confirm_done
        )
        return not arm.running, not begun, arm.phase == ArmPhase.WAITING

    chosen = {arm.name for arm in sorted(arms, key=rest_last)[:most]}
    return (
        [arm for arm in arms if arm.name in chosen],
        [arm for arm in arms if arm.name not in chosen],
    )


def _state_lines(snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    """Yield lines and their styles: how far it is, how fast, what it took, what failed."""
    yield ", ".join(_progress_parts(snapshot)), ""
    for text in (_devices_line(snapshot), _hours_line(snapshot)):
        if text:
            yield text, "dim"
    for one in snapshot.failures[:MOST_KINDS]:
        yield f"{one.count} failed: {one.kind}, the first of them: {one.reason}", "red"
    if others := snapshot.failures[MOST_KINDS:]:
        yield ", ".join(f"{one.count} failed: {one.kind}" for one in others), "red"
    if snapshot.state in (RunState.PAUSED, RunState.STOPPING):
        yield f"{snapshot.state}: {snapshot.reason}", "yellow"


def _progress_parts(snapshot: Snapshot) -> list[str]:
    """Return how far it is and how fast, part by part."""
    parts = [f"{snapshot.done:,}/{snapshot.total:,} cells"]
    if snapshot.failed:
        parts.append(f"{snapshot.failed:,} failed")
    if snapshot.workers:  # only a driver's snapshot has a time; one from the ledger has none
        parts.append(f"{format_duration(snapshot.seconds)} so far")
    if snapshot.seconds_left is not None and snapshot.done < snapshot.total:
        parts.append(f"about {format_duration(snapshot.seconds_left)} to go")
    if snapshot.cells_a_minute is not None:
        parts.append(f"{_format_rate(snapshot.cells_a_minute)} cells per minute")
    return parts


def _devices_line(snapshot: Snapshot) -> str:
    if not snapshot.workers or snapshot.state in OVER:
        return ""
    text = f"{snapshot.busy} of {snapshot.workers} workers busy"
    if snapshot.share is not None:
        text += f", training {snapshot.share:.0%} of their time so far".replace("%", " %")
    if len(snapshot.nodes) > 1:
        places = ", ".join(f"{node} {packs}" for node, packs in snapshot.nodes.items())
        text += f"; packs by node: {places}"
    return text


def _hours_line(snapshot: Snapshot) -> str:
    total = snapshot.device_seconds + snapshot.earlier_seconds
    if not total:
        return ""
    text = f"{_format_hours(total)} device-hours of training"
    if snapshot.earlier_seconds and snapshot.device_seconds:
        text += f", {_format_hours(snapshot.device_seconds)} of them in this run"
    return text


def _flight_lines(flights: Sequence[FlightSnapshot], most: int) -> Iterator[str]:
    for flight in flights[:most]:
        phase = "tuning" if flight.phase == Phase.TUNE else "confirming"
        cells = f"{flight.cells} cells" if flight.cells > 1 else "1 cell"
        done = f" ({flight.finished} done)" if flight.finished else ""
        epoch = f", epoch {flight.epoch} of {flight.most_epochs}" if flight.most_epochs else ""
        node = f", on {flight.node}" if flight.node else ""
        yield (
            f"pack {flight.pack}: {flight.arm}, {phase} {cells}{done}{epoch}, "
            f"{format_duration(flight.seconds)}{node}"
        )
    if len(flights) > most:
        yield f"{len(flights) - most} packs more"


def _format_rate(cells_a_minute: float) -> str:
    return f"{cells_a_minute:,.0f}" if cells_a_minute >= 10 else f"{cells_a_minute:.2g}"


def _format_hours(seconds: float) -> str:
    return f"{seconds / 3600:.2f}" if seconds >= 360 else f"{seconds / 3600:.2g}"


def _dim_text(text: str) -> Text:
    return Text(text, style="dim")


def _cut_to_width(line: RenderableType) -> RenderableType:
    """Keep a line of text from taking two lines of the terminal."""
    if isinstance(line, Text):
        line.no_wrap, line.overflow = True, "ellipsis"
    return line
