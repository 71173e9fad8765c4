from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reports.evidence.tuning.candidates import collect_candidates
from reports.evidence.tuning.pareto import pareto_fronts
from reports.evidence.values import Candidate


def _fronts(
    planted: ModuleType, values: list[tuple[float, float]], *, higher: bool = False, **changes: Any
) -> tuple[Candidate, ...]:
    rows = [
        {
            "arm": "full",
            "candidate": number,
            "metric.valid.mae": first,
            "metric.parameters": second,
        }
        for number, (first, second) in enumerate(values)
    ]
    options = {"second_metric": "parameters", **changes}
    results = planted.results_of({"full": [1.0]}, tuning=rows, **options)
    metrics = planted.GAINS if higher else planted.METRICS
    return pareto_fronts(collect_candidates(results), results.facts, metrics)


def test_the_front_is_what_nothing_beats(planted: ModuleType) -> None:
    values = [(0.5, 10.0), (0.4, 20.0), (0.6, 20.0), (0.45, 15.0), (0.45, 16.0)]
    found = _fronts(planted, values)
    assert [point.number for point in found] == [1, 3, 0]
    assert [point.confirmed for point in found] == [False, False, True]
    assert [(point.value, point.second) for point in found] == [values[n] for n in (1, 3, 0)]
    assert [point.number for point in _fronts(planted, values, higher=True)] == [2, 0]


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 1000))
def test_each_point_off_the_front_is_beaten_by_one_on_it(planted: ModuleType, seed: int) -> None:
    drawn = np.random.default_rng(seed).integers(0, 6, (12, 2)).astype(float)
    values = [(float(a), float(b)) for a, b in drawn]
    front = {point.number for point in _fronts(planted, values)}
    for number, own in enumerate(values):
        beaten = any(
            all(b <= a for a, b in zip(own, values[other], strict=True)) and values[other] != own
            for other in front
        )
        assert beaten == (number not in front)


def test_a_candidate_without_all_its_seeds_is_on_no_front(planted: ModuleType) -> None:
    assert _fronts(planted, [(0.5, 1.0)], tune_seeds=(101, 102)) == ()


@pytest.mark.parametrize("second", ["", "f1"])
def test_one_objective_has_no_front(planted: ModuleType, second: str) -> None:
    assert _fronts(planted, [(0.5, 1.0)], second_metric=second) == ()
