"""What is handed out, what came back, what was lost: without Ray."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msa_core.core import CORE
from msa_core.data.dataset import Dataset
from search.engine.dispatch import Dispatch
from search.engine.stopping import StopRequest
from search.ledger.record import CellRecord
from search.results.checkpoints import Checkpoints
from search.results.events import Event, Events
from search.results.history import RunEnd
from search.schedule.first_failures import FirstFailures
from search.schedule.pack import Pack
from search.schedule.schedule import Schedule
from search.worker.pack_work import failed_cells
from search.worker.worker import Worker
from spaces.failures import FailureKind
from spaces.plan.arms_on_data import Versions
from spaces.plan.plan import Plan, plan_study
from spaces.study_file.load import load_study
from tests.cases.studies.in_process import train_cells

CELLS = 2 * (3 * 2 + 4)


@pytest.fixture(scope="module")
def plan(small_study_text: str, tmp_path_factory: pytest.TempPathFactory) -> Plan:
    path = tmp_path_factory.mktemp("plan") / "study.yaml"
    path.write_text(small_study_text, encoding="utf-8")
    return plan_study(load_study(path), Versions(data="", code=""))


@pytest.fixture
def worker(small_data: Dataset) -> Worker:
    return Worker.for_data(CORE, small_data)


class Desk:
    """A dispatch, with the calls it made and the events it emitted."""

    def __init__(self, plan: Plan, **more: object) -> None:
        self.kept: list[CellRecord] = []
        self.calls: list[tuple[str, int]] = []
        self.events: list[Event] = []
        self.dispatch = Dispatch(
            schedule=Schedule(plan, []),
            write_cells=self.keep,
            announce=lambda cells: self.calls.append(("announced", len(cells))),
            events=Events(listeners=[self.events.append]),
            **more,  # type: ignore[arg-type]
        )

    def keep(self, cells: list[CellRecord], measured: object) -> list[CellRecord]:
        self.calls.append(("kept", len(cells)))
        self.kept += cells
        return cells

    def events_named(self, what: str) -> list[Event]:
        return [event for event in self.events if event.what == what]


def trials() -> Iterator[str]:
    return (str(number) for number in range(10_000))


def keys(pack: Pack) -> list[str]:
    return [cell.key for cell in pack.cells]


def test_finished_cells_are_kept_before_anyone_hears_of_them(plan: Plan, worker: Worker) -> None:
    desk, names = Desk(plan), trials()
    while not desk.dispatch.is_over:
        name = next(names)
        handout = desk.dispatch.next_pack(name)
        assert handout is not None
        desk.dispatch.add_cells(name, train_cells(handout.pack, worker))
        desk.dispatch.end_trial(name)
    assert [name for name, _ in desk.calls] == ["kept", "announced"] * (len(desk.calls) // 2)
    assert len(desk.kept) == len({cell.key for cell in desk.kept}) == CELLS
    assert len(desk.events_named("cell finished")) == CELLS
    assert not desk.dispatch.ended


def test_cells_that_ended_before_the_worker_was_lost_are_not_trained_again(
    plan: Plan, worker: Worker
) -> None:
    desk = Desk(plan)
    handout = desk.dispatch.next_pack("first")
    assert handout is not None
    done = train_cells(handout.pack, worker)[:2]
    desk.dispatch.add_cells("first", done)
    desk.dispatch.handle_loss("first", FailureKind.LOST_WORKER, "killed")
    again = [desk.dispatch.next_pack("second"), desk.dispatch.next_pack("third")]
    parts = [handout.pack for handout in again if handout is not None]
    left = [key for key in keys(handout.pack) if key not in {cell.key for cell in done}]
    assert sorted(keys(parts[0]) + keys(parts[1])) == sorted(left)
    (event,) = desk.events_named("pack again")
    assert event.details["kind"] == FailureKind.LOST_WORKER and event.details["cells"] == len(left)


@given(data=st.data())
def test_whatever_is_lost_every_cell_ends_once(plan: Plan, data: st.DataObject) -> None:
    """Workers answer, lose their pack in any way, or leave it; nothing is lost or trained twice."""
    desk, names = Desk(plan), trials()
    ends = st.sampled_from(["answers", "answers", "answers in part", "leaves", *FailureKind])
    while not desk.dispatch.is_over:
        name = next(names)
        handout = desk.dispatch.next_pack(name)
        assert handout is not None
        cells = [good(record) for record in failed_cells(handout.pack, "", "")]
        end = data.draw(ends)
        part = data.draw(st.integers(0, len(cells)))
        desk.dispatch.add_cells(name, cells if end == "answers" else cells[:part])
        if end in tuple(FailureKind):
            desk.dispatch.handle_loss(name, end, "as it happens")
        else:
            desk.dispatch.end_trial(name)
    assert len(desk.kept) == len({cell.key for cell in desk.kept})
    assert desk.dispatch.schedule.is_finished and not len(desk.dispatch.in_flight)
    for record in desk.kept:
        assert (record.kind in tuple(FailureKind)) == (record.status == "failed")
    if not any(cell.status == "failed" for cell in desk.kept):
        assert len(desk.kept) == CELLS


def good(record: CellRecord) -> CellRecord:
    metrics = {"valid.mae": 1.0, "seconds": 0.1}
    return replace(record, status="complete", epochs=1, best_epoch=1, metrics=metrics)


def test_a_cell_that_is_given_up_says_what_happened(plan: Plan) -> None:
    desk, names = Desk(plan), trials()
    for _ in range(20):
        name = next(names)
        handout = desk.dispatch.next_pack(name)
        assert handout is not None
        desk.dispatch.handle_loss(name, FailureKind.TIMEOUT, "it hung", "its last line")
        if desk.kept:
            break
    (record,) = desk.kept
    assert (record.status, record.kind, record.reason, record.log) == (
        "failed", FailureKind.TIMEOUT, "it hung", "its last line",
    )  # fmt: skip
    assert record.attempts > 1


def test_a_run_in_which_all_cells_fail_alike_ends(plan: Plan) -> None:
    desk, names = Desk(plan, first_failures=FirstFailures(6)), trials()
    while not desk.dispatch.is_over:
        name = next(names)
        handout = desk.dispatch.next_pack(name)
        assert handout is not None
        failed = failed_cells(handout.pack, FailureKind.EXCEPTION, "ValueError: no")
        desk.dispatch.add_cells(name, failed)
        desk.dispatch.end_trial(name)
    assert desk.dispatch.ended == RunEnd.FAILING
    assert "the first 6 cells failed for the same reason (exception: ValueError: no)" in (
        desk.dispatch.why
    )
    assert len(desk.kept) == 6 and len(desk.events_named("stopping")) == 1


def test_one_that_did_otherwise_lets_the_run_go_on(plan: Plan) -> None:
    first = FirstFailures(3)
    cell = failed_cells(_some_pack(plan), FailureKind.EXCEPTION, "no")[0]
    first.add_cells([cell, good(cell), cell, cell, cell])
    assert not first.stop_reason()
    never = FirstFailures(0)
    never.add_cells([cell] * 9)
    assert not never.stop_reason()


def _some_pack(plan: Plan) -> Pack:
    pack = Schedule(plan, []).next_pack()
    assert pack is not None
    return pack


def test_when_told_to_stop_it_hands_out_nothing_more(plan: Plan) -> None:
    stop = StopRequest()
    desk = Desk(plan, stop=stop)
    assert desk.dispatch.next_pack("trial") is not None
    assert not desk.dispatch.is_over
    stop.reason = "Ctrl-C"
    assert desk.dispatch.is_over
    assert (desk.dispatch.ended, desk.dispatch.why) == (RunEnd.INTERRUPTED, "Ctrl-C")
    desk.dispatch.end_trial("trial")
    assert not desk.dispatch.schedule.is_finished


def test_checkpoints_go_with_the_cells_until_they_end(
    plan: Plan, worker: Worker, tmp_path: Path
) -> None:
    desk = Desk(plan, checkpoints=Checkpoints(tmp_path, 10**6))
    handout = desk.dispatch.next_pack("first")
    assert handout is not None and not handout.resume
    saved = {key: key.encode() for key in keys(handout.pack)}
    desk.dispatch.add_progress("first", {"epochs": {}}, saved)
    desk.dispatch.handle_loss("first", FailureKind.LOST_NODE, "cut off")
    again = desk.dispatch.next_pack("second")
    assert again is not None and dict(again.resume) == saved
    desk.dispatch.add_cells("second", train_cells(again.pack, worker))
    desk.dispatch.end_trial("second")
    desk.dispatch.handle_loss("third", FailureKind.LOST_NODE, "it rested")
    assert Checkpoints(tmp_path, 10**6).load_for(saved) == {}
