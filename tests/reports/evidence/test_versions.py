"""Two studies against each other: what is paired, what is not, and what flips."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from reports.evidence.comparison import compare_arms
from reports.evidence.versions import (
    ArmAcrossVersions,
    VersionComparison,
    compare_studies,
    welch_interval,
)
from reports.results import Results, ResultsError

DRAWS = 300


def versus(
    synthetic: ModuleType, first: Results, second: Results, **options: Any
) -> VersionComparison:
    return compare_studies(
        first, second, synthetic.METRICS, **{"seed": 0, "draws": DRAWS, **options}
    )


def arm(found: VersionComparison, name: str) -> ArmAcrossVersions:
    return next(one for one in found.arms if one.arm == name)


def changed(
    synthetic: ModuleType,
    results: Results,
    predict: Callable[[str, Any], Any] = lambda key, predicted: predicted,
    **facts: Any,
) -> Results:
    """Another version of a study: other keys, and other predictions of its confirm cells."""
    cells = results.cells.copy()
    predictions: dict[str, Any] = {}
    for key, predicted in results.predictions.items():
        new = np.asarray(predict(key, predicted), dtype=np.float32)
        predictions[f"new {key}"] = new
        for column, value in synthetic.score(new, results.labels).items():
            cells.loc[cells["key"] == key, column] = value
    cells["key"] = "new " + cells["key"].astype(str)
    return replace(
        results, cells=cells, predictions=predictions, facts=replace(results.facts, **facts)
    )


def noisier(noise: Mapping[str, float], seed: int = 3) -> Callable[[str, Any], Any]:
    """Adds errors to the predictions of some arms, whatever the order of the cells."""

    def predict(key: str, predicted: Any) -> Any:
        name, number = key.removeprefix("c-").rsplit("-", 1)
        rng = np.random.default_rng([seed, int(number), len(name)])
        return predicted + noise.get(name, 0.0) * rng.normal(size=len(predicted))

    return predict


def test_a_study_against_itself_is_made_of_the_same_cells(synthetic: ModuleType) -> None:
    results = synthetic.make_results()
    found = versus(synthetic, results, results)
    assert {one.method for one in found.arms} == {"same cells"}
    assert all(
        one.delta == 0 and one.p_holm is None and not one.verdict_flips for one in found.arms
    )
    assert found.same_labels and found.notes == ()


def test_the_same_predictions_of_other_cells_differ_by_nothing(synthetic: ModuleType) -> None:
    results = synthetic.make_results()
    found = versus(synthetic, results, changed(synthetic, results))
    for one in found.arms:
        assert (one.method, one.pairs, one.delta) == ("paired", 10, 0.0)
        assert (one.low, one.high, one.p, one.p_holm) == (0.0, 0.0, 1.0, 1.0)
        assert not one.has_moved and not one.verdict_flips


def test_paired_differences_are_those_of_a_report(synthetic: ModuleType) -> None:
    """The same two arms as arm and baseline of one study have the same interval and p."""
    results = synthetic.make_results({"full": 0.5, "worse arm": 0.6})
    second = changed(synthetic, results, noisier({"worse arm": 0.4}))
    found = arm(versus(synthetic, results, second), "worse arm")
    cells = results.cells[results.cells["arm"] == "worse arm"]
    later = second.cells[second.cells["arm"] == "worse arm"].assign(arm="later")
    both = replace(
        results,
        facts=synthetic.make_facts(["worse arm", "later"]),
        cells=pd.concat([cells, later]),
        predictions={**results.predictions, **second.predictions},
    )
    expected = compare_arms(both, synthetic.METRICS, seed=0, draws=DRAWS).estimate_of(
        "later", "mae"
    )
    assert (found.delta, found.low, found.high, found.p) == (
        expected.delta, expected.ci_low, expected.ci_high, expected.p
    )  # fmt: skip
    assert found.has_moved and found.delta is not None and found.delta > 0


def test_other_utterances_are_not_paired_and_said_to_be(synthetic: ModuleType) -> None:
    first = synthetic.make_results()
    second = changed(synthetic, synthetic.make_results(seed=8))
    found = versus(synthetic, first, second)
    assert not found.same_labels
    assert "tested on different utterances" in found.notes[0]
    one = arm(found, "full")
    values = [
        results.cells[(results.cells["arm"] == "full") & (results.cells["phase"] == "confirm")][
            "metric.test.mae"
        ].to_numpy()
        for results in (first, second)
    ]
    expected = stats.ttest_ind(values[1], values[0], equal_var=False)
    interval = expected.confidence_interval()
    assert (one.method, one.pairs) == ("unpaired", 0)
    assert one.delta == pytest.approx(values[1].mean() - values[0].mean(), abs=1e-12)
    assert (one.p, one.low, one.high) == pytest.approx(
        (expected.pvalue, interval.low, interval.high), abs=1e-12
    )


def test_other_seeds_are_not_paired_and_fewer_are_paired_where_shared(
    synthetic: ModuleType,
) -> None:
    first = synthetic.make_results()
    second = changed(synthetic, first, noisier({"full": 0.3}))
    few = second.cells[(second.cells["phase"] == "tune") | (second.cells["seed"] < 6)]
    kept = {key: second.predictions[key] for key in few["key"] if key in second.predictions}
    found = arm(versus(synthetic, first, replace(second, cells=few, predictions=kept)), "full")
    assert (found.method, found.pairs, found.second.n, found.first.n) == ("paired", 6, 6, 10)
    shifted = second.cells.assign(seed=second.cells["seed"] + 100)
    other = versus(synthetic, first, replace(second, cells=shifted))
    assert {one.method for one in other.arms} == {"unpaired"}
    assert any("no two confirm seeds in common" in note for note in other.notes)


def test_verdicts_that_flip_are_found(synthetic: ModuleType) -> None:
    first = synthetic.make_results({"full": 0.5, "worse arm": 0.9, "same arm": 0.5})
    second = changed(synthetic, first, noisier({"full": 1.5}))
    found = versus(synthetic, first, second)
    flipped = arm(found, "worse arm")
    assert (flipped.first.verdict, flipped.second.verdict) == ("worse", "better")
    assert flipped.verdict_flips and not arm(found, "full").verdict_flips
    assert arm(found, "full").has_moved and not flipped.has_moved


def test_another_baseline_is_no_flip_and_is_said(synthetic: ModuleType) -> None:
    first = synthetic.make_results()
    second = changed(synthetic, first, baseline="worse arm")
    found = versus(synthetic, first, second)
    assert not arm(found, "full").verdict_flips and not arm(found, "worse arm").verdict_flips
    assert arm(found, "same arm").verdict_flips
    assert any("Verdicts are against 'full' in the first" in note for note in found.notes)


def test_holm_is_over_the_arms_that_are_compared(synthetic: ModuleType) -> None:
    first = synthetic.make_results()
    second = changed(synthetic, first, noisier({"full": 0.5, "worse arm": 0.5}))
    keep = first.cells["arm"] == "same arm"  # the third arm: the very same cells
    second = replace(
        second,
        cells=pd.concat([second.cells[second.cells["arm"] != "same arm"], first.cells[keep]]),
        predictions={**second.predictions, **first.predictions},
    )
    found = versus(synthetic, first, second)
    assert arm(found, "same arm").method == "same cells"
    compared = [arm(found, name) for name in ("full", "worse arm")]
    assert [one.p for one in compared] == [2 / 1024] * 2
    assert [one.p_holm for one in compared] == [4 / 1024] * 2


def test_arms_of_one_study_alone_are_named(synthetic: ModuleType) -> None:
    first = synthetic.make_results({"full": 0.5, "old": 0.6})
    second = synthetic.make_results({"full": 0.5, "new": 0.6})
    found = versus(synthetic, first, second)
    assert ([one.arm for one in found.arms], found.only_first, found.only_second) == (
        ["full"], ("old",), ("new",)
    )  # fmt: skip


def test_an_arm_without_results_stays_in_the_family(synthetic: ModuleType) -> None:
    first = synthetic.make_results({"full": 0.5, "worse arm": 0.9})
    second = changed(synthetic, first, noisier({"full": 0.5}))
    kept = second.cells[(second.cells["arm"] == "full") | (second.cells["phase"] == "tune")]
    found = versus(synthetic, first, replace(second, cells=kept))
    lost, other = arm(found, "worse arm"), arm(found, "full")
    assert (lost.method, lost.delta, lost.p_holm, lost.second.verdict) == ("none", None, None, None)
    assert not lost.verdict_flips
    assert other.p is not None and other.p_holm == pytest.approx(2 * other.p)


def test_a_sealed_study_is_not_compared_and_said_to_be(synthetic: ModuleType) -> None:
    first = synthetic.make_results()
    tests = [name for name in first.cells.columns if name.startswith("metric.test.")]
    sealed = replace(
        first, cells=first.cells.drop(columns=tests), predictions={}, labels=None, embargoed=True
    )
    found = versus(synthetic, first, sealed)
    assert {one.method for one in found.arms} == {"none"}
    assert "test metrics are sealed" in found.notes[0]


def test_nothing_depends_on_the_order_of_arms_and_cells(synthetic: ModuleType) -> None:
    first = synthetic.make_results()
    second = changed(synthetic, first, noisier({"full": 0.3, "same arm": 0.2}))
    found = versus(synthetic, first, second)
    turned = [
        replace(
            results,
            cells=results.cells.iloc[::-1],
            facts=replace(results.facts, arms=results.facts.arms[::-1]),
        )
        for results in (first, second)
    ]
    assert sorted(versus(synthetic, *turned).arms, key=lambda one: one.arm) == sorted(
        found.arms, key=lambda one: one.arm
    )


def test_turning_the_two_round_turns_the_difference_round(synthetic: ModuleType) -> None:
    first = synthetic.make_results()
    second = changed(synthetic, first, noisier({"full": 0.3}))
    there, back = (arm(versus(synthetic, *pair), "full") for pair in
                   ((first, second), (second, first)))  # fmt: skip
    assert there.delta is not None and back.delta == -there.delta
    assert (back.p, back.p_holm) == (there.p, there.p_holm)
    assert (back.first, back.second) == (there.second, there.first)


def test_different_primary_metrics_and_label_schemes_are_refused(synthetic: ModuleType) -> None:
    first = synthetic.make_results()
    with pytest.raises(ResultsError, match="primary metric of 'planted' is 'mae' and that of"):
        versus(synthetic, first, changed(synthetic, first, primary="corr"))
    with pytest.raises(ResultsError, match="'sims' labels"):
        versus(synthetic, first, changed(synthetic, first, scheme="sims"))


def test_welch_of_too_little_is_nothing() -> None:
    assert welch_interval([1.0], [2.0, 3.0]) == (None, None, None)
    assert welch_interval([1.0, 1.0], [2.0, 2.0]) == (None, None, None)
    low, high, p = welch_interval([1.0, 1.0], [2.0, 2.5])
    assert low is not None and high is not None and low < 1.25 < high and p is not None and p < 1
