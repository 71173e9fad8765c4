"""`triptych status`: the same picture from another terminal, of the ledger and of `live.json`."""

import json
import os
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from msa_core.data.dataset import Dataset
from search.cli import main
from search.ledger.ledger import Ledger, read_ledger
from search.ledger.record import CellRecord
from search.results.folder import read_manifest, select_cells, write_manifest
from search.results.plan_facts import manifest_of
from search.results.snapshot import (
    RunState,
    Snapshot,
    read_live,
    write_live,
)
from search.schedule.schedule import Schedule
from search.screen.status import DriverState, ledger_snapshot, status_of
from spaces.plan.plan import Plan
from tests.cases.studies.made_up import STUDY, make_plan, train

NAME = "small"


def status(workdir: Path, *arguments: str) -> Result:
    result = CliRunner().invoke(main, ["status", *arguments, "--workdir", str(workdir)])
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    path = tmp_path / "study.yaml"
    path.write_text(STUDY, encoding="utf-8")
    return make_plan(path)


@pytest.fixture
def begun(tmp_path: Path, plan: Plan, small_data: Dataset) -> Callable[..., Path]:
    """Trains some packs of a study, one of which fails, and lets go of its folder."""

    def run(packs: int = 10**6, fail: int = -1) -> Path:
        folder = tmp_path / "runs" / NAME
        with Ledger(folder) as ledger:
            write_manifest(folder, manifest_of(plan, small_data, ""))
            schedule = Schedule(plan, list(ledger.records.values()))
            for number in range(packs):
                pack = schedule.next_pack()
                if pack is None:
                    break
                records = train(pack)
                if number == fail:
                    records = [_failed(record) for record in records]
                ledger.append(records)
                schedule.add_results(records)
        return folder

    return run


def _failed(record: CellRecord) -> CellRecord:
    log = "Traceback\n  the very last line"
    return replace(
        record, status="failed", kind="not finite", reason="nan in epoch 2", log=log, metrics={}
    )


def alive(folder: Path, **differs: object) -> Snapshot:
    """A driver's sign of life."""
    has = {"state": "running", "workers": 2, "host": socket.gethostname(), "process": os.getpid()}
    snapshot = replace(ledger_snapshot(folder), **{**has, **differs})
    write_live(folder, snapshot)
    return snapshot


def test_the_ledger_s_picture_counts_the_cells_of_the_plan(begun: Callable[..., Path]) -> None:
    folder = begun(packs=8, fail=2)
    cells = select_cells(read_manifest(folder), read_ledger(folder))
    found = ledger_snapshot(folder)
    assert (found.done, found.failed) == (len(cells), sum(c.status == "failed" for c in cells))
    assert found.failed and found.failures[0].kind == "not finite"
    assert sum(one.count for one in found.failures) == found.failed
    begun()
    finished = ledger_snapshot(folder)
    assert finished.done == finished.total
    assert {arm.phase for arm in finished.arms} == {"done"}
    assert all(arm.best and arm.best.confirmed for arm in finished.arms if not arm.failed)
    assert sum(not arm.failed for arm in finished.arms) == 2


def test_without_a_driver_it_says_so_and_shows_the_ledger(begun: Callable[..., Path]) -> None:
    folder = begun()
    output = status(folder.parents[1]).output
    assert "not running" in output and "77/77 cells" in output and "so far" not in output
    assert status_of(folder).state == DriverState.NOT_RUNNING


def test_a_driver_at_work_shows_its_own_picture_and_its_last_sign_of_life(
    begun: Callable[..., Path],
) -> None:
    folder = begun(packs=3)
    alive(folder, seconds_left=90.0, busy=2, cells_a_minute=12.0)
    with Ledger(folder):
        output = status(folder.parents[1], NAME).output
    assert "running, last sign of life 0:0" in output
    assert "about 1:30 to go, 12 cells per minute" in output and "2 of 2 workers busy" in output


def test_a_driver_that_starts_shows_the_ledger(begun: Callable[..., Path]) -> None:
    folder = begun(packs=3)
    alive(folder, process=1)  # an earlier run's
    with Ledger(folder):
        assert "running, starting" in status(folder.parents[1], NAME).output
        alive(folder, state=RunState.ENDED)
        assert "running, finishing" in status(folder.parents[1], NAME).output


def test_a_killed_driver_is_said_to_be_and_when_it_last_lived(begun: Callable[..., Path]) -> None:
    folder = begun(packs=3)
    alive(folder, time=1_700_000_000.0)
    output = status(folder.parents[1], NAME).output
    assert "killed: its last sign of life was at 2023-11-14T22:13:20+00:00" in output
    assert status_of(folder).snapshot.done == ledger_snapshot(folder).done
    live = read_live(folder)
    assert live is not None
    write_live(folder, replace(live, state=RunState.ENDED))
    assert status_of(folder).state == DriverState.NOT_RUNNING


def test_json_is_one_line_that_a_program_reads(begun: Callable[..., Path]) -> None:
    folder = begun(packs=3, fail=1)
    (line,) = status(folder.parents[1], NAME, "--json", "--failed").stdout.splitlines()
    said = json.loads(line)
    assert said["state"] == DriverState.NOT_RUNNING
    assert said["snapshot"]["failed"] == len(said["failed"]) > 0
    assert said["failed"][0]["log"].endswith("the very last line")


def test_failures_are_shown_by_kind_and_on_demand_with_their_logs(
    begun: Callable[..., Path],
) -> None:
    folder = begun(packs=3, fail=1)
    short = status(folder.parents[1], NAME).output
    assert "failed: not finite, the first of them: nan in epoch 2" in short
    assert "the very last line" not in short
    long = status(folder.parents[1], NAME, "--failed").output
    count = ledger_snapshot(folder).failed
    assert long.count("      the very last line") == count
    assert long.count("failed: ") >= count


def test_watching_ends_with_the_run(
    begun: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = begun(packs=3)
    ledger = Ledger(folder)
    alive(folder)

    def sleep(seconds: float) -> None:
        ledger.close()
        live = read_live(folder)
        assert live is not None
        write_live(folder, replace(live, state=RunState.ENDED))

    monkeypatch.setattr("search.screen.status.time.sleep", sleep)
    lines = status(folder.parents[1], NAME, "--json", "--watch").stdout.splitlines()
    assert [json.loads(line)["state"] for line in lines] == ["running", DriverState.NOT_RUNNING]


def test_a_damaged_sign_of_life_is_passed_over(begun: Callable[..., Path]) -> None:
    folder = begun(packs=3)
    (folder / "live.json").write_text('{"arms": [{"best": 3}], "flights": 1}')
    assert "not running" in status(folder.parents[1], NAME).output
    assert status_of(folder).state != DriverState.KILLED
