"""MLflow is brought up to date with the ledger: each cell once, whatever happened before."""

import json
import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from msa_core.core import CORE
from msa_core.data.dataset import Dataset
from reports.encoding import encode_floats
from reports.mlflow_source import read_mlflow
from search.ledger.ledger import Ledger
from search.ledger.record import CellRecord
from search.results.folder import Manifest, ledger_results, write_manifest
from search.results.layout import REPORT
from search.results.plan_facts import manifest_of, with_tags
from search.schedule.schedule import Schedule
from search.tracking import (
    BackgroundTracking,
    Tracker,
    attach_in_time,
    is_synced,
    local_store,
    sync_study,
)
from search.tracking.marker import MARKER
from search.tracking.run_contents import cell_metrics, cell_tags, training_stamp
from search.tracking.sync_loop import (
    LONGEST_WAIT,
    POLL_SECONDS,
    DriverView,
    LedgerSource,
    SyncLoop,
    TrackingError,
)
from spaces.plan.arms_on_data import Versions
from spaces.plan.plan import Phase, plan_study
from spaces.study_file.load import load_study
from tests.cases.servers.shaky_server import AFTER, BEFORE, LATER, ShakyServer
from tests.cases.studies.made_up import train

Study = tuple[Manifest, list[CellRecord]]
CLOSED = ("FINISHED", "KILLED", "FAILED")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "runs" / "small"
    made.mkdir(parents=True)
    return made


@pytest.fixture
def study(
    small_study_text: str, write_study: Callable[[str], Path], small_data: Dataset, folder: Path
) -> Study:
    """A manifest and all its cells, made up; the folder has the manifest."""
    plan = plan_study(load_study(write_study(small_study_text)), Versions(data="", code=""))
    schedule = Schedule(plan, [])
    cells: list[CellRecord] = []
    while pack := schedule.next_pack():
        records = [_whole(record, small_data) for record in train(pack)]
        schedule.add_results(records)
        cells += records
    manifest = with_tags(manifest_of(plan, small_data, local_store(folder)), CORE, small_data)
    write_manifest(folder, manifest)
    return manifest, cells


def _whole(record: CellRecord, data: Dataset) -> CellRecord:
    """With what a real cell has besides."""
    if record.phase != Phase.CONFIRM:
        return record
    predictions = np.full(len(data.test.labels), record.seed / 7)
    return replace(
        record,
        predictions=encode_floats(predictions),
        metrics={**record.metrics, "test.mae": 0.5 + record.seed / 100},
    )


def _failed(cell: CellRecord, **what: object) -> CellRecord:
    """The same cell, if it had failed."""
    lost = replace(cell, status="failed", reason="out of luck", kind="exception", predictions="")
    return replace(lost, metrics={"seconds": 0.5}, **what)  # type: ignore[arg-type]


class ListSource(LedgerSource):
    """The cells of a list, as if it were a ledger."""

    def __init__(self, cells: list[CellRecord]) -> None:
        self.cells = cells

    def read_planned(self) -> list[CellRecord]:
        return list(self.cells)

    def read_whole_cells(self, cells: list[CellRecord]) -> Iterator[CellRecord]:
        keys = {cell.key for cell in cells}
        return (cell for cell in list(self.cells) if cell.key in keys)

    def ledger_bytes(self) -> int:
        return len(self.cells)


class Script(DriverView):
    """The driver of a study that ends after its cells; time passes in `pause`.

    Cells come while the loop waits for them.
    """

    def __init__(self, to_come: list[CellRecord]) -> None:
        super().__init__(complete=True)
        self.cells: list[CellRecord] = []
        self.has_gone = False
        self.time = 0.0
        self.pauses: list[float] = []
        self._to_come = list(to_come)

    @property
    def closing(self) -> bool:
        return not self._to_come

    @property
    def abandoned(self) -> bool:
        return self.has_gone

    def pause(self, seconds: float) -> None:
        self.time += seconds
        if seconds == POLL_SECONDS:
            self.cells += self._to_come[:3]
            del self._to_come[:3]
        else:
            self.pauses.append(seconds)


def _sync_loop(
    script: Script, manifest: Manifest, folder: Path, server: ShakyServer, patience: float = 1e9
) -> SyncLoop:
    return SyncLoop(
        lambda: Tracker(manifest, folder, client=server),
        ListSource(script.cells),
        script,
        patience=patience,
        clock=lambda: script.time,
        jitter=lambda: 1.0,
    )


def _check_all_once(server: ShakyServer, manifest: Manifest, cells: list[CellRecord]) -> None:
    """Exactly one closed run a cell, with everything, below its arm, below the study."""
    studies = server.active("study")
    assert [run.info.status for run in studies] == ["FINISHED"]
    assert {"facts.json", "test_labels.json"} <= studies[0].artifacts.keys()
    arms = {run.data.tags["triptych.arm"]: run for run in server.active("arm")}
    assert len(arms) == len(server.active("arm")) == len(manifest.facts.arms)
    runs = {run.data.tags["triptych.key"]: run for run in server.active("cell")}
    assert len(runs) == len(server.active("cell")) == len(cells)
    for cell in cells:
        run = runs[cell.key]
        assert run.info.status in CLOSED
        assert cell_tags(cell, manifest.facts.primary).items() <= run.data.tags.items()
        assert run.data.tags["mlflow.parentRunId"] == arms[cell.arm].info.run_id
        assert run.data.params == {name: str(value) for name, value in cell.config.items()}
        assert run.points == set(cell_metrics(cell, manifest.facts.primary))
        assert ("predictions.json" in run.artifacts) == bool(cell.predictions)


