"""What a person sees of a run: counted from cell to cell, and drawn for any terminal."""

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from search.console import JSON, PLAIN
from search.ledger.record import CellRecord
from search.results.events import KINDS, Event, Events, event_sentence
from search.results.selection import candidate_value
from search.results.snapshot import (
    ArmPhase,
    ArmSnapshot,
    BestValue,
    FailureCount,
    FlightSnapshot,
    RunState,
    Snapshot,
    read_live,
    write_live,
)
from search.schedule.arm_schedule import ArmSchedule
from search.schedule.in_flight import InFlightPacks
from search.schedule.schedule import Schedule
from search.screen.live_table import draw_snapshot
from search.screen.progress import Progress
from spaces.plan.plan import Phase, Plan
from tests.cases.studies.made_up import STUDY, make_plan, train


@pytest.fixture(scope="module")
def plans(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Plan]:
    folder = tmp_path_factory.mktemp("study")

    def plan(*overrides: str, by_seconds: bool = False) -> Plan:
        path = folder / f"{by_seconds}.yaml"
        text = STUDY.replace("candidates: 14", "device_seconds: 9") if by_seconds else STUDY
        path.write_text(text, encoding="utf-8")
        return make_plan(path, *overrides)

    return plan


class Run:
    """A run without Ray: packs go to workers and come back in any order."""

    def __init__(self, plan: Plan, records: list[CellRecord], progress: Progress) -> None:
        self.schedule = Schedule(plan, records)
        self.flights = InFlightPacks()
        self.progress = progress
        progress.start(self.schedule, self.flights, workers=2)

    def fill(self, workers: int = 2) -> None:
        while len(self.flights) < workers and (pack := self.schedule.next_pack()):
            self.flights.add_pack(f"trial {id(pack)}", pack)

    def land(self, place: int, status: str = "complete") -> list[CellRecord]:
        trial = list(self.flights._of_trial)[place % len(self.flights)]
        flight = self.flights.remove_pack(trial)
        assert flight is not None
        records = train(flight.pack, status)
        self.schedule.add_results(records)
        self.progress.update(records)
        return records


def quiet(mode: str = PLAIN) -> Progress:
    return Progress(Console(file=io.StringIO()), mode)


def counted(arm: ArmSchedule) -> tuple[int, int, int, float]:
    """An arm's finished tuning cells, confirm cells, failures and seconds, one by one."""
    seeds, confirm = arm.plan.tune_seeds, arm.plan.confirm_seeds
    tuned = [
        cell
        for number in range(arm.budget or arm.cells.count_tried())
        for cell in arm.cells.finished_cells("tune", number, seeds)
    ]
    best = arm.best_candidate if arm.is_tuned else None
    confirmed = [] if best is None else arm.cells.finished_cells("confirm", best, confirm)
    failed = sum(cell.status == "failed" for cell in (*tuned, *confirmed))
    return len(tuned), len(confirmed), failed, sum(cell.metrics["seconds"] for cell in tuned)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sampler=st.sampled_from(["tpe", "random"]),
    by_seconds=st.booleans(),
    landings=st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=40),
    restart=st.integers(0, 40),
)
def test_counters_are_what_a_count_of_all_cells_gives_at_any_moment(
    plans: Callable[..., Plan],
    sampler: str,
    by_seconds: bool,
    landings: list[tuple[int, bool]],
    restart: int,
) -> None:
    plan = plans(f"sampler={sampler}", by_seconds=by_seconds)
    run = Run(plan, [], quiet())
    ledger: list[CellRecord] = []
    for step, (place, fails) in enumerate(landings):
        run.fill()
        if not len(run.flights):
            break
        ledger += run.land(place, "failed" if fails and place < 3 else "complete")
        if step == restart:
            run = Run(plan, ledger, quiet())
        run.progress._refreshed_at = float("-inf")  # as if two seconds had gone by
        run.progress.refresh()
        found = run.progress.take_snapshot()
        for arm, shown in zip(run.schedule.arms.values(), found.arms, strict=True):
            tuned, confirmed, failed, seconds = counted(arm)
            assert (shown.tune_done, shown.confirm_done, shown.failed) == (tuned, confirmed, failed)
            assert shown.tune_seconds == pytest.approx(seconds)
            assert (shown.phase == ArmPhase.DONE) == arm.is_finished
            if shown.best is not None and not shown.best.confirmed:
                assert arm.best_candidate is not None
                cells = arm.cells.finished_cells(Phase.TUNE, arm.best_candidate, plan.tune_seeds)
                best = candidate_value(cells, plan.study.metric, len(plan.tune_seeds))
                assert shown.best.mean == pytest.approx(best)
        assert sum(one.count for one in found.failures) == found.failed
        assert found.done <= found.total


