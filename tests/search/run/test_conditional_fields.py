"""A field is a parameter only where it is searched: ledger, Optuna, MLflow and report agree."""

import csv
from pathlib import Path

import pytest
from rich.console import Console

from msa_core.data.dataset import Dataset
from msa_core.metrics import SCHEMES
from reports.mlflow_source import read_mlflow
from reports.write import write_report
from search.engine.options import RunOptions
from search.engine.run_study import run_study
from search.ledger.ledger import read_ledger
from search.results.folder import ledger_results, read_manifest
from search.schedule.schedule import Schedule
from search.screen.progress import Progress
from spaces.plan.arms_on_data import Versions
from spaces.plan.plan import Plan, plan_study
from spaces.study_file.load import load_study

RANK, MARGIN = "model.fusion.lmf.rank", "loss.alignment.text_audio.margin"
DROPOUT = "model.fusion.dropout"

STUDY = f"""\
study: conditional
base: {{train.epochs: 2, model.projection.width: 4}}
search:
  model.fusion.kind: {{choice: [concat, lmf]}}
  {RANK}: {{int: [2, 6], step: 2}}
  {MARGIN}: {{uniform: [0.1, 0.5]}}
  {DROPOUT}: {{uniform: [0, 0.6], when: {{model.fusion.kind: concat}}}}
start: {{model.fusion.kind: lmf, {RANK}: 4}}
constraints: {RANK} != 6 or train.batch_size > 32
arms:
  - pairs: {{modes: [off, private], pairs: [text_audio]}}
  - explicit:
      fixed: {{model.fusion.kind: sum}}
sampler: random
budget: {{candidates: 6, tune_seeds: 1, confirm_seeds: 2}}
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, small_data: Dataset) -> tuple[Plan, Path]:
    folder = tmp_path_factory.mktemp("conditional")
    (folder / "study.yaml").write_text(STUDY, encoding="utf-8")
    plan = plan_study(
        load_study(folder / "study.yaml"), Versions(data=small_data.fingerprint, code="code")
    )
    progress = Progress(Console(quiet=True))
    summary = run_study(plan, small_data, folder, RunOptions(workers=1), progress)
    assert (summary.failed, summary.tracking_failure) == (0, None)
    return plan, folder


def searched(kind: str, mode: str) -> set[str]:
    """The parameters of a candidate, by the fusion that it chose and the mode of its arm."""
    fields = {"model.fusion.kind"} if kind != "sum" else set()
    fields |= {RANK} if kind == "lmf" else set()
    fields |= {DROPOUT} if kind == "concat" else set()
    return fields | ({MARGIN} if mode == "private" else set())


def test_the_ledger_has_a_field_only_where_it_is_searched(finished: tuple[Plan, Path]) -> None:
    _, folder = finished
    seen = set()
    for cell in read_ledger(folder).values():
        kind = str(cell.config["model.fusion.kind"])
        mode = str(cell.config["loss.alignment.text_audio.mode"])
        seen.add((kind, mode))
        assert set(cell.params) == searched(kind, mode)
        # What means nothing is in no record; what is only not searched keeps its fixed value.
        assert (RANK in cell.config) == (kind == "lmf")
        assert (MARGIN in cell.config) == (mode == "private")
        assert DROPOUT in cell.config
        assert cell.config.get(RANK) != 6
        if cell.candidate == 0 and kind != "sum":
            assert cell.config[RANK] == 4  # the starting point
    assert len(seen) == 5


def test_optuna_knows_no_other_field(finished: tuple[Plan, Path]) -> None:
    plan, folder = finished
    schedule = Schedule(plan, read_ledger(folder).values())
    for arm in schedule.arms.values():
        for trial in arm.proposals.optuna_study.trials if arm.arm.space else ():
            kind = str(trial.params.get("model.fusion.kind", "sum"))
            mode = "private" if "private" in arm.arm.name else "off"
            if not {"repeats", "violates"} & trial.user_attrs.keys():
                assert set(trial.distributions) == searched(kind, mode)


def test_mlflow_and_report_show_it_absent(finished: tuple[Plan, Path]) -> None:
    _, folder = finished
    cells = read_ledger(folder)
    for results in (ledger_results(folder), read_mlflow(read_manifest(folder).tracking_uri,
                                                        "conditional")):  # fmt: skip
        table = results.cells.set_index("key")
        for key, cell in cells.items():
            if key in table.index:
                for name in (RANK, MARGIN):
                    assert table.loc[key, f"param.{name}"] == cell.config.get(name)
    report = write_report(ledger_results(folder), SCHEMES["mosi"], folder / "report")
    with report.files["cells.csv"].open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            for name in (RANK, MARGIN):
                assert row[f"param.{name}"] == str(cells[row["key"]].config.get(name, ""))