@given(
    troubles=st.lists(
        st.sampled_from([None, None, None, None, BEFORE, AFTER, LATER]), max_size=150
    ),
    over_http=st.booleans(),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_after_any_failures_there_is_one_whole_run_a_cell(
    troubles: list[str | None], over_http: bool, study: Study, folder: Path
) -> None:
    manifest, cells = study
    if over_http:  # several cells in flight at once
        manifest = replace(manifest, tracking_uri="http://somewhere")
    left = list(troubles)
    server = ShakyServer(lambda: left.pop() if left else None)
    assert _sync_loop(Script(cells), manifest, folder, server).run() is not None
    # What the server did long after it was asked, another look puts right.
    server.settle()
    assert _sync_loop(Script(cells), manifest, folder, server).run() is not None
    _check_all_once(server, manifest, cells)


def test_waits_grow_to_a_minute_and_start_small_again(study: Study, folder: Path) -> None:
    manifest, cells = study
    script = Script(cells)

    def trouble() -> str | None:
        waits = sum(seconds > 0 for seconds in script.pauses)
        return BEFORE if waits < 9 or (waits < 11 and len(server.active("cell")) > 3) else None

    server = ShakyServer(trouble)
    assert _sync_loop(script, manifest, folder, server).run() is not None
    waits = [seconds for seconds in script.pauses if seconds]
    assert waits == [1, 2, 4, 8, 16, 32, *[LONGEST_WAIT] * 3, 1, 2]
    _check_all_once(server, manifest, cells)


def test_a_server_that_stays_away_ends_the_wait(study: Study, folder: Path) -> None:
    manifest, _ = study
    script = Script([])
    upkeep = _sync_loop(script, manifest, folder, ShakyServer(lambda: BEFORE), patience=20.0)
    with pytest.raises(TrackingError, match="away"):
        upkeep.run()
    assert 20 < script.time < 30


def test_a_cell_that_always_fails_holds_up_no_other(study: Study, folder: Path) -> None:
    manifest, cells = study
    server = ShakyServer()
    create = server.create_run

    def refuse_one(experiment: str, began: int | None, tags: dict[str, str]) -> object:
        if tags.get("triptych.key") == cells[5].key:
            raise ConnectionError("never this one")
        return create(experiment, began, tags)

    server.create_run = refuse_one  # type: ignore[method-assign, assignment]
    script = Script([])
    script.cells += cells
    with pytest.raises(TrackingError, match="never this one"):
        _sync_loop(script, manifest, folder, server, patience=20.0).run()
    assert len(server.active("cell")) == len(cells) - 1


def test_nobody_who_waits_ends_it_at_once(study: Study, folder: Path) -> None:
    manifest, cells = study
    server = ShakyServer()
    script = Script(cells)

    def stop(written: int) -> None:
        script.has_gone = written >= 2

    script.report_progress = stop  # type: ignore[method-assign]
    assert _sync_loop(script, manifest, folder, server).run() is None
    assert len(server.active("cell")) == 2


def test_a_cell_trained_again_replaces_its_failure(study: Study, folder: Path) -> None:
    manifest, cells = study
    server = ShakyServer()
    failed = _failed(cells[0])
    for again in (failed, _failed(cells[0], attempts=2, reason="other"), cells[0]):
        assert _sync_loop(Script([again]), manifest, folder, server).run() is not None
        (run,) = server.active("cell")
        assert training_stamp(again).items() <= run.data.tags.items()
    assert "triptych.reason" not in run.data.tags


def test_what_the_plan_no_longer_holds_is_taken_out(study: Study, folder: Path) -> None:
    manifest, cells = study
    server = ShakyServer()
    for planned in (cells, cells[:-1]):
        assert _sync_loop(Script(planned), manifest, folder, server).run() is not None
        _check_all_once(server, manifest, planned)


def test_what_a_database_refuses_or_nobody_may_see_is_not_sent(
    study: Study, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_TOKEN", "sesame-open")
    cell = _failed(study[1][0], log="a\0b \ud800 sesame-open" + "x" * 9000, reason="u:\0")
    tags = cell_tags(cell, study[0].facts.primary)
    assert "sesame" not in str(tags) and "\0" not in str(tags)
    assert len(tags["triptych.log"]) == 4000
    "".join(tags.values()).encode()


def test_the_local_store_has_what_the_ledger_has(study: Study, folder: Path) -> None:
    manifest, cells = study
    lost = next(place for place, cell in enumerate(cells) if cell.phase == Phase.CONFIRM)
    cells[lost] = _failed(cells[lost], log="line 1\nline 2", attempts=3)
    with Ledger(folder) as ledger:
        ledger.append(cells[:7])
        tracking = BackgroundTracking(manifest, folder)
        tracking.notify_new_cells()
        ledger.append(cells[7:])
        tracking.close(complete=True)
    assert tracking.failure is None
    assert is_synced(folder, manifest)
    read = read_mlflow(manifest.tracking_uri, "small", plan=manifest.digest)
    own = ledger_results(folder)
    pd.testing.assert_frame_equal(read.cells, own.cells)
    assert read.kinds == own.kinds == {cells[lost].key: "exception"}
    assert read.logs == own.logs == {cells[lost].key: "line 1\nline 2"}
    assert read.reasons == own.reasons
    assert read.predictions.keys() == own.predictions.keys() != set()
    assert not read.embargoed and not own.embargoed
    assert read.tags == own.tags != {}
    assert read.curves.keys() == own.curves.keys() == {cell.key for cell in cells}
    assert all(read.curves[key].tolist() == own.curves[key].tolist() for key in own.curves)

    before = (folder / MARKER).stat().st_mtime_ns
    BackgroundTracking(manifest, folder).close(complete=True)  # nothing to do, and nothing done
    assert (folder / MARKER).stat().st_mtime_ns == before
    _check_the_marker_notices(manifest, folder)
    _check_a_report_is_attached(manifest, folder)


def _check_the_marker_notices(manifest: Manifest, folder: Path) -> None:
    facts = replace(manifest.facts, notes=("something new",))
    assert not is_synced(folder, replace(manifest, facts=facts))
    assert not is_synced(folder, replace(manifest, tracking_uri="http://elsewhere"))
    marker = (folder / MARKER).read_text(encoding="utf-8")
    (folder / MARKER).write_text("{", encoding="utf-8")
    assert not is_synced(folder, manifest)
    (folder / MARKER).write_text(marker, encoding="utf-8")
    database = folder / "mlflow.db"
    database.rename(folder / "away.db")
    assert not is_synced(folder, manifest)
    (folder / "away.db").rename(database)
    assert is_synced(folder, manifest)


def _check_a_report_is_attached(manifest: Manifest, folder: Path) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=manifest.tracking_uri)
    run = json.loads((folder / MARKER).read_text(encoding="utf-8"))["study_run"]
    for names in (["claims.csv", "paper/bars.svg", "report.html"], ["report.html"]):
        shutil.rmtree(folder / REPORT, ignore_errors=True)
        for name in names:
            (folder / REPORT / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / REPORT / name).write_text(str(names), encoding="utf-8")
        assert attach_in_time(folder) is None
        there = [
            path
            for place in (REPORT, f"{REPORT}/paper")
            for item in client.list_artifacts(run, place)
            if not item.is_dir
            for path in [item.path.removeprefix(f"{REPORT}/")]
        ]
        assert sorted(there) == names
    (folder / "report" / "report.html").write_text("newer", encoding="utf-8")
    assert attach_in_time(folder) is None
    found = Path(client.download_artifacts(run, "report/report.html", str(folder.parent)))
    assert found.read_text(encoding="utf-8") == "newer"


def test_sync_brings_another_server_up_to_date_and_can_be_repeated(
    study: Study, folder: Path, tmp_path: Path
) -> None:
    manifest, cells = study
    with Ledger(folder) as ledger:
        ledger.append(cells)
    other = f"sqlite:///{tmp_path / 'other.db'}"
    first = sync_study(folder, other)
    assert (first.written, first.there, first.failure) == (len(cells), 0, "")
    again = sync_study(folder, other)
    assert (again.written, again.there, again.failure) == (0, len(cells), "")
    assert not is_synced(folder, manifest)
    assert is_synced(folder, replace(manifest, tracking_uri=other))
    read = read_mlflow(other, "small")
    assert sorted(read.cells["key"]) == sorted(cell.key for cell in cells)


def test_sync_says_that_a_server_is_away(study: Study, folder: Path) -> None:
    with Ledger(folder) as ledger:
        ledger.append(study[1])
    synced = sync_study(folder, "http://me:open-sesame@127.0.0.1:9", patience=0.0)
    assert "127.0.0.1" in synced.failure
    assert "sesame" not in f"{synced}"
    assert "\n" not in synced.failure


def test_a_tracking_process_that_is_killed_costs_a_warning_and_no_cell(
    study: Study, folder: Path
) -> None:
    manifest, cells = study
    with Ledger(folder) as ledger:
        ledger.append(cells)
    tracking = BackgroundTracking(manifest, folder)
    tracking.notify_new_cells()
    assert tracking.process_id is not None
    time.sleep(random.Random(0).uniform(3, 6))
    os.kill(tracking.process_id, signal.SIGKILL)
    tracking.close(complete=True)  # by another process
    assert tracking.failure is None
    assert is_synced(folder, manifest)
    assert len(read_mlflow(manifest.tracking_uri, "small").cells) == len(cells)