def test_a_snapshot_asks_the_schedule_nothing_and_costs_the_same_after_any_number_of_cells(
    plans: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    def calls(candidates: int) -> int:
        run = Run(plans("sampler=random", f"budget.candidates={candidates}"), [], quiet())
        while run.fill() or len(run.flights):
            run.land(0)
        count = 0

        def tick(frame: FrameType, event: str, argument: object) -> None:
            nonlocal count
            count += event == "call"

        def never(arm: ArmSchedule) -> bool:
            raise AssertionError("the schedule belongs to the driver's thread")

        with monkeypatch.context() as patch:
            for name in ("is_tuned", "best_candidate", "is_finished"):
                patch.setattr(ArmSchedule, name, property(never))
            sys.setprofile(tick)
            try:
                run.progress.take_snapshot()
            finally:
                sys.setprofile(None)
        return count

    assert calls(3) == calls(60)


def an_arm(name: str, **differs: object) -> ArmSnapshot:
    has: dict[str, object] = {
        "phase": ArmPhase.TUNING, "tune_done": 12, "tune_total": 48,
        "confirm_done": 0, "confirm_total": 10,
        "best": BestValue(mean=0.91234, sd=0.01234, seeds=3, confirmed=False),
    }  # fmt: skip
    return ArmSnapshot(name=name, **{**has, **differs})  # type: ignore[arg-type]


def a_snapshot(arms: list[ArmSnapshot], **differs: object) -> Snapshot:
    flights = tuple(
        FlightSnapshot(
            pack=number, arm=arms[0].name, phase="tune", cells=16, finished=number, epoch=7,
            most_epochs=20, node="10.0.0.3", seconds=33.0, silent=2.0,
        )
        for number in range(12)
    )  # fmt: skip
    has: dict[str, object] = {
        "seconds": 753.0, "trained": 99, "cells_a_minute": 43.2, "seconds_left": 3900.0,
        "workers": 8, "busy": 7, "share": 0.934, "device_seconds": 1440.0,
        "earlier_seconds": 5832.0, "nodes": {"10.0.0.3": 4, "10.0.0.4": 3}, "flights": flights,
        "failures": (FailureCount(kind="not finite", count=2, reason="the loss is not finite"),),
    }  # fmt: skip
    made = {**has, **differs}
    return Snapshot(study="s", metric="mae", time=1.0, arms=tuple(arms), **made)  # type: ignore[arg-type]


def drawn(snapshot: Snapshot, width: int = 100, height: int | None = None) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height or 40)
    console.print(draw_snapshot(snapshot, height))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_the_picture_says_what_a_person_asks() -> None:
    lines = drawn(
        a_snapshot(
            [
                an_arm("full", phase=ArmPhase.DONE, tune_done=48, confirm_done=10, running=0),
                an_arm("without text", running=16, failed=2),
                an_arm(
                    "frozen one", phase=ArmPhase.WAITING, frozen="full", tune_total=0, best=None
                ),
            ]
        )
    )
    full, other, frozen = (
        next(line for line in lines if line.startswith(name))
        for name in ("full", "without text", "frozen one")
    )
    assert full.split() == ["full", "done", "48/48", "10/10", "0.9123", "±", "0.0123"]
    assert other.split()[2:] == ["tuning", "12/48", "0/10", "16", "2", "0.9123", "±", "0.0123"]
    assert frozen.split() == ["frozen", "one", "waiting", "as", "full", "0/10"]
    text = "\n".join(lines)
    for said in (
        "82/126 cells, 2 failed, 12:33 so far, about 1:05 h to go, 43 cells per minute",
        "7 of 8 workers busy, training 93 % of their time so far",
        "packs by node: 10.0.0.3 4, 10.0.0.4 3",
        "2.02 device-hours of training, 0.40 of them in this run",
        "2 failed: not finite, the first of them: the loss is not finite",
        "pack 3: full, tuning 16 cells (3 done), epoch 7 of 20, 0:33, on 10.0.0.3",
        "4 packs more",
    ):
        assert said in text


