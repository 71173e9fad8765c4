from dataclasses import asdict, replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import stats

from reports.evidence.comparison import Comparison, compare_arms
from reports.results import Results, ResultsError

DRAWS = 300


def _compare(synthetic: ModuleType, results: Results, **options: Any) -> Comparison:
    return compare_arms(results, synthetic.METRICS, seed=0, draws=DRAWS, **options)


def _without(results: Results, keys: set[str]) -> Results:
    return replace(
        results,
        cells=results.cells[~results.cells["key"].isin(keys)],
        predictions={k: v for k, v in results.predictions.items() if k not in keys},
    )


def _identical(synthetic: ModuleType, **changes: Any) -> Results:
    """Two arms whose cells predict the same, seed by seed."""
    results = synthetic.make_results({"full": 0.5, "twin": 0.5}, **changes)
    predictions = dict(results.predictions)
    cells = results.cells.copy()
    tests = [c for c in cells.columns if c.startswith("metric.test.")]
    for seed in range(10):
        predictions[f"c-twin-{seed}"] = predictions[f"c-full-{seed}"]
        values = cells.loc[cells["key"] == f"c-full-{seed}", tests].to_numpy()
        cells.loc[cells["key"] == f"c-twin-{seed}", tests] = values
    return replace(results, predictions=predictions, cells=cells)


def test_a_planted_effect_is_found(synthetic: ModuleType) -> None:
    estimate = _compare(synthetic, synthetic.make_results()).estimate_of("worse arm", "mae")
    assert estimate.verdict == "worse"
    assert estimate.delta is not None and 0.2 < estimate.delta < 0.45
    assert estimate.ci_low is not None and estimate.ci_low > 0
    assert estimate.p == 2 / 2**10 and estimate.p_holm == 4 / 2**10
    assert estimate.p_better == 0.0


def test_direction_of_the_metric_decides_better_and_worse(synthetic: ModuleType) -> None:
    noise = {"full": 0.9, "improved": 0.4}
    for primary in ("mae", "corr"):
        results = synthetic.make_results(noise, primary=primary)
        estimate = _compare(synthetic, results).estimate_of("improved", primary)
        assert (estimate.verdict, estimate.p_better) == ("better", 1.0)


def test_only_the_primary_metric_carries_verdicts(synthetic: ModuleType) -> None:
    comparison = _compare(synthetic, synthetic.make_results())
    for estimate in comparison.estimates:
        if estimate.metric != "mae":
            assert estimate.verdict is None and estimate.p_holm is None


@pytest.mark.parametrize(("margins", "verdict"), [({}, "undecided"), ({"mae": 0.1}, "equivalent")])
def test_identical_arms(synthetic: ModuleType, margins: dict[str, float], verdict: str) -> None:
    estimate = _compare(synthetic, _identical(synthetic, margins=margins)).estimate_of(
        "twin", "mae"
    )
    assert (estimate.delta, estimate.p, estimate.p_better) == (0, 1, 0.5)
    assert (estimate.ci_low, estimate.ci_high) == (0, 0)
    assert estimate.verdict == verdict


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_order_of_arms_cells_and_columns_changes_no_digit(
    synthetic: ModuleType, data: st.DataObject
) -> None:
    results = synthetic.make_results(seeds=range(6), utterances=25, margins={"mae": 0.1})
    before = _compare(synthetic, results)
    cells = results.cells
    rows = data.draw(st.permutations(range(len(cells))))
    columns = data.draw(st.permutations(list(cells.columns)))
    arms = tuple(data.draw(st.permutations(results.facts.arms)))
    shuffled = replace(
        results,
        cells=cells.iloc[list(rows)][list(columns)],
        facts=replace(results.facts, arms=arms),
        predictions=dict(reversed(results.predictions.items())),
    )
    after = _compare(synthetic, shuffled)
    for arm in arms:
        for name in synthetic.METRICS:
            assert asdict(after.estimate_of(arm, name)) == asdict(before.estimate_of(arm, name))
    assert after.limits == before.limits
    assert set(after.fairness) == set(before.fairness)


