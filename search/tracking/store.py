"""The tracking store: a server, or a database file that is made whole or not at all."""

import logging
import os
from pathlib import Path
from typing import Any

from search.atomic_files import written_atomically
from spaces.environment import MLFLOW, MLFLOW_ONCE, set_defaults

SQLITE = "sqlite:///"


def local_store(folder: Path) -> str:
    """Return the default tracking URI: a SQLite file in the results folder."""
    return f"{SQLITE}{(folder / 'mlflow.db').resolve()}"


def open_client(uri: str) -> Any:
    """Return an `MlflowClient` that tries everything once and prints nothing."""
    set_defaults(MLFLOW)
    os.environ.update(MLFLOW_ONCE)
    from mlflow import MlflowClient  # 3 seconds, so only where it is needed

    for name in ("mlflow", "alembic", "urllib3"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    if uri.startswith(SQLITE):
        path = Path(uri.removeprefix(SQLITE))
        if not path.exists():
            _make_store(path)
    return MlflowClient(tracking_uri=uri)


def _make_store(path: Path) -> None:
    """Make a new SQLite store, under its name once it has all of its tables."""
    # MLflow makes dozens of tables, one after another, and never again opens a file in which it
    # was stopped midway.
    from mlflow import MlflowClient

    # Where another process was quicker its store is as good, and may have been filled since.
    with written_atomically(path, keep_existing=True) as part:
        MlflowClient(tracking_uri=f"{SQLITE}{part}").search_experiments(max_results=1)
