"""Every shipped study runs, small; and so do the real feature files, in two or three modalities."""

from collections.abc import Callable
from pathlib import Path

import pytest

from msa_core.data.dataset import Dataset
from msa_core.data.load import load_dataset
from msa_core.metrics import SCHEMES
from reports.write import write_report
from search.folder import ledger_results, write_manifest
from search.ledger import Ledger
from search.run import manifest_of
from search.schedule import Schedule
from search.trainable import Worker, train_cells
from spaces.plan import Plan, Versions, plan_study
from spaces.study import SHIPPED, find_study, load_study

SMALL = (
    "budget.candidates=2", "budget.tune_seeds=1", "budget.confirm_seeds=2",
    "train.epochs=3", "model.projection.width=4",
)  # fmt: skip


def run_here(plan: Plan, dataset: Dataset, folder: Path) -> None:
    """The whole way of a study in this process: what Ray does, without Ray."""
    with Ledger(folder) as ledger:
        write_manifest(folder, manifest_of(plan, dataset, tracking_uri=""))
        schedule = Schedule(plan, [], higher_is_better=False)
        while pack := schedule.next_pack():
            records = train_cells(pack, Worker.of(dataset))
            assert [record.reason for record in records] == [""] * len(records)
            ledger.append(records)
            schedule.receive(records)
        assert schedule.finished
    results = ledger_results(folder)
    assert len(results.cells) == plan.cells()
    report = write_report(results, SCHEMES[results.facts.scheme], folder / "report")
    assert report.html.stat().st_size > 1000


def plan_on(name: str, dataset: Dataset) -> Plan:
    versions = Versions(data=dataset.fingerprint, code="")
    return plan_study(load_study(find_study(name), SMALL), versions, dataset.modalities)


# Of dozens of arms, with every module.
LARGE = {"papers", "fusion-pairs"}
STUDIES = [
    pytest.param(name, marks=pytest.mark.slow) if name in LARGE else name
    for name in sorted(path.stem for path in SHIPPED.glob("*.yaml"))
]


@pytest.mark.parametrize("name", STUDIES)
def test_shipped_study_runs(name: str, small_data: Dataset, tmp_path: Path) -> None:
    run_here(plan_on(name, small_data), small_data, tmp_path)


@pytest.mark.parametrize(
    ("file", "arms"),
    [
        ("mosi_utterance.pkl", ["full", "without text", "without audio", "without vision"]),
        ("mmmo_sequence_av.pkl", ["full", "without audio", "without vision"]),
        ("youtube_sequence_tav.pkl", ["full", "without text", "without audio", "without vision"]),
    ],
)
def test_real_features_run_through(
    file: str, arms: list[str], tmp_path: Path, shared_data: Callable[[str], Path]
) -> None:
    dataset = load_dataset(shared_data(file), "mosi")
    plan = plan_on("mosi-modalities", dataset)
    assert [arm.name for arm in plan.arms] == arms
    run_here(plan, dataset, tmp_path)
