"""Writes cells to MLflow, each once. Only this package and the reports' reader import mlflow.

Layout: experiment `triptych/<study>`; in it one run a plan, below it one an arm, below that one
a cell, found again by its key. `reports.mlflow_source` reads it.

A cell's run is open (`RUNNING`) until all of it is there. So whatever happened before, a run that
is closed is whole, and one that is open is half-written, by a writer that died or lost an answer.

As long as the study is unfinished, what its cells came to on the test split is not sent, and their
runs have the tag `triptych.sealed`. At the end that is added to the same runs, the tag last: so a
run that was opened only in part is opened again, with the same numbers.
"""

import json
import time
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from reports.encoding import encode_floats, facts_to_json
from search.ledger.record import CellRecord
from search.results.folder import STUDY, Manifest
from search.tracking.arm_run import arm_means, arm_status, best_params
from search.tracking.cell_run import (
    SEALED,
    STATUS,
    cell_metrics,
    cell_name,
    cell_tags,
    kept_back,
    stamp,
    stamp_of_tags,
)
from search.tracking.store import local_store, open_client
from search.tracking.study_files import digest_of, late_files

if TYPE_CHECKING:
    from mlflow.entities import Run

PAGE = 500  # runs in one answer
AT_ONCE = 4  # cells in flight to a server; a database file has one writer
PARENT = "mlflow.parentRunId"
NAME = "mlflow.runName"
NOTE = "mlflow.note.content"


class WriteFailed(Exception):
    """Some cells could not be written; all others that were begun are.

    Attributes:
        keys: of the cells.
    """

    def __init__(self, keys: Iterable[str], cause: Exception) -> None:
        super().__init__(str(cause))
        self.keys = tuple(keys)
        self.cause = cause


