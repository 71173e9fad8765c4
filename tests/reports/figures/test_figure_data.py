"""The data of figures, which the page and the paper draw."""

from types import ModuleType

import pytest

from reports.evidence.comparison import Comparison, compare_arms
from reports.evidence.values import Evidence, LearningCurve
from reports.figures.arm_data import arms_data, learning_data
from reports.figures.shown_arms import farthest_arms, few_and_all
from reports.figures.tuning_data import importance_data, tuning_data
from reports.results import Results
from tests.cases.results import full_study

Study = tuple[Results, Comparison, Evidence]


@pytest.fixture(scope="module")
def study(synthetic: ModuleType) -> Study:
    """A study that has something for every figure."""
    results = full_study.full_results(synthetic.score)
    comparison = compare_arms(results, synthetic.METRICS, seed=0, draws=200)
    return results, comparison, full_study.full_evidence(results)


def test_data_of_arms_holds_the_estimates_and_every_seed(synthetic: ModuleType) -> None:
    comparison = synthetic.written_comparison()
    data = arms_data(comparison, comparison.facts.arms)
    assert (data.label, data.better, data.margin, data.reference) == ("MAE", "left", 0.05, 0.7)
    assert [row.verdict for row in data.rows] == ["baseline", "worse", "equivalent"]
    assert [(e.delta, e.ci_low, e.ci_high) for e in (row.estimate for row in data.rows)] == [
        (0.0, None, None),
        (0.1, 0.05, 0.15),
        (0.001, -0.02, 0.025),
    ]
    assert [row.arm_index for row in arms_data(comparison, comparison.facts.arms[2:]).rows] == [2]
    assert data.rows[0].seed_values == {0: 0.69, 1: 0.71}


def test_tuning_data_is_sorted_from_worst_to_best(study: Study) -> None:
    _, comparison, evidence = study
    data = tuning_data(evidence, comparison)
    assert [d.arm_index for d in data] == list(range(9))
    values = [p.value for p in data[0].points]
    assert values[0] is None
    known = [v for v in values if v is not None]
    assert known == sorted(known, reverse=True)  # MAE: lower is better
    rate, width, kind = data[0].axes
    assert (rate.log, width.log, kind.levels) == (True, False, ("<script>", "concat"))
    assert rate.position_of(rate.low or 0) == 0 and rate.position_of(rate.high or 0) == 1
    assert rate.position_of(((rate.low or 0) * (rate.high or 0)) ** 0.5) == pytest.approx(0.5)


def test_importance_is_sorted_and_in_words(study: Study) -> None:
    results, _, evidence = study
    data = importance_data(evidence, results.facts)[0]
    assert data.labels == ("learning rate", "width of the fusion", "fusion <b>kind</b>")
    assert [b.value for b in data.bars] == [0.6, 0.3, 0.1]


def test_many_arms_are_cut_to_the_most_different_ones(synthetic: ModuleType) -> None:
    noise = {f"arm {number}": 0.5 + 0.02 * number for number in range(30)}
    results = synthetic.make_results(noise, seeds=range(4), utterances=20)
    comparison = compare_arms(results, synthetic.METRICS, seed=0, draws=20)
    views = few_and_all(comparison, comparison.facts.arms, 5)
    assert [name for name, _ in views] == ["the 5 most different", "all 30 arms"]
    few, everything = (arms for _, arms in views)
    assert everything == comparison.facts.arms and comparison.facts.baseline in few
    delta = {arm: abs(comparison.estimate_of(arm, "mae").delta or 0.0) for arm in everything}
    kept = [delta[arm] for arm in few if arm != comparison.facts.baseline]
    left = [delta[arm] for arm in everything if arm not in few]
    assert min(kept) >= max(left)
    assert few_and_all(comparison, few, 5) == (("all 5 arms", few),)
    assert farthest_arms(comparison, everything, 5) == few


def test_a_curve_ends_where_most_of_an_arms_cells_had_stopped(synthetic: ModuleType) -> None:
    values = tuple(1.0 / n for n in range(1, 7))
    curve = LearningCurve(
        arm="full", mean=values, low=values, high=values, cells=(10, 10, 9, 5, 4, 1)
    )
    comparison = synthetic.written_comparison()
    data = learning_data(Evidence(learning=(curve,)), comparison, ["full", "placebo"])
    assert data.curves[0].mean == values[:4] and data.arm_indices == (0,)
    assert data.curves[0].cells == (10, 10, 9, 5)
