"""Results from an MLflow tracking server. The only file of this package that imports mlflow.

Runs are read from the experiment `triptych/<study>`: the run with `triptych.kind=study`, and its
cells, which have its id in their tag `triptych.study_run`. The arms' runs only group cells and are
not needed.
"""

import json
import os
import re
import socket
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies, url2pathname

from reports.encoding import (
    cells_from_rows,
    code_notes,
    curve_from_tags,
    decode_floats,
    decode_labels,
    facts_from_json,
    information_from_plain,
    parse_param,
    tags_from_plain,
)
from reports.results import METRIC, PARAM, CellPhase, CellStatus, Results, ResultsError

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

PAGE = 1000  # runs per request
CURVE = "epoch/"  # prefix of metrics with one value per epoch; reports read curves from tags
TEST = "test."  # prefix of metrics that are under embargo until the study is finished
CONNECT_SECONDS = 5.0
FINISHED_STATES = ("FINISHED", "FAILED", "KILLED")  # a run that still trains has no result yet


def read_mlflow(tracking_uri: str, study: str, *, plan: str | None = None) -> Results:
    """Read the results of one study from a tracking server; the same numbers as the ledger's.

    A study that is not finished there is under embargo.

    Args:
        tracking_uri: Address of the server or database, e.g. `http://localhost:5000` or
            `sqlite:///mlflow.db`.
        study: Name of the study.
        plan: Digest of one plan of the study; None takes the newest finished one.

    Raises:
        ResultsError: The server, study or artifact is missing; the message names it and what to
            try.
    """
    _check_reachable(tracking_uri)
    # A progress bar per artifact would fill the terminal.
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    try:
        client = MlflowClient(tracking_uri=tracking_uri)
        return _read_study_run(client, tracking_uri, study, plan)
    except MlflowException as error:
        reason = str(error).splitlines()[0]
        raise ResultsError(
            f"{tracking_uri}: cannot read study '{study}': {reason}; {_suggest_fix(reason)}"
        ) from error


def _suggest_fix(reason: str) -> str:
    if re.search(r"\b40[13]\b|authentication|password", reason):
        # Passwords are removed from the tracking URI before it is written to the results folder.
        return (
            "passwords are not kept with the results: set MLFLOW_TRACKING_USERNAME and "
            "MLFLOW_TRACKING_PASSWORD, or give --tracking-uri"
        )
    return "check the tracking URI"


def _read_study_run(
    client: "MlflowClient", tracking_uri: str, study: str, plan: str | None
) -> Results:
    experiment = client.get_experiment_by_name(f"triptych/{study}")
    if experiment is None:
        known = sorted(
            found.name.removeprefix("triptych/")
            for found in client.search_experiments(max_results=PAGE)
            if found.name.startswith("triptych/")
        )
        have = f"studies there: {', '.join(known)}" if known else "no study is there"
        raise ResultsError(f"{tracking_uri}: no study '{study}'; {have}")
    study_run = _newest_study_run(client, experiment.experiment_id, plan)
    if study_run is None:
        raise ResultsError(
            f"{tracking_uri}: study '{study}' has an experiment but no run of "
            f"{f'the plan {plan}' if plan else 'a plan'}; `triptych run` writes it"
        )
    study_id = study_run.info.run_id
    facts = facts_from_json(_read_artifact(client, study_id, "facts.json"))
    runs = [
        run
        for run in _search_runs(
            client,
            experiment.experiment_id,
            f"tags.`triptych.kind` = 'cell' and tags.`triptych.study_run` = '{study_id}'",
        )
        if run.info.status in FINISHED_STATES
    ]
    # Whatever the server holds, an unfinished study shows no test metric, as from the ledger.
    embargoed = study_run.info.status != "FINISHED"
    rows = [_cell_row(run, embargoed) for run in runs]
    confirmed = [
        run
        for run, row in zip(runs, rows, strict=True)
        if row["phase"] == CellPhase.CONFIRM
        and row["status"] == CellStatus.COMPLETE
        and not embargoed
    ]
    labels = None
    if confirmed:
        labels = decode_labels(
            json.loads(_read_artifact(client, study_id, "test_labels.json"))["labels"]
        )
    predictions = {
        run.data.tags["triptych.key"]: decode_floats(found["predictions"])
        for run in confirmed
        if (found := json.loads(_read_artifact(client, run.info.run_id, "predictions.json", "{}")))
    }
    notes = code_notes(
        (run.data.tags.get("triptych.arm", ""), run.data.tags.get("triptych.code", ""))
        for run in runs
    )
    return Results(
        facts=replace(facts, notes=(*facts.notes, *notes)),
        cells=cells_from_rows(rows),
        predictions=predictions,
        labels=labels,
        reasons=_tag_by_key(runs, "triptych.reason"),
        kinds=_tag_by_key(runs, "triptych.failure"),
        logs=_tag_by_key(runs, "triptych.log"),
        curves={
            run.data.tags["triptych.key"]: curve
            for run in runs
            if len(curve := curve_from_tags(run.data.tags))
        },
        tags=tags_from_plain(json.loads(_read_artifact(client, study_id, "tags.json", "{}"))),
        information=information_from_plain(
            json.loads(_read_artifact(client, study_id, "modalities.json", "[]"))
        ),
        embargoed=embargoed,
        planned_confirm=len(facts.arms) * len(facts.confirm_seeds),
        unblindings=tuple(json.loads(_read_artifact(client, study_id, "openings.json", "[]"))),
    )


