from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from reports.results import ResultsError

BREAKS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "lost column": (lambda cells: cells.drop(columns="seed"), r"lack the columns \['seed'\]"),
    "unknown column": (lambda cells: cells.assign(loss=1.0), "loss"),
    "repeated key": (lambda cells: cells.assign(key="same"), "cell same .* more than once"),
    "unknown arm": (lambda cells: cells.assign(arm="no such"), "arm 'no such'"),
    "unknown phase": (lambda cells: cells.assign(phase="test"), "phase 'test'"),
    "unknown status": (lambda cells: cells.assign(status="ok"), "status 'ok'"),
    "test in tuning": (lambda cells: cells.assign(phase="tune"), "tuning cell has a test metric"),
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_broken_contract_is_refused(synthetic: ModuleType, name: str) -> None:
    results = synthetic.make_results(seeds=range(2), utterances=5)
    damage, message = BREAKS[name]
    with pytest.raises(ResultsError, match=message):
        replace(results, cells=damage(results.cells))


def test_predictions_of_another_length_are_refused(synthetic: ModuleType) -> None:
    results = synthetic.make_results(seeds=range(2), utterances=5)
    with pytest.raises(ResultsError, match="cell c-full-0"):
        replace(results, predictions={"c-full-0": np.zeros(4, dtype=np.float32)})
    with pytest.raises(ResultsError, match="do not fit"):
        replace(results, labels=None)
