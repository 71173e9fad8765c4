"""What a person sees while a study runs: a live table, or plain lines without a terminal."""

import time
from collections.abc import Iterable
from datetime import timedelta

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from search.arm_schedule import ArmSchedule
from search.ledger import CellRecord
from search.schedule import Schedule
from spaces.plan import CONFIRM, TUNE

LINE_SECONDS = 10.0  # plain lines come no faster than this


def say(console: Console, message: str) -> None:
    """One line as it is: no markup in it, no wrapping."""
    console.print(message, markup=False, highlight=False, soft_wrap=True)


def failure_line(record: CellRecord) -> str:
    """A failed cell in one line."""
    return (
        f"failed: {record.arm}, {record.phase} candidate {record.candidate}, "
        f"seed {record.seed}: {record.reason}"
    )


class Progress:
    """Arms, cells done, the best so far, and when it will be over."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._live: Live | None = None
        self._schedule: Schedule | None = None
        self._started = time.monotonic()
        self._line_at = 0.0
        self._trained = 0
        self._failed = 0
        self._unsaid = False

    def say(self, message: str) -> None:
        """One line, now."""
        say(self.console, message)

    def start(self, schedule: Schedule) -> None:
        """Begin to show a schedule."""
        self._schedule = schedule
        self._started = time.monotonic()
        if self.console.is_terminal:
            self._live = Live(
                console=self.console, refresh_per_second=2, get_renderable=self._table
            )
            self._live.start()

    def update(self, records: Iterable[CellRecord]) -> None:
        """Some cells are finished."""
        for record in records:
            self._trained += 1
            self._unsaid = True
            self._failed += record.status == "failed"
            if record.status == "failed" and self._failed <= 3:
                self.say(failure_line(record))
        now = time.monotonic()
        if self._live is None and now - self._line_at >= LINE_SECONDS:
            self._line_at = now
            self._say_line()

    def stop(self) -> None:
        """Show the last state and end."""
        if self._live is not None:
            self._live.stop()
        elif self._schedule is not None and self._unsaid:
            self._say_line()
        self._live = None

    def _say_line(self) -> None:
        self._unsaid = False
        self.say(self._line())

    def _line(self) -> str:
        assert self._schedule is not None
        done, total = _count(self._schedule)
        current = [
            f"{arm.arm.name} {_best(arm)}"
            for arm in self._schedule.arms.values()
            if not arm.finished and arm.arm.space and arm.best is not None
        ]
        best = f"; best so far: {', '.join(current[:3])}" if current else ""
        return f"{done}/{total} cells, {self._clock(done, total)}{best}"

    def _table(self) -> Group:
        assert self._schedule is not None
        table = Table(box=None, pad_edge=False)
        table.add_column("arm")
        table.add_column("tuned", justify="right")
        table.add_column("confirmed", justify="right")
        table.add_column("best validation", justify="right")
        for arm in self._schedule.arms.values():
            seeds = len(arm.plan.confirm_seeds)
            mark = "[green]done[/]" if arm.finished else f"{_confirmed(arm)}/{seeds}"
            table.add_row(Text(arm.arm.name), _tuning(arm), mark, _best(arm))
        done, total = _count(self._schedule)
        failed = f", {self._failed} failed" if self._failed else ""
        footer = Text(f"{done}/{total} cells{failed}, {self._clock(done, total)}", style="dim")
        return Group(table, footer)

    def _clock(self, done: int, total: int) -> str:
        elapsed = time.monotonic() - self._started
        text = f"{_duration(elapsed)} so far"
        if self._trained and done < total:
            text += f", about {_duration((total - done) * elapsed / self._trained)} to go"
        return text


def _tuning(arm: ArmSchedule) -> str:
    """How far the tuning of an arm is, in the unit of its budget."""
    if arm.arm.frozen:
        return f"as {arm.arm.frozen}"
    if not arm.arm.space:
        return "nothing to tune"
    if arm.allowance is not None:
        return f"{arm.allowance.spent:.0f}/{arm.allowance.total:.0f} s"
    return f"{_tuned(arm)}/{arm.budget}"


def _tuned(arm: ArmSchedule) -> int:
    return sum(
        not arm.cells.missing(TUNE, number, arm.plan.tune_seeds)
        for number in range(len(arm.candidates))
    )


def _confirmed(arm: ArmSchedule) -> int:
    seeds = arm.plan.confirm_seeds
    if not arm.tuned or arm.best is None:
        return 0
    return len(seeds) - len(arm.cells.missing(CONFIRM, arm.best, seeds))


def _best(arm: ArmSchedule) -> str:
    values = arm.values()
    if arm.best is None or arm.best not in values:
        return ""
    return f"{arm.objective.metric} {values[arm.best]:.4f}"


def _count(schedule: Schedule) -> tuple[int, int]:
    """Cells finished and planned, over all arms."""
    done = total = 0
    for arm in schedule.arms.values():
        seeds = arm.plan.tune_seeds
        by_seconds = arm.allowance is not None
        budget = len(arm.candidates) if arm.exhausted or by_seconds else arm.budget
        finished = sum(
            len(seeds) - len(arm.cells.missing(TUNE, number, seeds)) for number in range(budget)
        )
        done += finished + _confirmed(arm)
        total += budget * len(seeds) + len(arm.plan.confirm_seeds)
    return done, total


def _duration(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
