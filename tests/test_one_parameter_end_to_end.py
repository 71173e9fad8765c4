"""One field followed from its declaration to the report: also the newcomer's tour.

`loss.alignment.text_audio.weight` has that one name at every stop.
"""

import csv
from pathlib import Path

import pytest
import torch
from rich.console import Console

from msa_core.config.schema import Config
from msa_core.core import CORE
from msa_core.data.batching import Scaler, prepare_batch
from msa_core.data.dataset import Dataset
from msa_core.metrics import SCHEMES
from msa_core.model import build_model, fresh_parameters
from msa_core.objective import loss_terms, total_loss
from msa_core.tensors.random_streams import Streams
from msa_core.vectorised.pack_key import free_numbers
from reports.mlflow_source import read_mlflow
from reports.write import write_report
from search.engine.options import RunOptions
from search.engine.run_study import run_study
from search.ledger.ledger import read_ledger
from search.results.folder import ledger_results, read_manifest
from search.results.selection import Objective
from search.schedule.proposals import Proposals
from search.screen.progress import Progress
from spaces.fields.paths import fields_of, replace, symbol_of, value_at
from spaces.plan.arms_on_data import Versions
from spaces.plan.plan import plan_study
from spaces.search_space.domains import LogUniform
from spaces.study_file.load import load_study

FIELD = "loss.alignment.text_audio.weight"

STUDY = f"""\
study: tour
base:
  train.epochs: 2
  model.projection.width: 4
search:
  {FIELD}: {{log_uniform: [1, 100]}}
arms:
  - explicit:
      full: {{loss.alignment.text_audio.mode: shared}}
      off: {{loss.alignment.text_audio.mode: off}}
budget: {{candidates: 2, tune_seeds: 1, confirm_seeds: 2}}
"""


def test_one_field_has_one_name_from_its_declaration_to_the_report(
    tmp_path: Path, small_data: Dataset
) -> None:
    # Declared once, with a symbol and bounds.
    info, kind = fields_of(Config)[FIELD]
    assert (info.label, info.minimum, kind) == ("alignment weight", 0.0, float)
    assert symbol_of(Config, FIELD) == r"\lambda_{ta}"

    # Written in a study file, and checked there.
    path = tmp_path / "study.yaml"
    path.write_text(STUDY, encoding="utf-8")
    study = load_study(path)
    assert study.search == {FIELD: LogUniform(1, 100)}

    # Searched in the arm in which it means something, and in no other.
    plan = plan_study(study, Versions(data=small_data.fingerprint, code="code"))
    full, off = plan.arms
    assert set(full.space) == {FIELD}
    assert set(off.space) == set()

    # A distribution of the same name in Optuna.
    proposals = Proposals(CORE, full, Objective(metric="mae"), sampler="tpe", seed=0)
    params = proposals.ask()
    assert params is not None
    (distribution,) = proposals.optuna_study.trials[0].distributions.values()
    assert set(params) == set(proposals.optuna_study.trials[0].distributions) == {FIELD}
    assert (distribution.low, distribution.high, distribution.log) == (1, 100, True)

    # Put into the configuration of a worker, and multiplied once in the loss.
    config = replace(full.config, params)
    assert value_at(config, FIELD) == params[FIELD]
    assert weight_in_the_loss(config, small_data) == pytest.approx(params[FIELD], rel=1e-4)

    # Trained, and kept: in the ledger, in MLflow, in the table of cells, absent where off.
    folder = tmp_path / "results"
    progress = Progress(Console(quiet=True))
    summary = run_study(plan, small_data, folder, RunOptions(workers=1), progress)
    assert (summary.trained, summary.failed, summary.tracking_failure) == (6, 0, None)
    cells = read_ledger(folder).values()
    assert {cell.params[FIELD] for cell in cells if cell.candidate == 0 and cell.params} == {
        params[FIELD]
    }
    assert all((FIELD in cell.config) == (cell.arm == "full") for cell in cells)
    results = read_mlflow(read_manifest(folder).tracking_uri, "tour")
    for source in (results, ledger_results(folder)):
        column = source.cells.set_index("key")[f"param.{FIELD}"]
        for cell in cells:
            if cell.arm == "full":
                assert column[cell.key] == cell.config[FIELD]
            else:
                assert column[cell.key] is None

    # And so in the report's file, where a cell of the arm without it is empty, not 0.
    report = write_report(ledger_results(folder), SCHEMES["mosi"], folder / "report")
    with report.files["cells.csv"].open(newline="", encoding="utf-8") as file:
        written = {row["key"]: row[f"param.{FIELD}"] for row in csv.DictReader(file)}
    assert written == {cell.key: str(cell.config.get(FIELD, "")) for cell in cells}


def weight_in_the_loss(config: Config, data: Dataset) -> float:
    """What the alignment term is multiplied by on its way into the loss."""
    train = data.splits.train
    scaler = Scaler.fit(train, data.modalities, standardise=True)
    batch = prepare_batch(train, scaler, config, torch.device("cpu"))
    widths = {name: array.shape[2] for name, array in train.features.items()}
    model = build_model(config, widths).train()
    for drops in model.stochastic_modules().values():
        drops.rate = 0.0
    parameters = fresh_parameters(model, Streams(0))
    numbers = free_numbers(config)
    output = torch.func.functional_call(model, parameters, (batch, numbers))
    terms = loss_terms(config, output, batch, numbers)
    term = terms["alignment.text_audio"]
    return float((total_loss({"alignment": term}) / term.raw).detach())