def test_nothing_is_said_of_what_is_not_known_yet() -> None:
    snapshot = a_snapshot(
        [an_arm("full", best=None)], cells_a_minute=None, seconds_left=None, share=None,
        device_seconds=0.0, earlier_seconds=0.0, nodes={}, flights=(), failures=(),
    )  # fmt: skip
    text = "\n".join(drawn(snapshot))
    assert not {"about", "minute", "device-hours", "None", "±", "failed"} & set(text.split())


@settings(max_examples=60)
@given(
    arms=st.integers(1, 120), width=st.integers(66, 200), height=st.integers(18, 70),
    running=st.sets(st.integers(0, 119), max_size=6),
)  # fmt: skip
def test_it_fits_any_terminal_and_shows_what_trains(
    arms: int, width: int, height: int, running: set[int]
) -> None:
    found = [
        an_arm(f"arm {number} with rather a long name of its own", running=number in running)
        for number in range(arms)
    ]
    lines = drawn(a_snapshot(found), width, height)
    assert len(lines) < height
    assert max(map(len, lines)) <= width
    listed = {int(line.split()[1].rstrip("…")) for line in lines if "12/48" in line}
    more = [int(line.split()[0]) for line in lines if " arms more: " in line]
    assert len(listed) + sum(more) == arms
    assert len(listed) <= 30
    in_motion = {number for number in running if number < arms}
    assert in_motion <= listed or listed <= in_motion


def test_in_json_mode_a_program_reads_every_line_and_a_person_reads_elsewhere(
    capsys: pytest.CaptureFixture[str], plans: Callable[..., Plan], tmp_path: Path
) -> None:
    progress = Progress(Console(stderr=True), JSON)
    events = Events(tmp_path, [progress.on_event])
    progress.print_line("starting Ray")
    run = Run(plans(), [], progress)
    run.fill()
    events.emit("node lost", node="10.0.0.9")
    run.land(0, "failed")
    events.emit("run ended", ended="complete", trained=1, failed=0, seconds=2)
    progress.stop()
    out, err = capsys.readouterr()
    assert [json.loads(line)["event"] for line in out.splitlines()] == ["node lost", "run ended"]
    assert out == (tmp_path / "events.jsonl").read_text()
    assert "starting Ray" in err and "10.0.0.9 is lost" in err and "failed: " in err
    assert "\x1b" not in err  # lines, and no table that moves


@pytest.mark.parametrize("terminal", [False, True])
def test_plain_is_lines_wherever_they_go(plans: Callable[..., Plan], terminal: bool) -> None:
    file = io.StringIO()
    mode = PLAIN if terminal else "auto"
    progress = Progress(Console(file=file, force_terminal=terminal), mode)
    run = Run(plans(), [], progress)
    run.fill()
    run.land(0)
    progress.stop()
    (line,) = file.getvalue().splitlines()
    assert "cells, 0:00 so far" in line
    assert "\x1b[?25l" not in line  # no hidden cursor


