"""The choice of a candidate: direction of the metrics, the margin, the second metric."""

from collections.abc import Mapping

import pytest

from msa_core.core import CORE
from search.ledger.record import CellRecord
from search.results.selection import ArmCells, Objective
from spaces.core import Status
from spaces.plan.plan import Phase

TASK = CORE.tasks["mosi"]
# Candidate -> its validation metrics: the second one is nearly as good as the first, and smaller.
VALUES: Mapping[int, Mapping[str, float]] = {
    0: {"valid.mae": 0.500, "valid.corr": 0.80, "parameters": 900.0},
    1: {"valid.mae": 0.508, "valid.corr": 0.70, "parameters": 100.0},
    2: {"valid.mae": 0.700, "valid.corr": 0.95, "parameters": 10.0},
}


def cells() -> ArmCells:
    return ArmCells(
        "arm",
        [
            CellRecord(
                key=str(candidate), arm="full", arm_key="arm", phase=Phase.TUNE,
                candidate=candidate, seed=7, params={}, config={}, status=Status.COMPLETE,
                reason="", epochs=1, best_epoch=1, metrics=dict(metrics), curve={},
            )
            for candidate, metrics in VALUES.items()
        ],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("metric", "second", "margins", "best"),
    [
        ("mae", "", {}, 0),
        ("corr", "", {}, 2),
        ("mae", "parameters", {}, 0),
        ("mae", "parameters", {"mae": 0.01}, 1),
        ("mae", "parameters", {"mae": 0.5}, 2),
        ("mae", "parameters", {"corr": 0.5}, 0),
        ("corr", "mae", {"corr": 0.2}, 0),
        ("corr", "mae", {"corr": 0.1}, 2),
        ("mae", "corr", {"mae": 0.3}, 2),
    ],
)
def test_the_second_metric_decides_within_the_margin_of_the_first(
    metric: str, second: str, margins: Mapping[str, float], best: int
) -> None:
    objective = Objective.from_metrics(TASK, metric, second, margins)
    assert objective.higher_is_better == (metric == "corr")
    assert objective.best_candidate(cells(), len(VALUES), [7]) == best


def test_a_candidate_that_lacks_a_seed_is_not_chosen() -> None:
    objective = Objective.from_metrics(TASK, "mae", "", {})
    assert objective.best_candidate(cells(), len(VALUES), [7, 8]) is None
