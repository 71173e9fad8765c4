"""Against a real sqlite store, written as `search/tracking.py` writes it."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest

from reports.encoding import encode_floats, facts_to_json
from reports.evidence.comparison import compare_arms
from reports.mlflow_source import read_mlflow
from reports.results import METRIC, PARAM, Results, ResultsError

# mlflow's own queries use a loader option that SQLAlchemy 2.1 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader:DeprecationWarning")


@pytest.fixture(scope="module")
def results(synthetic: ModuleType) -> Results:
    made = synthetic.make_results(seeds=range(3), utterances=12, notes=("a note",))
    cells = made.cells.copy()
    failed = cells["key"] == "c-same arm-2"
    cells.loc[failed, "status"] = "failed"
    cells.loc[failed, [c for c in cells.columns if c.startswith("metric.test.")]] = np.nan
    cells["param.fusion.kind"] = pd.Series(["gated"] * len(cells), dtype="object")
    cells["param.text.enabled"] = pd.Series([True] * len(cells), dtype="object")
    cells["param.layers"] = pd.Series([2] * len(cells), dtype="object")
    cells.loc[cells["arm"] == "worse arm", "param.layers"] = None
    return Results(
        facts=made.facts,
        cells=cells,
        predictions={k: v for k, v in made.predictions.items() if k != "c-same arm-2"},
        labels=made.labels,
        reasons={"c-same arm-2": "loss became NaN in epoch 1"},
        kinds={"c-same arm-2": "not finite"},
        logs={"c-same arm-2": "epoch 1\nloss nan"},
    )


@pytest.fixture(scope="module")
def store(results: Results, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("mlflow")
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    from mlflow import MlflowClient

    logging.getLogger("alembic").setLevel(logging.ERROR)
    client = MlflowClient(tracking_uri=uri)
    experiment = client.create_experiment(
        "triptych/planted", artifact_location=(folder / "artifacts").as_uri()
    )
    client.create_experiment("triptych/empty")
    _write_study(client, experiment, results)
    # A newer study run that is still running, with one cell: neither may be read.
    running = client.create_run(experiment, tags={"triptych.kind": "study"})
    client.create_run(
        experiment,
        tags={"triptych.kind": "cell", "triptych.study_run": running.info.run_id},
    )
    yield uri


def _write_study(client: Any, experiment: str, results: Results) -> None:
    study = client.create_run(experiment, tags={"triptych.kind": "study"}).info.run_id
    client.log_text(study, facts_to_json(results.facts), "facts.json")
    client.log_text(
        study, json.dumps({"labels": encode_floats(results.labels)}), "test_labels.json"
    )
    arms = {
        arm: client.create_run(
            experiment, tags={"triptych.kind": "arm", "mlflow.parentRunId": study}
        ).info.run_id
        for arm in results.facts.arms
    }
    for row in results.cells.to_dict("records"):
        tags = {
            "triptych.kind": "cell",
            "triptych.study_run": study,
            "mlflow.parentRunId": arms[row["arm"]],
            **{
                f"triptych.{name}": str(row[name])
                for name in ("key", "arm", "phase", "candidate", "seed", "status", "epochs")
            },
        }
        if row["key"] in results.reasons:
            tags["triptych.reason"] = results.reasons[row["key"]]
            tags["triptych.failure"] = results.kinds[row["key"]]
            tags["triptych.log"] = results.logs[row["key"]]
        run = client.create_run(experiment, tags=tags).info.run_id
        for name, value in row.items():
            if value is None or value != value:
                continue
            if name.startswith(METRIC):
                client.log_metric(run, name.removeprefix(METRIC), 99.0, step=0)
                client.log_metric(run, name.removeprefix(METRIC), value, step=1)
            elif name.startswith(PARAM):
                client.log_param(run, name.removeprefix(PARAM), value)
        if row["key"] in results.predictions:
            text = json.dumps({"predictions": encode_floats(results.predictions[row["key"]])})
            client.log_text(run, text, "predictions.json")
        client.set_terminated(run, "FAILED" if row["status"] == "failed" else "FINISHED")
    left_over = client.create_run(
        experiment, tags={"triptych.kind": "cell", "triptych.study_run": study}
    )
    assert left_over.info.status == "RUNNING"
    client.set_terminated(study)


def test_what_was_written_is_read(store: str, results: Results, synthetic: ModuleType) -> None:
    read = read_mlflow(store, "planted")
    assert read.facts == results.facts
    assert read.reasons == results.reasons
    assert read.kinds == results.kinds
    assert read.logs == results.logs
    expected = results.cells.sort_values("key").reset_index(drop=True)
    pd.testing.assert_frame_equal(read.cells[list(expected.columns)], expected)
    assert read.predictions.keys() == results.predictions.keys()
    for key, predicted in results.predictions.items():
        np.testing.assert_array_equal(read.predictions[key], predicted)
    before = compare_arms(results, synthetic.METRICS, seed=0, draws=100)
    assert compare_arms(read, synthetic.METRICS, seed=0, draws=100) == before


def test_many_cells_are_paged(
    store: str, results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reports.mlflow_source.PAGE", 4)
    assert len(read_mlflow(store, "planted").cells) == len(results.cells)


def test_an_unknown_study_is_named_with_the_known_ones(store: str) -> None:
    with pytest.raises(ResultsError, match="no study 'plantd'; studies there: empty, planted"):
        read_mlflow(store, "plantd")


def test_a_study_without_a_run_is_said(store: str) -> None:
    with pytest.raises(ResultsError, match="has an experiment but no run"):
        read_mlflow(store, "empty")


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("http://127.0.0.1:9", "no tracking server answers"),
        ("sqlite:////no/such/folder/mlflow.db", "does not exist"),
        ("no-such-folder", "does not exist"),
        ("what://ever", "what://ever"),
    ],
)
def test_a_wrong_address_fails_at_once_with_one_line(
    uri: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reports.mlflow_source.getproxies", dict)
    with pytest.raises(ResultsError, match=message) as caught:
        read_mlflow(uri, "planted")
    assert "\n" not in str(caught.value)


def test_a_database_is_not_made_by_reading(tmp_path: Path) -> None:
    with pytest.raises(ResultsError):
        read_mlflow(f"sqlite:///{tmp_path / 'absent.db'}", "planted")
    assert list(tmp_path.iterdir()) == []
