"""Small studies with made-up cells, whose test metrics are known by their size."""

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from msa_core.config.planted import PlantedConfig
from msa_core.data.dataset import Dataset
from msa_core.metrics import SCHEMES
from reports.encoding import encode_floats
from search.ledger.ledger import Ledger, read_ledger
from search.ledger.record import CellRecord
from search.results.folder import Manifest, measure_completion, write_manifest
from search.results.plan_facts import manifest_of, with_tags
from search.schedule.schedule import Schedule
from search.tracking import Tracker, local_store
from search.tracking.sync_loop import DriverView, LedgerSource, SyncLoop
from spaces.plan.arms_on_data import Versions
from spaces.plan.plan import Phase, Plan, plan_study
from spaces.study_file.load import load_study
from tests.cases.servers.shaky_server import ShakyServer
from tests.cases.studies.made_up import train

STUDY = """\
study: small
question: Does text matter?
data:
  planted: {train: 96, valid: 64, test: 64, steps: 3, width: 6}
base: {train.epochs: 3}
search:
  train.learning_rate: {log_uniform: [1e-3, 1e-1]}
arms:
  - leave_one_out:
      text: {model.text.use: false}
margin: {mae: 0.05}
budget: {candidates: 3, tune_seeds: 2, confirm_seeds: 4}
"""
DATA = PlantedConfig(train=96, valid=64, test=64, steps=3, width=6)
# No other number begins like this, so whoever prints one has looked at the test split.
SECRET = 777.0
SECRETS = re.compile(r"(?<![\d.])77[5-9]\.\d|(?<![\d.])78\d\.\d")


def plan_of(folder: Path, text: str = STUDY, *overrides: str) -> Plan:
    """The plan of a study."""
    path = folder / "study.yaml"
    path.write_text(text, encoding="utf-8")
    return plan_study(load_study(path, overrides), Versions(data="", code=""))


def made_up_cells(plan: Plan, data: Dataset, before: Iterable[CellRecord] = ()) -> list[CellRecord]:
    """What a plan lacks, with test metrics that are known by their size."""
    schedule = Schedule(plan, list(before))
    cells: list[CellRecord] = []
    while pack := schedule.next_pack():
        records = [_tested(record, data) for record in train(pack)]
        schedule.add_results(records)
        cells += records
    return cells


def _tested(record: CellRecord, data: Dataset) -> CellRecord:
    if record.phase != Phase.CONFIRM:
        return record
    tested = {f"test.{name}": SECRET + record.seed / 7 for name in SCHEMES["mosi"]}
    wrong = np.full(len(data.test.labels), SECRET + record.seed / 7)
    return replace(record, predictions=encode_floats(wrong), metrics={**record.metrics, **tested})


def filled(folder: Path, plan: Plan, data: Dataset, cells: Iterable[CellRecord]) -> Manifest:
    """A results folder with some cells."""
    manifest = with_tags(manifest_of(plan, data, local_store(folder)), plan.study.core, data)
    write_manifest(folder, manifest)
    with Ledger(folder) as ledger:
        ledger.append(cells)
    return manifest


def track(folder: Path, manifest: Manifest, server: ShakyServer) -> None:
    """Bring a server up to date, as `sync_study` does with a real one."""
    standing = measure_completion(manifest, read_ledger(folder))
    driver = DriverView(standing.complete)
    source = LedgerSource(folder, manifest)
    SyncLoop(lambda: Tracker(manifest, folder, client=server), source, driver).run()


def unfinished_study(folder: Path, data: Dataset) -> tuple[Path, list[CellRecord]]:
    """A results folder below a folder, that lacks one confirm cell, and all cells."""
    results = folder / "runs" / "small"
    results.mkdir(parents=True)
    plan = plan_of(folder)
    cells = made_up_cells(plan, data)
    filled(results, plan, data, cells[:-1])
    return results, cells
