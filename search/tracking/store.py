"""Opening a tracking store: a server, or a file that is made whole or not at all."""

import logging
import os
import secrets
from pathlib import Path
from typing import Any

SQLITE = "sqlite:///"
MLFLOW_ENVIRONMENT = {
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}
# MLflow would send a request again whose answer was lost, and so make a second run of a cell.
NO_RETRIES = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}


def local_store(folder: Path) -> str:
    """The default tracking URI: a SQLite file in the results folder."""
    return f"{SQLITE}{(folder / 'mlflow.db').resolve()}"


def open_client(uri: str) -> Any:
    """An `MlflowClient` that tries everything once and says nothing; retrying is our business."""
    for name, value in MLFLOW_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    os.environ.update(NO_RETRIES)
    from mlflow import MlflowClient  # 3 seconds, so only where it is needed

    for name in ("mlflow", "alembic", "urllib3"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    if uri.startswith(SQLITE):
        path = Path(uri.removeprefix(SQLITE))
        if not path.exists():
            _make_store(path)
    return MlflowClient(tracking_uri=uri)


def _make_store(path: Path) -> None:
    """A new SQLite store, under its name once it has all of its tables.

    MLflow makes dozens of tables, one after another, and never opens a file again in which it was
    stopped midway.
    """
    from mlflow import MlflowClient

    # A name of its own each time: MLflow knows the files that a process has opened by their names.
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        MlflowClient(tracking_uri=f"{SQLITE}{part}").search_experiments(max_results=1)
        _put_in_place(part, path)
    finally:
        part.unlink(missing_ok=True)


def _put_in_place(part: Path, path: Path) -> None:
    """Never over a store that another process was quicker to make: that is as good."""
    try:
        os.link(part, path)
    except FileExistsError:
        return
    except OSError:  # a file system without hard links
        part.replace(path)
