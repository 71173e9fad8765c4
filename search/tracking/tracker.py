"""From the ledger to MLflow: idempotent, in the background. Only this file here imports mlflow.

Layout: experiment `triptych/<study>`; in it one run a plan, below it one an arm, below that one
a cell, found again by its key. `reports.mlflow_source` reads it.
"""

import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from reports.encoding import encode_floats, facts_to_json
from search.folder import Manifest
from search.ledger import CellRecord

STATUS = {"complete": "FINISHED", "pruned": "KILLED", "failed": "FAILED"}
CURVES = ("train.loss",)  # and the validation curve of the study's metric
BATCH_LIMIT = 100  # MLflow takes 100 params and 1000 metrics at once
PARENT = "mlflow.parentRunId"
NAME = "mlflow.runName"
MLFLOW_ENVIRONMENT = {
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # Its defaults try for minutes; a run of ours would hang at its end on a server that is down.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}


def local_store(folder: Path) -> str:
    """The default tracking URI: a SQLite file in the results folder."""
    return f"sqlite:///{(folder / 'mlflow.db').resolve()}"


class Tracker:
    """Writes cells that the tracking server does not have yet."""

    def __init__(self, manifest: Manifest, folder: Path) -> None:
        """Find or make the study's run.

        Args:
            manifest: the plan.
            folder: the results folder; artifacts of the local store go there.
        """
        for name, value in MLFLOW_ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        from mlflow import MlflowClient  # 3 seconds, so only where it is needed

        logging.getLogger("mlflow").setLevel(logging.ERROR)
        logging.getLogger("alembic").setLevel(logging.ERROR)
        self.manifest = manifest
        self.client = MlflowClient(tracking_uri=manifest.tracking_uri)
        self.statuses: dict[str, str] = {}  # run of a cell -> the cell's status
        self.experiment = self._experiment(folder)
        self.study_run = self._study_run()
        self.arm_runs = self._runs("arm", "triptych.arm")
        self.cell_runs = self._runs("cell", "triptych.key")

    def write(self, cells: Iterable[CellRecord]) -> None:
        """Write the cells that are not there; each whole or, after a crash, again."""
        for cell in cells:
            run = self.cell_runs.get(cell.key)
            if run is not None and self.statuses[run] != cell.status:
                self.client.delete_run(run)  # it failed, and was trained again
                run = None
            if run is None:
                run = self._write_cell(cell)
                self.cell_runs[cell.key] = run
                self.statuses[run] = cell.status

    def finish(self, cells: Iterable[CellRecord], complete: bool) -> None:
        """Write what is missing, take out what the plan no longer holds, and close the runs.

        Args:
            cells: the plan's cells.
            complete: whether the study is; a run that is not is gone on with next time.
        """
        kept = list(cells)
        self.write(kept)
        for key in self.cell_runs.keys() - {cell.key for cell in kept}:
            self.client.delete_run(self.cell_runs.pop(key))
        status = "FINISHED" if complete else "KILLED"
        for run in (*self.arm_runs.values(), self.study_run):
            self.client.set_terminated(run, status)

    def _experiment(self, folder: Path) -> str:
        name = f"triptych/{self.manifest.facts.study}"
        found = self.client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        local = self.manifest.tracking_uri == local_store(folder)
        artifacts = (folder / "mlartifacts").resolve().as_uri() if local else None
        return str(self.client.create_experiment(name, artifact_location=artifacts))

    def _study_run(self) -> str:
        plan = self.manifest.digest
        kind = "tags.`triptych.kind` = 'study'"
        found = self.client.search_runs(
            [self.experiment], f"{kind} and tags.`triptych.plan` = '{plan}'", max_results=1
        )
        if found:
            run = str(found[0].info.run_id)
            self.client.update_run(run, status="RUNNING")
        else:
            tags = {"triptych.kind": "study", "triptych.plan": plan}
            run = self._create(self.manifest.facts.study, tags)
        labels = {"labels": encode_floats(self.manifest.test_labels)}
        self._artifact(run, "facts.json", facts_to_json(self.manifest.facts))
        self._artifact(run, "test_labels.json", json.dumps(labels))
        return run

    def _runs(self, kind: str, tag: str) -> dict[str, str]:
        """Tag value -> run of this study's arms or cells; half-written cells are deleted."""
        found: dict[str, str] = {}
        token: str | None = None
        while token != "":
            page = self.client.search_runs(
                [self.experiment],
                f"tags.`triptych.study_run` = '{self.study_run}' "
                f"and tags.`triptych.kind` = '{kind}'",
                max_results=1000,
                page_token=token,
            )
            for run in page:
                if kind == "cell" and run.info.status == "RUNNING":
                    self.client.delete_run(run.info.run_id)
                else:
                    found[run.data.tags[tag]] = str(run.info.run_id)
                    self.statuses[run.info.run_id] = run.data.tags.get("triptych.status", "")
            token = page.token or ""
        return found

    def _write_cell(self, cell: CellRecord) -> str:
        from mlflow.entities import Metric, Param

        tags = {
            "triptych.kind": "cell",
            "triptych.study_run": self.study_run,
            "triptych.key": cell.key,
            "triptych.arm": cell.arm,
            "triptych.phase": cell.phase,
            "triptych.candidate": str(cell.candidate),
            "triptych.seed": str(cell.seed),
            "triptych.status": cell.status,
            "triptych.epochs": str(cell.epochs),
            PARENT: self._arm_run(cell.arm),
        }
        if cell.code:
            tags["triptych.code"] = cell.code
        if cell.reason:
            tags["triptych.reason"] = cell.reason[:4000]
        run = self._create(f"{cell.phase} {cell.candidate} seed {cell.seed}", tags)
        now = int(time.time() * 1000)
        metrics = [Metric(name, value, now, 0) for name, value in cell.metrics.items()]
        for name in (*CURVES, f"valid.{self.manifest.facts.primary}"):
            metrics += [
                Metric(f"epoch/{name}", value, now, epoch)
                for epoch, value in enumerate(cell.curve.get(name, ()), start=1)
                if value is not None
            ]
        params = [Param(name, str(value)) for name, value in cell.config.items()]
        for start in range(0, max(len(metrics), len(params)), BATCH_LIMIT):
            self.client.log_batch(
                run,
                metrics=metrics[start : start + BATCH_LIMIT],
                params=params[start : start + BATCH_LIMIT],
            )
        if cell.predictions:
            predictions = {"predictions": cell.predictions}
            self._artifact(run, "predictions.json", json.dumps(predictions))
        self.client.set_terminated(run, STATUS[cell.status])
        return run

    def _arm_run(self, arm: str) -> str:
        if arm not in self.arm_runs:
            tags = {
                "triptych.kind": "arm",
                "triptych.study_run": self.study_run,
                "triptych.arm": arm,
                PARENT: self.study_run,
            }
            self.arm_runs[arm] = self._create(arm, tags)
        return self.arm_runs[arm]

    def _create(self, name: str, tags: dict[str, str]) -> str:
        return str(self.client.create_run(self.experiment, tags={NAME: name, **tags}).info.run_id)

    def _artifact(self, run: str, name: str, text: str) -> None:
        with TemporaryDirectory(prefix="triptych-") as folder:
            path = Path(folder) / name
            path.write_text(text, encoding="utf-8")
            self.client.log_artifact(run, str(path))


class BackgroundTracking:
    """A thread that brings MLflow up to date with the ledger, and never holds up a training.

    A tracking server that does not answer costs nothing but a message at the end: the next run
    of the study writes what is missing.
    """

    def __init__(self, make_tracker: Callable[[], Any], cells: Callable[[], list[CellRecord]]):
        """Start, but import nothing yet: until there are cells, starting Ray needs the time.

        Args:
            make_tracker: makes a `Tracker`; called in the thread, since importing mlflow is slow.
            cells: the plan's cells as they stand in the ledger.
        """
        self.failure: Exception | None = None
        self.complete = False
        self._make_tracker = make_tracker
        self._cells = cells
        self._news = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tracking", daemon=True)
        self._thread.start()

    def notify(self) -> None:
        """There are new cells."""
        self._news.set()

    def close(self, complete: bool) -> None:
        """Write what is left and wait for it.

        Args:
            complete: whether the study is.
        """
        self.complete = complete
        self._closing.set()
        self._news.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            self._news.wait()
            tracker = self._make_tracker()
            while not self._closing.is_set():
                self._news.clear()
                tracker.write(self._cells())
                self._news.wait()
            tracker.finish(self._cells(), self.complete)
        except Exception as error:  # whatever a server or its client raises
            self.failure = error
