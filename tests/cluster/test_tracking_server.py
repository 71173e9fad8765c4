"""An MLflow server on PostgreSQL that goes away and comes back: nothing lost, nothing doubled."""

import json
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from msa_core.data.dataset import Dataset
from search.ledger.ledger import Ledger, read_ledger
from search.ledger.record import CellRecord
from search.results.folder import Manifest, read_manifest, select_cells, write_manifest
from search.results.plan_facts import manifest_of
from search.schedule.schedule import Schedule
from search.tracking import BackgroundTracking, is_synced, sync_study
from search.tracking.run_contents import STATUS, cell_metrics
from tests.cases.paths import TRIPTYCH
from tests.cases.servers.postgres_server import MlflowServer, Postgres, programs_path
from tests.cases.studies.made_up import make_plan, train

pytestmark = pytest.mark.cluster
SECONDS = 130.0  # that the cells take to come, one after another
AWAY = 60.0  # seconds


@pytest.fixture
def postgres(program: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Postgres]:
    pytest.importorskip("psycopg", reason="the driver of PostgreSQL is not installed")
    monkeypatch.setenv("PATH", programs_path())
    program("postgres")
    made = Postgres()
    yield made
    made.remove()


@pytest.fixture
def server(postgres: Postgres, tmp_path: Path) -> Iterator[MlflowServer]:
    made = MlflowServer(tmp_path, postgres.uri)
    made.start()
    yield made
    made.kill()


def test_a_server_and_a_database_that_go_away_cost_nothing(
    server: MlflowServer,
    postgres: Postgres,
    write_study: Callable[[str], Path],
    small_study_text: str,
    small_data: Dataset,
    tmp_path: Path,
) -> None:
    plan = make_plan(write_study(small_study_text), "budget.candidates=30")
    manifest = manifest_of(plan, small_data, server.uri)
    folder = tmp_path / "runs" / "small"
    folder.mkdir(parents=True)
    write_manifest(folder, manifest)
    tracking = BackgroundTracking(manifest, folder)
    troubles = threading.Thread(target=_make_trouble, args=(server, postgres))
    with Ledger(folder) as ledger:
        troubles.start()
        schedule = Schedule(plan, [])
        began, count = time.monotonic(), 0
        total = 2 * (30 * 2 + 4)
        while pack := schedule.next_pack():
            records = train(pack)
            schedule.add_results(records)
            ledger.append(records)
            tracking.notify_new_cells()
            count += len(records)
            time.sleep(max(0.0, began + SECONDS * count / total - time.monotonic()))
        troubles.join()
        tracking.close(complete=True)
    assert tracking.failure is None
    assert is_synced(folder, manifest)
    cells = select_cells(manifest, read_ledger(folder))
    assert len(cells) == total
    _check_all_once(server, manifest, cells)
    # Nothing is left to do for a second look.
    synced = sync_study(folder)
    assert (synced.written, synced.there, synced.failure) == (0, total, "")


def _make_trouble(server: MlflowServer, postgres: Postgres) -> None:
    time.sleep(15)
    postgres.stop("fast")
    postgres.start()
    time.sleep(10)
    server.kill()
    time.sleep(AWAY)
    server.start()
    time.sleep(8)
    postgres.stop("immediate")
    time.sleep(5)
    postgres.start()