class Tracker:
    """Writes cells that the tracking server does not have yet.

    After an exception its picture of the server may be wrong: make a new one.

    Attributes:
        sealed: whether test metrics are to be kept back; what is open already stays so.
        files: digest of the study's files that came late, once it has finished.
    """

    def __init__(self, manifest: Manifest, folder: Path, client: Any = None) -> None:
        """Find or make the study's run, and find what is below it.

        Args:
            manifest: the plan.
            folder: the results folder; artifacts of the local store go there.
            client: an `MlflowClient`; None = one is made.
        """
        self.manifest = manifest
        self.client = open_client(manifest.tracking_uri) if client is None else client
        self.sealed = True
        self.files = ""
        self._folder = folder
        self.refused: dict[str, str] = {}  # key -> why the server will never take that cell
        self.arm_runs: dict[str, str] = {}
        self.cell_runs: dict[str, str] = {}
        self._stamps: dict[str, dict[str, str]] = {}
        self._sealed: set[str] = set()  # keys of the cells whose runs are
        self.experiment = self._experiment(folder)
        self.study_run = self._study_run()
        self._study_files(folder)

    def lacks(self, cell: CellRecord) -> bool:
        """Whether a cell must be written: it is not there, trained again since, or to be opened."""
        if cell.key in self.refused:
            return False
        return self._is_other(cell) or (cell.key in self._sealed and not self.sealed)

    def _is_other(self, cell: CellRecord) -> bool:
        """Whether the server has no run of this training of a cell."""
        return self._stamps.get(cell.key) != stamp(cell)

    def write(
        self, cells: Iterable[CellRecord], goes_on: Callable[[int], bool] = lambda _: True
    ) -> None:
        """Write the cells that are not there.

        Args:
            cells: whole, with curves and predictions; taken one after another.
            goes_on: told how many more are written, and asked whether to take another.

        Raises:
            WriteFailed: which cells failed; the others in flight are written.
        """
        failed: dict[str, Exception] = {}
        flying: dict[Future[None], CellRecord] = {}
        at_once = AT_ONCE if self.manifest.tracking_uri.startswith("http") else 1
        missing = iter([]) if not goes_on(0) else (cell for cell in cells if self.lacks(cell))
        with ThreadPoolExecutor(at_once) as pool:
            while True:
                while len(flying) < at_once and (cell := next(missing, None)) is not None:
                    work = self._write_cell if self._is_other(cell) else self._open_cell
                    if work == self._write_cell:
                        self._prepare(cell)
                    flying[pool.submit(work, cell)] = cell
                if not flying:
                    break
                for done in wait(flying, return_when=FIRST_COMPLETED).done:
                    cell = flying.pop(done)
                    error = done.exception()
                    if isinstance(error, Exception):
                        failed[cell.key] = error
                    if failed or not goes_on(error is None):
                        missing = iter([])
        if failed:
            raise WriteFailed(failed, next(iter(failed.values())))

    def finish(self, cells: Iterable[CellRecord], complete: bool) -> None:
        """Take out what the plan no longer holds, sum up the arms, and close their runs.

        Args:
            cells: the plan's cells, all of them written.
            complete: whether the study is; a run that is not is gone on with next time.
        """
        kept = list(cells)
        self._delete(
            run for run in self._search("cell", self.study_run, "attributes.status = 'RUNNING'")
        )
        for key in self.cell_runs.keys() - {cell.key for cell in kept}:
            self.client.delete_run(self.cell_runs.pop(key))
            del self._stamps[key]
            self._sealed.discard(key)
        files = late_files(self._folder, self.manifest)
        for name, text in files.items():
            self._artifact(self.study_run, name, text)
        self.files = digest_of(files)
        for arm, run in self.arm_runs.items():
            own = [cell for cell in kept if cell.arm == arm]
            self._sum_up(run, own, complete)
            self.client.set_terminated(run, arm_status(own, complete))
        self.client.set_terminated(self.study_run, "FINISHED" if complete else "KILLED")

    def artifact_uri(self) -> str:
        """Where the artifacts of the study's run are."""
        return str(self.client.get_run(self.study_run).info.artifact_uri)

    def _experiment(self, folder: Path) -> str:
        name = f"triptych/{self.manifest.facts.study}"
        found = self.client.get_experiment_by_name(name)
        if found is not None:
            if found.lifecycle_stage != "active":
                raise RuntimeError(
                    f"the experiment {name} was deleted in MLflow; restore it there "
                    f"(mlflow experiments restore -x {found.experiment_id})"
                )
            return str(found.experiment_id)
        local = self.manifest.tracking_uri == local_store(folder)
        artifacts = (folder / "mlartifacts").resolve().as_uri() if local else None
        return str(self.client.create_experiment(name, artifact_location=artifacts))

    def _study_run(self) -> str:
        plan = self.manifest.digest
        found = self.client.search_runs(
            [self.experiment],
            f"tags.`triptych.kind` = 'study' and tags.`triptych.plan` = '{plan}'",
            order_by=["attributes.start_time ASC"],
        )
        if not found:
            facts = self.manifest.facts
            tags = {"triptych.kind": "study", "triptych.plan": plan, NOTE: facts.question}
            return self._create(facts.study, tags)
        kept = found[0]
        if len(found) > 1:  # one was made twice: its answer was late; keep the one in use
            kept = next((run for run in found if self._search("arm", run.info.run_id)), kept)
            self._delete(run for run in found if run is not kept)
        run = str(kept.info.run_id)
        self.client.update_run(run, status="RUNNING")
        self._find_runs(run)
        return run

    def _study_files(self, folder: Path) -> None:
        """What a report from MLflow alone needs, and the study as it was read."""
        labels = {"labels": encode_floats(self.manifest.test_labels)}
        self._artifact(self.study_run, "facts.json", facts_to_json(self.manifest.facts))
        self._artifact(self.study_run, "test_labels.json", json.dumps(labels))
        if (folder / STUDY).exists():
            self.client.log_artifact(self.study_run, str(folder / STUDY))

    def _find_runs(self, study_run: str) -> None:
        """The arms' and cells' runs; half-written and doubled ones are deleted."""
        left_over: list[Run] = []
        for run in self._search("arm", study_run):
            arm = run.data.tags["triptych.arm"]
            if self.arm_runs.setdefault(arm, run.info.run_id) != run.info.run_id:
                left_over.append(run)
        for run in self._search("cell", study_run):
            tags = run.data.tags
            key, arm_run = tags["triptych.key"], self.arm_runs.get(tags["triptych.arm"])
            if run.info.status == "RUNNING" or key in self.cell_runs or arm_run is None:
                left_over.append(run)
                continue
            self.cell_runs[key] = str(run.info.run_id)
            self._stamps[key] = stamp_of_tags(tags)
            if tags.get(SEALED) == "1":
                self._sealed.add(key)
            if tags.get(PARENT) != arm_run:  # of two runs of that arm, another one is kept
                self.client.set_tag(run.info.run_id, PARENT, arm_run)
        self._delete(left_over)

    def _search(self, kind: str, study_run: str, condition: str = "") -> "list[Run]":
        """Every run of that kind, read to the end: deleting one would move the next pages."""
        query = f"tags.`triptych.kind` = '{kind}' and tags.`triptych.study_run` = "
        query += f"'{study_run}'"
        found: list[Run] = []
        token: str | None = None
        while token != "":
            page = self.client.search_runs(
                [self.experiment],
                f"{query} and {condition}" if condition else query,
                max_results=PAGE,
                page_token=token,
            )
            found += page
            token = page.token or ""
        return found

    def _prepare(self, cell: CellRecord) -> None:
        """What must not be done by several threads at once."""
        run = self.cell_runs.pop(cell.key, None)
        if run is not None:
            self.client.delete_run(run)  # it failed, and was trained again
            del self._stamps[cell.key]
            self._sealed.discard(cell.key)
        if cell.arm not in self.arm_runs:
            tags = {
                "triptych.kind": "arm",
                "triptych.study_run": self.study_run,
                "triptych.arm": cell.arm,
                PARENT: self.study_run,
            }
            self.arm_runs[cell.arm] = self._create(cell.arm, tags, _began(cell, _now()))

    def _write_cell(self, cell: CellRecord) -> None:
        sealed = self.sealed
        tags = {
            "triptych.kind": "cell",
            "triptych.study_run": self.study_run,
            PARENT: self.arm_runs[cell.arm],
            **cell_tags(cell, self.manifest.facts.primary, sealed),
        }
        ended = _now()
        run = self._create(cell_name(cell), tags, _began(cell, ended))
        metrics = cell_metrics(cell, self.manifest.facts.primary, sealed)
        if not self._log(run, cell, metrics, "" if sealed else cell.predictions, params=True):
            return
        self.client.set_terminated(run, STATUS[cell.status], ended)
        self.cell_runs[cell.key] = run
        self._stamps[cell.key] = stamp(cell)
        if SEALED in tags:
            self._sealed.add(cell.key)

    def _open_cell(self, cell: CellRecord) -> None:
        """Add what was kept back; doing it twice changes nothing."""
        run = self.cell_runs[cell.key]
        if self._log(run, cell, kept_back(cell), cell.predictions, params=False):
            self.client.set_tag(run, SEALED, "0")
            self._sealed.discard(cell.key)

    def _log(
        self,
        run: str,
        cell: CellRecord,
        metrics: Iterable[tuple[str, float, int]],
        predictions: str,
        *,
        params: bool,
    ) -> bool:
        """Send numbers of a cell; False where the server would refuse them for ever."""
        from mlflow.entities import Metric, Param
        from mlflow.exceptions import MlflowException

        now = _now()
        config = cell.config.items() if params else ()
        try:
            self.client.log_batch(
                run,
                metrics=[Metric(name, value, now, step) for name, value, step in metrics],
                params=[Param(name, str(value)) for name, value in config],
            )
            if predictions:
                text = json.dumps({"predictions": predictions})
                self._artifact(run, "predictions.json", text)
        except MlflowException as error:
            if error.error_code != "INVALID_PARAMETER_VALUE":
                raise
            self.refused[cell.key] = str(error).partition("\n")[0]
            self.client.delete_run(run)
            return False
        return True

    def _sum_up(self, run: str, cells: list[CellRecord], complete: bool) -> None:
        """An arm's run has what its confirm cells came to, to be compared in the list of runs."""
        from mlflow.entities import Metric, RunTag

        now = _now()
        means = arm_means(cells) if complete else {}
        metrics = [Metric(name, value, now, 0) for name, value in means.items()]
        tags = [RunTag(name, value) for name, value in best_params(cells).items()]
        if metrics or tags:
            self.client.log_batch(run, metrics=metrics, tags=tags)

    def _delete(self, runs: "Iterable[Run]") -> None:
        for run in runs:
            self.client.delete_run(run.info.run_id)

    def _create(self, name: str, tags: dict[str, str], began: int | None = None) -> str:
        made = self.client.create_run(self.experiment, began, {NAME: name, **tags})
        return str(made.info.run_id)

    def _artifact(self, run: str, name: str, text: str) -> None:
        with TemporaryDirectory(prefix="triptych-") as folder:
            path = Path(folder) / name
            path.write_text(text, encoding="utf-8")
            self.client.log_artifact(run, str(path))


def _now() -> int:
    return int(time.time() * 1000)


def _began(cell: CellRecord, ended: int) -> int:
    """When a cell began, so that MLflow shows how long it took. Milliseconds since 1970."""
    return ended - round(1000 * cell.metrics.get("seconds", 0.0))
