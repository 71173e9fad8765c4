from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reports.evidence import slices as module
from reports.evidence.comparison import confirmed_cells
from reports.evidence.slices import order_tags, slice_estimates
from reports.evidence.statistics.resampling import PairedCells, two_level_intervals
from reports.evidence.values import SliceEstimate
from reports.results import Results


@pytest.fixture(autouse=True)
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SLICE_DRAWS", 200)


def _small(large: ModuleType, **options: Any) -> Results:
    values = {"arms": 4, "candidates": 1, "seeds": 5, "utterances": 60, "epochs": 2, **options}
    found: Results = large.large_results(**values)
    return found


def _slices(large: ModuleType, results: Results, metric: str = "mae") -> tuple[SliceEstimate, ...]:
    return slice_estimates(results, confirmed_cells(results), large.METRICS[metric], 0)


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 1000), tags=st.integers(1, 5))
def test_the_weighted_mean_of_slices_is_the_error_on_all(
    large: ModuleType, seed: int, tags: int
) -> None:
    results = _small(large, seed=seed)
    drawn = np.random.default_rng(seed).integers(0, tags, 60)
    results = replace(results, tags={"any": tuple(f"t{tag}" for tag in drawn)})
    found = _slices(large, results)
    cells = results.cells[results.cells["phase"] == "confirm"]
    for arm in results.facts.arms:
        own = [s for s in found if s.arm == arm]
        assert sum(s.utterances for s in own) == 60
        weighted = sum(s.utterances * (s.mean or 0.0) for s in own) / 60
        overall = cells[cells["arm"] == arm]["metric.test.mae"].mean()
        assert weighted == pytest.approx(overall, abs=1e-9)
        deltas = [s.utterances * s.delta / 60 for s in own if s.delta is not None]
        baseline = cells[cells["arm"] == results.facts.baseline]["metric.test.mae"].mean()
        assert sum(deltas) == pytest.approx(overall - baseline, abs=1e-9)


def test_a_slice_has_the_two_level_interval_of_its_utterances(large: ModuleType) -> None:
    results = _small(large)
    arm = results.facts.arms[1]
    found = [s for s in _slices(large, results) if s.arm == arm and s.dimension == "length"]
    tags = np.array(results.tags["length"])
    assert {s.tag for s in found} == set(tags)
    keys = {
        a: tuple(f"c{place}-{s}" for s in range(5)) for place, a in enumerate(results.facts.arms)
    }
    metric = large.METRICS["mae"]
    assert results.labels is not None
    for one in found:
        chosen = tags == one.tag
        terms = {
            key: [metric.terms(results.predictions[key][chosen], results.labels[chosen])]
            for own in keys.values()
            for key in own
        }
        contrast = PairedCells(arm_keys=keys[arm], baseline_keys=keys[results.facts.baseline])
        (interval,) = two_level_intervals({0: contrast}, terms, [metric], 0, draws=200)[0]
        assert interval is not None
        assert (one.low, one.high) == (interval.low, interval.high)
        assert one.low is not None and one.high is not None and one.delta is not None
        assert one.low < one.delta < one.high


def test_the_baseline_has_a_mean_and_no_difference(large: ModuleType) -> None:
    results = _small(large)
    own = [s for s in _slices(large, results) if s.arm == results.facts.baseline]
    assert own and all(s.mean is not None for s in own)
    assert {(s.delta, s.low, s.high) for s in own} == {(None, None, None)}


def test_a_slice_in_which_the_metric_is_undefined_has_none(large: ModuleType) -> None:
    results = _small(large)
    tags = ("alone", *("rest" for _ in range(59)))
    found = _slices(large, replace(results, tags={"one": tags}), "corr")
    alone = [s for s in found if s.tag == "alone"]
    assert len(alone) == 4 and {(s.mean, s.delta, s.low) for s in alone} == {(None, None, None)}
    assert all(s.mean is not None for s in found if s.tag == "rest")


def test_without_tags_or_predictions_there_are_no_slices(large: ModuleType) -> None:
    results = _small(large)
    assert _slices(large, replace(results, tags={})) == ()
    assert _slices(large, replace(results, predictions={})) == ()
    kept = {k: v for k, v in results.predictions.items() if not k.startswith("c1-")}
    arms = {s.arm for s in _slices(large, replace(results, predictions=kept))}
    assert arms == set(results.facts.arms) - {results.facts.arms[1]}


def test_tags_stand_in_their_own_order() -> None:
    assert order_tags(["strong", "weak", "medium", "neutral", "weak"]) == [
        "neutral", "weak", "medium", "strong"
    ]  # fmt: skip
    assert order_tags(["long", "medium", "short"]) == ["short", "medium", "long"]
    assert order_tags(["b", "conflict", "a"]) == ["conflict", "a", "b"]