def test_a_run_whose_server_went_away_is_brought_up_to_date_by_sync(
    server: MlflowServer,
    write_study: Callable[[str], Path],
    small_study_text: str,
    tmp_path: Path,
) -> None:
    study = write_study(small_study_text)
    run = subprocess.Popen(
        [TRIPTYCH, "run", study, "--workers", "1", "--pack-size", "1", "--workdir", tmp_path,
         "--tracking-uri", server.uri, "--set", "budget.candidates=20"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )  # fmt: skip
    folder = tmp_path / "runs" / "small"
    while not (folder / "ledger.jsonl").exists() or len(read_ledger(folder)) < 5:
        assert run.poll() is None, run.communicate()[0]
        time.sleep(0.2)
    time.sleep(5)
    server.kill()  # and it comes back only after the run, which waits some 20 s for it
    said, _ = run.communicate(timeout=300)
    assert run.returncode == 0, said
    assert "`triptych sync`" in said
    sync = [TRIPTYCH, "sync", "small", "--workdir", tmp_path]
    away = subprocess.run(sync, capture_output=True, text=True, timeout=120)
    assert away.returncode == 1
    assert "does not answer" in " ".join(away.stdout.split())
    server.start()
    subprocess.run(sync, check=True, timeout=300)
    again = subprocess.run(sync, check=True, capture_output=True, text=True, timeout=300)
    manifest = read_manifest(folder)
    cells = select_cells(manifest, read_ledger(folder))
    assert len(cells) == 2 * (20 * 2 + 4)
    assert f"0 cells written, {len(cells)} there already" in " ".join(again.stdout.split())
    _check_all_once(server, manifest, cells)
    assert {"study.yaml", "facts.json", "report/report.html"} <= set(_artifacts(server, manifest))


def _check_all_once(server: MlflowServer, manifest: Manifest, cells: list[CellRecord]) -> None:
    """Exactly one run per cell, closed and whole, below its arm, below the study."""
    runs = _runs(server, manifest)
    by_kind: dict[str, list[Any]] = {"study": [], "arm": [], "cell": []}
    for run in runs:
        by_kind[run["tags"]["triptych.kind"]].append(run)
    (study,) = by_kind["study"]
    assert study["info"]["status"] == "FINISHED"
    arms = {run["tags"]["triptych.arm"]: run for run in by_kind["arm"]}
    assert set(arms) == set(manifest.facts.arms)
    assert len(by_kind["arm"]) == len(arms)
    for arm in arms.values():
        assert arm["tags"]["mlflow.parentRunId"] == study["info"]["run_id"]
        assert arm["info"]["status"] == "FINISHED"
        assert "confirm.mean.valid.mae" in arm["metrics"]
        assert "best.train.learning_rate" in arm["tags"]
    found = {run["tags"]["triptych.key"]: run for run in by_kind["cell"]}
    assert set(found) == {cell.key for cell in cells}
    assert len(by_kind["cell"]) == len(cells)
    for cell in cells:
        run = found[cell.key]
        assert run["tags"]["mlflow.parentRunId"] == arms[cell.arm]["info"]["run_id"]
        assert run["info"]["status"] == STATUS[cell.status]
        assert run["params"] == {name: str(value) for name, value in cell.config.items()}
        assert {name: run["metrics"][name] for name in cell.metrics} == dict(cell.metrics)
        names = {name for name, _, _ in cell_metrics(cell, manifest.facts.primary)}
        assert names <= set(run["metrics"])
        took = (run["info"]["end_time"] - run["info"]["start_time"]) / 1000
        assert took == pytest.approx(cell.metrics["seconds"], abs=0.002)


def _runs(server: MlflowServer, manifest: Manifest) -> list[Any]:
    """Every run of the study's experiment that nobody deleted, by MLflow's REST interface."""
    name = f"triptych/{manifest.facts.study}"
    found = _post(server, "experiments/search", {"filter": f"name = '{name}'", "max_results": 10})
    (experiment,) = found["experiments"]
    runs: list[Any] = []
    token = ""
    while True:
        page = _post(
            server,
            "runs/search",
            {
                "experiment_ids": [experiment["experiment_id"]],
                "max_results": 100,
                "page_token": token,
            },
        )
        for run in page.get("runs", []):
            data = run["data"]
            runs.append(
                {
                    "info": run["info"],
                    **{
                        kind: {item["key"]: item["value"] for item in data.get(kind, [])}
                        for kind in ("tags", "params", "metrics")
                    },
                }
            )
        token = page.get("next_page_token", "")
        if not token:
            return runs


def _artifacts(server: MlflowServer, manifest: Manifest) -> list[str]:
    """Those of the study's run, and of its folder `report`."""
    (study,) = [run for run in _runs(server, manifest) if run["tags"]["triptych.kind"] == "study"]
    names: list[str] = []
    for path in ("", "&path=report"):
        query = f"artifacts/list?run_id={study['info']['run_id']}{path}"
        with urllib.request.urlopen(f"{server.uri}/api/2.0/mlflow/{query}", timeout=30) as answer:
            names += [file["path"] for file in json.load(answer).get("files", [])]
    return names


def _post(server: MlflowServer, what: str, content: dict[str, Any]) -> Any:
    request = urllib.request.Request(
        f"{server.uri}/api/2.0/mlflow/{what}",
        data=json.dumps(content).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)
