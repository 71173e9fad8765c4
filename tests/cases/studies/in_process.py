"""The whole way of a study in this process: what Ray does, without Ray."""

from pathlib import Path

from msa_core.data.dataset import Dataset
from reports.write import Report, write_report
from search.ledger.ledger import Ledger
from search.ledger.record import CellRecord
from search.results.folder import ledger_results, write_manifest
from search.results.plan_facts import manifest_of
from search.results.tasks import task_of
from search.schedule.pack import Pack
from search.schedule.schedule import Schedule
from search.worker.pack_work import PackWork, cells_of
from search.worker.worker import Worker
from spaces.plan.plan import Plan


def train_cells(pack: Pack, worker: Worker) -> list[CellRecord]:
    """Train a whole pack in this process."""
    return cells_of(PackWork(pack, worker).step())


def run_here(plan: Plan, dataset: Dataset, folder: Path, packs: int | None = None) -> int:
    """Train what is missing; returns how many cells that were.

    Args:
        plan: what to train.
        dataset: its data.
        folder: of the results.
        packs: after so many packs it stops, as if it were killed; None = it goes on to the end.
    """
    core = plan.study.core
    trained: list[CellRecord] = []
    with Ledger(folder) as ledger:
        write_manifest(folder, manifest_of(plan, dataset, tracking_uri=""))
        schedule = Schedule(plan, list(ledger.records.values()))
        while (packs is None or packs > 0) and (pack := schedule.next_pack()):
            packs = None if packs is None else packs - 1
            records = train_cells(pack, Worker.for_data(core, dataset, codes=plan.codes))
            assert {record.reason for record in records if record.status == "failed"} == set()
            ledger.append(records)
            schedule.add_results(records)
            trained += records
        assert packs is not None or schedule.is_finished
    return len(trained)


def report_of(folder: Path) -> Report:
    """The written report of a folder."""
    results = ledger_results(folder)
    return write_report(results, task_of(results.facts), folder / "report")
