"""What the figures show, without drawing it; and that plotly would draw what they say."""

import json
from collections.abc import Callable
from types import ModuleType
from typing import Any

import plotly.graph_objects as go
import pytest

from reports.evidence.comparison import Comparison, compare
from reports.evidence.values import Evidence, LearningCurve
from reports.page.figures.arms import (
    delta_data,
    draw_delta,
    draw_learning,
    draw_seeds,
    learning_data,
    seeds_data,
)
from reports.page.figures.base import few_and_all
from reports.page.figures.budget import anytime_data, draw_pareto, expected_data, pareto_data
from reports.page.figures.plots import make_plots
from reports.page.figures.tuning import (
    draw_parallel,
    draw_tuning_slices,
    importance_data,
    tuning_data,
)
from reports.results import Results

Study = tuple[Results, Comparison, Evidence]


@pytest.fixture(scope="module")
def study(synthetic: ModuleType, full: ModuleType) -> Study:
    return _study(synthetic, full)


def _study(synthetic: ModuleType, full: ModuleType, **size: Any) -> Study:
    results = full.full_results(synthetic.score, **size)
    comparison = compare(results, synthetic.METRICS, seed=0, draws=200)
    return results, comparison, full.full_evidence(results)


def _with_real_colours(value: Any) -> Any:
    """A figure as plotly gets it: the page has put its own colours in the place of the tokens."""
    if isinstance(value, dict):
        return {k: _with_real_colours(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_with_real_colours(v) for v in value]
    return "#123456" if isinstance(value, str) and value.startswith("@") else value


def test_delta_data_holds_the_estimates(synthetic: ModuleType) -> None:
    comparison = synthetic.written_comparison()
    data = delta_data(comparison, comparison.facts.arms)
    assert (data.label, data.better, data.margin) == ("MAE", "left", 0.05)
    assert [p.verdict for p in data.points] == ["baseline", "worse", "equivalent"]
    assert [(p.delta, p.low, p.high) for p in data.points] == [
        (0.0, None, None),
        (0.1, 0.05, 0.15),
        (0.001, -0.02, 0.025),
    ]
    assert [p.place for p in delta_data(comparison, comparison.facts.arms[2:]).points] == [2]


def test_seeds_data_keeps_every_seed(synthetic: ModuleType) -> None:
    comparison = synthetic.written_comparison()
    data = seeds_data(comparison, comparison.facts.arms)
    assert data.reference == 0.7
    assert data.rows[0].seeds == (0, 1) and data.rows[0].values == (0.69, 0.71)


def test_axis_says_which_side_is_better_and_labels_are_escaped(synthetic: ModuleType) -> None:
    comparison = synthetic.written_comparison()
    arms = comparison.facts.arms
    for figure in (
        draw_delta(delta_data(comparison, arms)),
        draw_seeds(seeds_data(comparison, arms)),
    ):
        assert figure["layout"]["xaxis"]["title"]["text"].startswith("← better")
        labels = " ".join(note["text"] for note in figure["layout"]["annotations"])
        assert "<script>" not in labels and "&lt;script&gt;" in labels


def test_the_forest_shows_both_ends_of_the_margin(synthetic: ModuleType) -> None:
    comparison = synthetic.written_comparison()
    figure = draw_delta(delta_data(comparison, comparison.facts.arms))
    low, high = figure["layout"]["xaxis"]["range"]
    assert low < -0.05 and high > 0.15


def test_plotly_accepts_every_figure(study: Study) -> None:
    _, comparison, evidence = study
    plots = make_plots(comparison, evidence)
    assert set(plots) == {
        "delta", "seeds", "learning", "anytime", "expected", "parallel", "fields", "importance",
        "pareto",
    }  # fmt: skip
    for plot in plots.values():
        for variant in plot.variants:
            for figure in variant.figures:
                go.Figure(_with_real_colours(figure))


def test_no_name_of_a_study_is_markup_in_any_figure(study: Study, full: ModuleType) -> None:
    _, comparison, evidence = study

    def texts(value: Any, name: str = "") -> Any:
        if isinstance(value, dict):
            for key, own in value.items():
                if key != "meta":  # names as the page's own legend writes them, as text
                    yield from texts(own, key)
        elif isinstance(value, list | tuple):
            for own in value:
                yield from texts(own, name)
        elif isinstance(value, str):
            yield name, value

    for plot in make_plots(comparison, evidence).values():
        for variant in plot.variants:
            for name, text in texts(list(variant.figures)):
                assert "<script" not in text and "<i>" not in text, (plot.id, text)
                if name == "hovertemplate":
                    assert "arm 50%" not in text, "a name could hold what plotly fills in"


def test_many_arms_are_cut_to_the_most_different_ones(
    synthetic: ModuleType, full: ModuleType
) -> None:
    _, comparison, evidence = _study(synthetic, full, arms=30, candidates=4)
    views = few_and_all(comparison, comparison.facts.arms, 5)
    assert [name for name, _ in views] == ["the 5 most different", "all 30 arms"]
    few, everything = (arms for _, arms in views)
    assert everything == comparison.facts.arms and comparison.facts.baseline in few
    delta = {arm: abs(comparison.of(arm, "mae").delta or 0.0) for arm in everything}
    kept = [delta[arm] for arm in few if arm != comparison.facts.baseline]
    left = [delta[arm] for arm in everything if arm not in few]
    assert min(kept) >= max(left)
    plot = make_plots(comparison, evidence)["delta"]
    assert [len(v.figures[0]["layout"]["annotations"]) for v in plot.variants] == [16, 29]


def test_a_curve_ends_where_most_of_an_arms_cells_had_stopped(synthetic: ModuleType) -> None:
    values = tuple(1.0 / n for n in range(1, 7))
    curve = LearningCurve(
        arm="full", mean=values, low=values, high=values, cells=(10, 10, 9, 5, 4, 1)
    )
    comparison = synthetic.written_comparison()
    data = learning_data(Evidence(learning=(curve,)), comparison, ["full", "placebo"])
    assert data.curves[0].mean == values[:4] and data.places == (0,)
    lines = [trace for trace in draw_learning(data)["data"] if "name" in trace]
    assert lines[0]["x"] == [1, 2, 3, 4] and lines[0]["customdata"] == [10, 10, 9, 5]


def test_tuning_data_is_sorted_from_worst_to_best(study: Study) -> None:
    _, comparison, evidence = study
    data = tuning_data(evidence, comparison)
    assert [d.place for d in data] == list(range(9))
    values = [p.value for p in data[0].points]
    assert values[0] is None
    known = [v for v in values if v is not None]
    assert known == sorted(known, reverse=True)  # MAE: lower is better
    rate, width, kind = data[0].axes
    assert (rate.log, width.log, kind.levels) == (True, False, ("<script>", "concat"))
    assert rate.height(rate.low or 0) == 0 and rate.height(rate.high or 0) == 1
    assert rate.height(((rate.low or 0) * (rate.high or 0)) ** 0.5) == pytest.approx(0.5)


def test_a_candidate_is_one_line_with_a_gap_after_it(study: Study) -> None:
    _, comparison, evidence = study
    data = tuning_data(evidence, comparison)[0]
    figure = draw_parallel(data)
    vertices = [
        (candidate, x)
        for trace in figure["data"]
        for candidate, x in zip(trace["customdata"], trace["x"], strict=True)
    ]
    assert sum(candidate is None for candidate, _ in vertices) == len(data.points)
    for point in data.points:
        own = [x for candidate, x in vertices if candidate == point.candidate]
        assert own == ([0, 1, 2] if point.value is None else [0, 1, 2, 3])
    (best,) = [t for t in figure["data"] if t["line"]["width"] == 3.5]
    assert set(best["customdata"]) == {3, None}


def test_a_field_searched_by_orders_of_magnitude_has_a_logarithmic_axis(study: Study) -> None:
    _, comparison, evidence = study
    rate, width, kind = draw_tuning_slices(tuning_data(evidence, comparison)[0])
    assert rate["layout"]["xaxis"]["type"] == "log"
    assert "type" not in width["layout"]["xaxis"]
    assert kind["layout"]["xaxis"]["categoryarray"] == ["&lt;script&gt;", "concat"]
    points = [n for trace in rate["data"] for n in trace["customdata"]]
    assert sorted(points) == list(range(1, 8)), "candidate 0 never got a value"


def test_importance_is_sorted_and_in_words(study: Study) -> None:
    results, _, evidence = study
    data = importance_data(evidence, results.facts)[0]
    assert data.labels == ("learning rate", "width of the fusion", "fusion <b>kind</b>")
    assert [b.value for b in data.bars] == [0.6, 0.3, 0.1]


def test_lines_over_what_was_spent_hold_the_evidence(study: Study) -> None:
    _, comparison, evidence = study
    arms = comparison.facts.arms
    anytime = anytime_data(evidence, comparison, arms[:2])
    assert anytime.steps and anytime.lines[1].x == evidence.anytime[1].seconds
    expected = expected_data(evidence, comparison, arms[1:2])
    assert expected.lines[0].x == tuple(float(n) for n in range(1, 9))
    assert expected.lines[0].place == 1


def test_the_front_of_an_arm_runs_along_the_second_objective(study: Study) -> None:
    _, comparison, _ = study
    arm = comparison.facts.arms[0]
    data = pareto_data(comparison, [arm])
    ((name, place, points),) = data.arms
    assert (name, place) == (arm, 0)
    assert set(points) == {p for p in comparison.fronts if p.arm == arm} and points
    trace = draw_pareto(data)["data"][0]
    assert trace["x"] == sorted(trace["x"])
    assert trace["y"] == sorted(trace["y"], reverse=True), "more parameters, less error"
    filled = [s for s in trace["marker"]["symbol"] if not s.endswith("-open")]
    assert len(filled) == sum(p.confirmed for p in points)


def test_figures_are_json_without_nan(study: Study, render: Callable[[Results], str]) -> None:
    _, comparison, evidence = study
    for plot in make_plots(comparison, evidence).values():
        for variant in plot.variants:
            json.dumps(variant.figures, allow_nan=False)