def test_another_seed_gives_other_digits_and_the_same_seed_the_same(synthetic: ModuleType) -> None:
    results = synthetic.make_results()
    first, again = _compare(synthetic, results), _compare(synthetic, results)
    other = compare_arms(results, synthetic.METRICS, seed=1, draws=DRAWS)
    assert first.estimates == again.estimates
    assert (
        first.estimate_of("worse arm", "mae").ci_low != other.estimate_of("worse arm", "mae").ci_low
    )


def test_an_arm_with_fewer_seeds_is_compared_on_the_shared_ones(synthetic: ModuleType) -> None:
    results = _without(synthetic.make_results(), {"c-worse arm-0", "c-full-1"})
    comparison = _compare(synthetic, results)
    estimate = comparison.estimate_of("worse arm", "mae")
    assert (estimate.n, estimate.pairs) == (9, 8)
    cells = results.cells.set_index("key")["metric.test.mae"]
    expected = np.mean([cells[f"c-worse arm-{s}"] - cells[f"c-full-{s}"] for s in range(2, 10)])
    assert estimate.delta == pytest.approx(expected)
    assert any("worse arm: 9 of 10 confirm seeds" in note for note in comparison.notes)


def test_cells_that_are_not_complete_do_not_count(synthetic: ModuleType) -> None:
    results = synthetic.make_results()
    cells = results.cells.copy()
    cells.loc[cells["key"] == "c-worse arm-2", "status"] = "failed"
    reasons = {"c-worse arm-2": "loss became NaN in epoch 3"}
    comparison = _compare(synthetic, replace(results, cells=cells, reasons=reasons))
    assert comparison.estimate_of("worse arm", "mae").n == 9
    (failure,) = comparison.failures
    assert (failure.seed, failure.reason) == (2, "loss became NaN in epoch 3")


def test_an_arm_without_shared_seeds_is_undecided(synthetic: ModuleType) -> None:
    results = _without(synthetic.make_results(), {f"c-worse arm-{s}" for s in range(10)})
    estimate = _compare(synthetic, results).estimate_of("worse arm", "mae")
    assert (estimate.n, estimate.mean, estimate.delta, estimate.p) == (0, None, None, None)
    assert (estimate.verdict, estimate.p_holm) == ("undecided", None)


def test_a_missing_arm_does_not_ease_the_correction(synthetic: ModuleType) -> None:
    results = synthetic.make_results()
    fewer = _without(results, {f"c-same arm-{s}" for s in range(10)})
    estimate = _compare(synthetic, fewer).estimate_of("worse arm", "mae")
    assert estimate.p_holm == _compare(synthetic, results).estimate_of("worse arm", "mae").p_holm


def test_missing_predictions_leave_the_verdict_open(synthetic: ModuleType) -> None:
    results = synthetic.make_results()
    kept = {k: v for k, v in results.predictions.items() if k != "c-worse arm-3"}
    comparison = _compare(synthetic, replace(results, predictions=kept))
    estimate = comparison.estimate_of("worse arm", "mae")
    assert (estimate.ci_low, estimate.verdict) == (None, "undecided")
    assert estimate.p == 2 / 2**10
    assert any("predictions of 1 of 20 cells are missing" in note for note in comparison.notes)
    assert comparison.estimate_of("same arm", "mae").ci_low is not None


def test_an_undefined_metric_is_missing_and_said(synthetic: ModuleType) -> None:
    results = synthetic.make_results()
    key = "c-worse arm-4"
    constant = np.zeros_like(results.predictions[key])
    cells = results.cells.copy()
    for column, value in synthetic.score(constant, results.labels).items():
        cells.loc[cells["key"] == key, column] = value
    assert np.isnan(cells.loc[cells["key"] == key, "metric.test.corr"].iloc[0])
    predictions = {**results.predictions, key: constant}
    comparison = _compare(synthetic, replace(results, cells=cells, predictions=predictions))
    estimate = comparison.estimate_of("worse arm", "corr")
    assert (estimate.n, estimate.pairs, estimate.ci_low) == (9, 9, None)
    assert "worse arm: Corr is undefined for seed 4." in comparison.notes
    for value in asdict(estimate).values():
        assert not (isinstance(value, float) and np.isnan(value))


