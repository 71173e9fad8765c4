"""The writer of cells to MLflow, each once. Only this room and the reports' reader import mlflow.

Layout: experiment `triptych/<study>`; in it one run per plan, below it one per arm, below that one
per cell, found again by its key. `reports.mlflow_source` reads it.

A cell's run is open (`RUNNING`) until all of it is there. So whatever happened before, a run that
is closed is whole, and one that is open is half-written, by a writer that died or lost an answer.

As long as the study is unfinished, its cells' test metrics are not sent, and their runs have the
tag `triptych.sealed`. At the end the metrics are added to the same runs, and the tag is changed
last: a run that was unblinded only in part is unblinded again, with the same numbers.
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reports.encoding import encode_labels, facts_to_json
from search.ledger.record import CellRecord
from search.results.folder import Manifest
from search.results.layout import STUDY
from search.tracking.run_contents import (
    SEALED,
    STATUS,
    arm_means,
    arm_status,
    best_params,
    cell_metrics,
    cell_name,
    cell_tags,
    late_files,
    stamp_from_tags,
    training_stamp,
    withheld_metrics,
)
from search.tracking.store import local_store, open_client

if TYPE_CHECKING:
    from mlflow.entities import Run

PAGE = 500  # runs in one answer
AT_ONCE = 4  # cells in flight to a server, which may be far away; a database file has one writer
PARENT = "mlflow.parentRunId"
NAME = "mlflow.runName"
NOTE = "mlflow.note.content"


class WriteFailed(Exception):
    """Failure of some cells; all others that were begun are written.

    Attributes:
        keys: Keys of the cells that could not be written.
    """

    def __init__(self, keys: Iterable[str], cause: Exception) -> None:
        super().__init__(str(cause))
        self.keys = tuple(keys)
        self.cause = cause


@dataclass(slots=True)
class CellRun:
    """A cell's run on the server, with all that it is to have but what is under embargo.

    Attributes:
        run: MLflow's id of the run.
        stamp: Training stamp, see `run_contents.training_stamp`.
        embargoed: Whether its test metrics are not there yet.
    """

    run: str
    stamp: dict[str, str]
    embargoed: bool


class Tracker:
    """The writer of the cells that a tracking server does not have yet.

    After an exception its picture of the server may be wrong: make a new one.

    Attributes:
        embargoed: Whether test metrics are withheld; a run that is unblinded already stays so.
        files: Files of the study that came late, as name -> text, once its runs are closed.
        refused: Key of a cell -> reason why the server will never take it.
    """

    def __init__(self, manifest: Manifest, folder: Path, client: Any = None) -> None:
        """Find or make the study's run, and find what is below it.

        Args:
            manifest: Manifest with the plan.
            folder: Results folder; artifacts of the local store go there.
            client: An `MlflowClient`; None = one is made.
        """
        self.manifest = manifest
        self.client = open_client(manifest.tracking_uri) if client is None else client
        self.embargoed = True
        self.files: dict[str, str] = {}
        self._folder = folder
        self.refused: dict[str, str] = {}
        self._arm_runs: dict[str, str] = {}  # arm -> id of its run
        self._cell_runs: dict[str, CellRun] = {}  # by the keys of the cells
        self.experiment = self._find_experiment(folder)
        self.study_run = self._find_study_run()
        self._write_study_files(folder)

    def needs_writing(self, cell: CellRecord) -> bool:
        """Check whether a cell must be written: new, trained again since, or to be unblinded."""
        if cell.key in self.refused:
            return False
        if self._lacks_run(cell):
            return True
        return self._cell_runs[cell.key].embargoed and not self.embargoed

    def _lacks_run(self, cell: CellRecord) -> bool:
        """Check whether the server has no run of this training of a cell."""
        there = self._cell_runs.get(cell.key)
        return there is None or there.stamp != training_stamp(cell)

    def write_cells(
        self, cells: Iterable[CellRecord], keep_going: Callable[[int], bool] = lambda _: True
    ) -> None:
        """Write the cells that are not there.

        Args:
            cells: Records with curves and predictions, taken one after another.
            keep_going: Decision whether to take another cell, given how many more are written.

        Raises:
            WriteFailed: some cells failed; the others in flight are written.
        """
        failed: dict[str, Exception] = {}
        in_flight: dict[Future[None], CellRecord] = {}
        at_once = AT_ONCE if self.manifest.tracking_uri.startswith("http") else 1
        taken = cells if keep_going(0) else ()
        # A generator: whole cells with curves and predictions would not all fit in memory.
        missing: Iterator[CellRecord] = (cell for cell in taken if self.needs_writing(cell))
        with ThreadPoolExecutor(at_once) as pool:
            while True:
                while len(in_flight) < at_once and (cell := next(missing, None)) is not None:
                    work = self._write_cell if self._lacks_run(cell) else self._unblind_cell
                    # Here and not in the threads: two cells of an arm would both make its run.
                    if work == self._write_cell:
                        self._prepare_cell(cell)
                    in_flight[pool.submit(work, cell)] = cell
                if not in_flight:
                    break
                for done in wait(in_flight, return_when=FIRST_COMPLETED).done:
                    cell = in_flight.pop(done)
                    error = done.exception()
                    if isinstance(error, Exception):
                        failed[cell.key] = error
                    if failed or not keep_going(error is None):
                        missing = iter([])
        if failed:
            raise WriteFailed(failed, next(iter(failed.values())))

    def close_runs(self, cells: Iterable[CellRecord], complete: bool) -> None:
        """Delete what the plan no longer holds, summarise the arms, and close all runs.

        Args:
            cells: The plan's cells, all of them written.
            complete: Whether the study is complete; the next writer resumes a run that is not.
        """
        kept = list(cells)
        # Half-written runs once more: a request that seemed lost may have arrived meanwhile.
        half_written = "attributes.status = 'RUNNING'"
        self._delete_runs(self._search_runs("cell", self.study_run, half_written))
        for key in self._cell_runs.keys() - {cell.key for cell in kept}:
            self.client.delete_run(self._cell_runs.pop(key).run)
        self.files = late_files(self._folder, self.manifest)
        for name, text in self.files.items():
            self.client.log_text(self.study_run, text, name)
        for arm, run in self._arm_runs.items():
            own = [cell for cell in kept if cell.arm == arm]
            self._summarise_arm(run, own, complete)
            self.client.set_terminated(run, arm_status(own, complete))
        self.client.set_terminated(self.study_run, "FINISHED" if complete else "KILLED")

    def artifact_uri(self) -> str:
        """Return the address of the artifacts of the study's run."""
        return str(self.client.get_run(self.study_run).info.artifact_uri)

    def _find_experiment(self, folder: Path) -> str:
        name = f"triptych/{self.manifest.facts.study}"
        found = self.client.get_experiment_by_name(name)
        if found is not None:
            if found.lifecycle_stage != "active":
                raise RuntimeError(
                    f"the experiment {name} was deleted in MLflow; restore it there "
                    f"(mlflow experiments restore -x {found.experiment_id})"
                )
            return str(found.experiment_id)
        # MLflow would put the artifacts of a local store below the current folder.
        local = self.manifest.tracking_uri == local_store(folder)
        artifacts = (folder / "mlartifacts").resolve().as_uri() if local else None
        return str(self.client.create_experiment(name, artifact_location=artifacts))

    def _find_study_run(self) -> str:
        plan = self.manifest.digest
        found = self.client.search_runs(
            [self.experiment],
            f"tags.`triptych.kind` = 'study' and tags.`triptych.plan` = '{plan}'",
            order_by=["attributes.start_time ASC"],
        )
        if not found:
            facts = self.manifest.facts
            tags = {"triptych.kind": "study", "triptych.plan": plan, NOTE: facts.question}
            return self._create_run(facts.study, tags)
        kept = found[0]
        if len(found) > 1:  # one was made twice: its answer was late; keep the one in use
            kept = next((run for run in found if self._search_runs("arm", run.info.run_id)), kept)
            self._delete_runs(run for run in found if run is not kept)
        run = str(kept.info.run_id)
        self.client.update_run(run, status="RUNNING")
        self._find_runs(run)
        return run

    def _write_study_files(self, folder: Path) -> None:
        """Write what a report from MLflow alone needs, and the study as it was read."""
        labels = {"labels": encode_labels(self.manifest.test_labels)}
        self.client.log_text(self.study_run, facts_to_json(self.manifest.facts), "facts.json")
        self.client.log_text(self.study_run, json.dumps(labels), "test_labels.json")
        if (folder / STUDY).exists():
            self.client.log_artifact(self.study_run, str(folder / STUDY))

    def _find_runs(self, study_run: str) -> None:
        """Find the arms' and cells' runs, and delete half-written and doubled ones."""
        left_over: list[Run] = []
        for run in self._search_runs("arm", study_run):
            arm = run.data.tags["triptych.arm"]
            if self._arm_runs.setdefault(arm, run.info.run_id) != run.info.run_id:
                left_over.append(run)
        for run in self._search_runs("cell", study_run):
            tags = run.data.tags
            key, arm_run = tags["triptych.key"], self._arm_runs.get(tags["triptych.arm"])
            if run.info.status == "RUNNING" or key in self._cell_runs or arm_run is None:
                left_over.append(run)
                continue
            self._cell_runs[key] = CellRun(
                str(run.info.run_id), stamp_from_tags(tags), tags.get(SEALED) == "1"
            )
            if tags.get(PARENT) != arm_run:  # of two runs of that arm, another one is kept
                self.client.set_tag(run.info.run_id, PARENT, arm_run)
        self._delete_runs(left_over)

    def _search_runs(self, kind: str, study_run: str, condition: str = "") -> "list[Run]":
        """Return every run of a kind below the study's run."""
        # All pages before anything is deleted: a deletion would move the next pages.
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

    def _prepare_cell(self, cell: CellRecord) -> None:
        """Delete the run of a cell's earlier training, and make the arm's run if there is none."""
        earlier = self._cell_runs.pop(cell.key, None)
        if earlier is not None:
            self.client.delete_run(earlier.run)  # the cell failed, and was trained again
        if cell.arm not in self._arm_runs:
            tags = {
                "triptych.kind": "arm",
                "triptych.study_run": self.study_run,
                "triptych.arm": cell.arm,
                PARENT: self.study_run,
            }
            began = _start_milliseconds(cell, _now_milliseconds())
            self._arm_runs[cell.arm] = self._create_run(cell.arm, tags, began)

    def _write_cell(self, cell: CellRecord) -> None:
        embargoed = self.embargoed
        tags = {
            "triptych.kind": "cell",
            "triptych.study_run": self.study_run,
            PARENT: self._arm_runs[cell.arm],
            **cell_tags(cell, self.manifest.facts.primary, embargoed),
        }
        ended = _now_milliseconds()
        run = self._create_run(cell_name(cell), tags, _start_milliseconds(cell, ended))
        metrics = cell_metrics(cell, self.manifest.facts.primary, embargoed)
        if not self._log_cell(
            run, cell, metrics, "" if embargoed else cell.predictions, params=True
        ):
            return
        # Last of all: a run that is closed counts as whole.
        self.client.set_terminated(run, STATUS[cell.status], ended)
        self._cell_runs[cell.key] = CellRun(run, training_stamp(cell), SEALED in tags)

    def _unblind_cell(self, cell: CellRecord) -> None:
        """Add what was withheld; doing it twice changes nothing."""
        there = self._cell_runs[cell.key]
        if self._log_cell(there.run, cell, withheld_metrics(cell), cell.predictions, params=False):
            self.client.set_tag(there.run, SEALED, "0")
            there.embargoed = False

    def _log_cell(
        self,
        run: str,
        cell: CellRecord,
        metrics: Iterable[tuple[str, float, int]],
        predictions: str,
        *,
        params: bool,
    ) -> bool:
        """Log numbers of a cell; False where the server would refuse them each time."""
        from mlflow.entities import Metric, Param
        from mlflow.exceptions import MlflowException

        now = _now_milliseconds()
        config = cell.config.items() if params else ()
        try:
            self.client.log_batch(
                run,
                metrics=[Metric(name, value, now, step) for name, value, step in metrics],
                params=[Param(name, str(value)) for name, value in config],
            )
            if predictions:
                text = json.dumps({"predictions": predictions})
                self.client.log_text(run, text, "predictions.json")
        except MlflowException as error:
            # Any other error may pass: the cell is tried again.
            if error.error_code != "INVALID_PARAMETER_VALUE":
                raise
            self.refused[cell.key] = str(error).partition("\n")[0]
            self.client.delete_run(run)
            return False
        return True

    def _summarise_arm(self, run: str, cells: list[CellRecord], complete: bool) -> None:
        """Log the means of an arm's confirm cells, which MLflow's list of runs compares."""
        from mlflow.entities import Metric, RunTag

        now = _now_milliseconds()
        means = arm_means(cells) if complete else {}
        metrics = [Metric(name, value, now, 0) for name, value in means.items()]
        tags = [RunTag(name, value) for name, value in best_params(cells).items()]
        if metrics or tags:
            self.client.log_batch(run, metrics=metrics, tags=tags)

    def _delete_runs(self, runs: "Iterable[Run]") -> None:
        for run in runs:
            self.client.delete_run(run.info.run_id)

    def _create_run(self, name: str, tags: dict[str, str], began: int | None = None) -> str:
        made = self.client.create_run(self.experiment, began, {NAME: name, **tags})
        return str(made.info.run_id)


def _now_milliseconds() -> int:
    return int(time.time() * 1000)


def _start_milliseconds(cell: CellRecord, ended: int) -> int:
    """Return when a cell began, in milliseconds since 1970; MLflow shows how long it took."""
    return ended - round(1000 * cell.metrics.get("seconds", 0.0))