def test_a_terminal_has_a_live_table_that_ends_with_the_last_state(
    plans: Callable[..., Plan],
) -> None:
    file = io.StringIO()
    progress = Progress(Console(file=file, force_terminal=True, width=100, height=40))
    run = Run(plans("budget.candidates=3"), [], progress)
    while run.fill() or len(run.flights):
        run.land(0)
    progress.stop()
    assert "33/33 cells" in file.getvalue()


def test_only_the_first_failures_are_said_one_by_one(plans: Callable[..., Plan]) -> None:
    progress = quiet()
    run = Run(plans("sampler=random"), [], progress)
    for _ in range(4):
        run.fill()
        run.land(0, "failed")
    assert isinstance(progress.console.file, io.StringIO)
    assert progress.console.file.getvalue().count("failed: ") == 3
    assert progress.take_snapshot().failures[0].count > 3


def test_live_json_is_the_snapshot_and_says_when_the_run_has_ended(
    tmp_path: Path, plans: Callable[..., Plan]
) -> None:
    schedule, progress = Schedule(plans(), []), quiet()
    progress.start(schedule, InFlightPacks(), 2, tmp_path)
    before = read_live(tmp_path)
    assert before is not None and before.state == "running" and before.study == "small"
    progress.on_event(Event(time=0.0, what="paused", details={"reason": "the disk is full"}))
    paused = read_live(tmp_path)
    assert paused is not None and (paused.state, paused.reason) == ("paused", "the disk is full")
    progress.stop()
    after = read_live(tmp_path)
    assert after is not None and after.state == RunState.ENDED
    full = a_snapshot([an_arm("full"), an_arm("other", best=None)])
    write_live(tmp_path, full)
    assert read_live(tmp_path) == full


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(0, 400), noise=st.binary(max_size=5))
def test_a_damaged_live_json_is_none(tmp_path: Path, cut: int, noise: bytes) -> None:
    write_live(tmp_path, a_snapshot([an_arm("full")]))
    path = tmp_path / "live.json"
    path.write_bytes(path.read_bytes()[:cut] + noise)
    assert read_live(tmp_path) is None


def test_a_folder_that_cannot_be_written_stops_nothing(
    tmp_path: Path, plans: Callable[..., Plan]
) -> None:
    progress = quiet()
    progress.start(Schedule(plans(), []), InFlightPacks(), 2, tmp_path / "gone")
    progress.stop()


def test_every_kind_of_event_is_a_line_of_json_and_some_are_a_sentence(tmp_path: Path) -> None:
    values: dict[str, object] = {"seconds": 61.2, "parts": 2, "cells": 8, "pack": 3}
    heard: list[Event] = []
    events = Events(tmp_path, [heard.append])
    for kind, names in KINDS.items():
        events.emit(kind, **{name: values.get(name, f"<{name}>") for name in names})
    lines = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert [line["event"] for line in lines] == list(KINDS)
    assert all(
        event.details.items() <= line.items() for event, line in zip(heard, lines, strict=True)
    )
    said = {event.what for event in heard if event_sentence(event)}
    assert said == {
        "ray ready", "pack again", "no checkpoint", "node lost", "node joined", "worker hangs",
        "paused", "went on", "stopping",
    }  # fmt: skip
    assert all(len(event_sentence(event).splitlines()) <= 1 for event in heard)


def test_a_torn_event_costs_only_itself(tmp_path: Path) -> None:
    Events(tmp_path).emit("node lost", node="a")
    path = tmp_path / "events.jsonl"
    path.write_text(path.read_text() + '{"time": "2026-')
    Events(tmp_path).emit("node lost", node="b")
    first, torn, second = path.read_text().splitlines()
    assert torn == '{"time": "2026-'
    assert [json.loads(line)["node"] for line in (first, second)] == ["a", "b"]


def test_a_secret_is_not_told(tmp_path: Path) -> None:
    heard: list[Event] = []
    events = Events(tmp_path, [heard.append])
    events.emit("paused", reason="no answer from http://me:hush-hush@host:5000")
    assert "hush" not in (tmp_path / "events.jsonl").read_text() + str(heard)