def test_values_that_the_predictions_do_not_give_are_noted(synthetic: ModuleType) -> None:
    results = synthetic.make_results()
    cells = results.cells.copy()
    cells["metric.test.acc2"] *= 100
    comparison = _compare(synthetic, replace(results, cells=cells))
    assert any(note.startswith("acc2: the stored value of 30 cells") for note in comparison.notes)


def test_an_incomplete_study_is_no_error(synthetic: ModuleType) -> None:
    comparison = _compare(synthetic, synthetic.make_results(seeds=(), confirm_seeds=(1, 2)))
    assert {e.n for e in comparison.estimates} == {0}
    assert comparison.estimate_of("full", "mae").verdict == "baseline"
    assert comparison.estimate_of("worse arm", "mae").verdict == "undecided"
    assert "full: 0 of 2 confirm seeds are complete." in comparison.notes


def test_two_confirm_cells_of_one_seed_are_refused(synthetic: ModuleType) -> None:
    results = synthetic.make_results()
    cells = results.cells.copy()
    cells.loc[cells["key"] == "c-full-1", "seed"] = 0
    with pytest.raises(ResultsError, match="seed 0 was confirmed by two cells"):
        _compare(synthetic, replace(results, cells=cells))


def test_an_unknown_primary_metric_is_refused(synthetic: ModuleType) -> None:
    with pytest.raises(ResultsError, match="'f1' is not one of"):
        _compare(synthetic, synthetic.make_results(primary="f1"))


def test_limits_and_fairness_are_said(synthetic: ModuleType) -> None:
    searched = {"full": ("lr",), "worse arm": ("lr",), "same arm": ()}
    comparison = _compare(synthetic, synthetic.make_results(searched=searched))
    limits = comparison.limits
    assert (limits.seeds, limits.arms, limits.p_floor) == (10, 2, 2 / 1024)
    assert (limits.seeds_needed, limits.test_size, limits.accuracy_metric) == (7, 60, "acc2")
    accuracy = comparison.estimate_of("full", "acc2").mean
    assert accuracy is not None
    assert limits.accuracy_error == pytest.approx(np.sqrt(accuracy * (1 - accuracy) / 60))
    first = comparison.fairness[0]
    assert (first.candidates, first.tune_seeds, first.epochs, first.seconds) == (2, 1, 10, 25.0)
    assert not comparison.unequal_budgets


def test_unequal_budgets_are_flagged_but_nothing_to_tune_is_not(synthetic: ModuleType) -> None:
    results = _without(synthetic.make_results(), {"t-same arm-1"})
    assert _compare(synthetic, results).unequal_budgets
    untuned = replace(results.facts, searched={**results.facts.searched, "same arm": ()})
    assert not _compare(synthetic, replace(results, facts=untuned)).unequal_budgets


def test_noise_is_called_an_effect_at_most_one_time_in_twenty(
    synthetic: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    # statsmodels' multipletests collects garbage at every call: .1 s each, nearly all of this test.
    monkeypatch.setattr("gc.collect", lambda *_: 0)
    replications, called = 240, 0
    metrics = {"mae": synthetic.METRICS["mae"]}
    for replication in range(replications):
        results = synthetic.make_results(
            {"full": 0.5, "placebo": 0.5},
            seeds=range(8),
            utterances=40,
            seed=replication,
            tuned=False,
        )
        comparison = compare_arms(results, metrics, seed=replication, draws=200)
        called += comparison.estimate_of("placebo", "mae").verdict in ("better", "worse")
    assert stats.binomtest(called, replications, 0.05, alternative="greater").pvalue > 0.01
