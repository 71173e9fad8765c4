"""Every shipped study runs, small; and so do the real feature files, in two or three modalities."""

from collections.abc import Callable
from pathlib import Path

import pytest

from msa_core.data.dataset import Dataset
from msa_core.data.load import load_dataset
from search.results.folder import ledger_results
from spaces.plan.arms_on_data import Versions
from spaces.plan.plan import Plan, plan_study
from spaces.study_file.load import find_study, load_study
from tests.cases.studies.in_process import report_of, run_here
from tests.cases.studies.shipped import MSA_TEXTS

SMALL = (
    "budget.candidates=2", "budget.tune_seeds=1", "budget.confirm_seeds=2",
    "train.epochs=3", "model.projection.width=4",
)  # fmt: skip


def run_all(plan: Plan, dataset: Dataset, folder: Path) -> None:
    assert run_here(plan, dataset, folder) == plan.cell_count()
    assert len(ledger_results(folder).cells) == plan.cell_count()
    assert report_of(folder).html.stat().st_size > 1000


def plan_on(name: str, dataset: Dataset) -> Plan:
    versions = Versions(data=dataset.fingerprint, code="")
    return plan_study(load_study(find_study(name), SMALL), versions, dataset.facts)


# Of dozens of arms, with every module.
LARGE = {"papers", "fusion-pairs"}
STUDIES = [
    pytest.param(name, marks=pytest.mark.slow) if name in LARGE else name for name in MSA_TEXTS
]


@pytest.mark.parametrize("name", STUDIES)
def test_shipped_study_runs(name: str, small_data: Dataset, tmp_path: Path) -> None:
    run_all(plan_on(name, small_data), small_data, tmp_path)


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
    run_all(plan, dataset, tmp_path)