def _newest_study_run(client: "MlflowClient", experiment_id: str, plan: str | None) -> "Run | None":
    """Return the newest finished study run, or else the newest; None without one."""
    query = "tags.`triptych.kind` = 'study'"
    if plan is not None:
        query += f" and tags.`triptych.plan` = '{plan}'"
    runs = _search_runs(client, experiment_id, query)
    runs.sort(key=lambda run: (run.info.status == "FINISHED", run.info.start_time, run.info.run_id))
    return runs[-1] if runs else None


def _search_runs(client: "MlflowClient", experiment_id: str, query: str) -> "list[Run]":
    runs: list[Run] = []
    token = None
    while True:
        page = client.search_runs([experiment_id], query, max_results=PAGE, page_token=token)
        runs += page
        token = page.token
        if not token:
            return runs


def _cell_row(run: "Run", embargoed: bool) -> dict[str, Any]:
    tags = run.data.tags
    try:
        row: dict[str, Any] = {
            "key": tags["triptych.key"],
            "arm": tags["triptych.arm"],
            "phase": tags["triptych.phase"],
            "candidate": int(tags["triptych.candidate"]),
            "seed": int(tags["triptych.seed"]),
            "status": tags["triptych.status"],
            "epochs": int(tags["triptych.epochs"]),
        }
    except (KeyError, ValueError) as error:
        raise ResultsError(
            f"MLflow run {run.info.run_id}: a cell's tag is missing or not a number: {error}"
        ) from error
    row |= {
        f"{METRIC}{name}": value
        for name, value in run.data.metrics.items()
        if not name.startswith(CURVE) and not (embargoed and name.startswith(TEST))
    }
    row |= {f"{PARAM}{name}": parse_param(text) for name, text in run.data.params.items()}
    return row


def _tag_by_key(runs: "list[Run]", tag: str) -> dict[str, str]:
    """Return the value of a tag by the key of the cell, for cells that have the tag."""
    return {
        run.data.tags["triptych.key"]: run.data.tags[tag] for run in runs if tag in run.data.tags
    }


def _read_artifact(
    client: "MlflowClient", run_id: str, name: str, otherwise: str | None = None
) -> str:
    """Read an artifact, which must be there unless there is a text to take otherwise."""
    if name in {item.path for item in client.list_artifacts(run_id)}:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(client.download_artifacts(run_id, name, folder))
            return path.read_text(encoding="utf-8")
    if otherwise is None:
        raise ResultsError(f"MLflow run {run_id}: the artifact {name} is missing")
    return otherwise


def _check_reachable(tracking_uri: str) -> None:
    """Fail in seconds where MLflow would retry for minutes, or make a new, empty database."""
    parts = urlsplit(tracking_uri)
    # Behind a proxy a direct connection proves nothing, so MLflow is left to try.
    if parts.scheme in ("http", "https") and parts.hostname and not getproxies():
        port = parts.port or (443 if parts.scheme == "https" else 80)
        try:
            socket.create_connection((parts.hostname, port), timeout=CONNECT_SECONDS).close()
        except OSError as error:
            raise ResultsError(
                f"{tracking_uri}: no tracking server answers ({error}); is it running?"
            ) from error
    path = None
    # MLflow makes a missing database or folder anew, and would then find no study in it.
    if parts.scheme == "sqlite":
        path = Path(tracking_uri.removeprefix("sqlite:///"))
    elif parts.scheme in ("", "file"):
        path = Path(url2pathname(parts.path))
    if path is not None and not path.exists():
        raise ResultsError(f"{tracking_uri}: {path} does not exist; check the tracking URI")
