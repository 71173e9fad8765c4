"""The figures of the page, and that plotly accepts them."""

import json
from collections.abc import Callable
from types import ModuleType
from typing import Any

import plotly.graph_objects as go
import pytest

from reports.evidence.comparison import Comparison, compare_arms
from reports.evidence.values import Evidence
from reports.figures.arm_data import arms_data, learning_data
from reports.figures.tuning_data import tuning_data
from reports.page.figures.draw_arms import draw_delta, draw_learning, draw_seeds
from reports.page.figures.draw_budget import draw_anytime, draw_expected, draw_pareto
from reports.page.figures.draw_tuning import draw_parallel, draw_tuning_slices
from reports.page.figures.plots import make_plots
from reports.results import Results

Study = tuple[Results, Comparison, Evidence]


@pytest.fixture(scope="module")
def study(synthetic: ModuleType, full: ModuleType) -> Study:
    return _study(synthetic, full)


def _study(synthetic: ModuleType, full: ModuleType, **size: Any) -> Study:
    results = full.full_results(synthetic.score, **size)
    comparison = compare_arms(results, synthetic.METRICS, seed=0, draws=200)
    return results, comparison, full.full_evidence(results)


def _with_real_colours(value: Any) -> Any:
    """A figure as plotly gets it: the page has put its own colours in the place of the tokens."""
    if isinstance(value, dict):
        return {k: _with_real_colours(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_with_real_colours(v) for v in value]
    return "#123456" if isinstance(value, str) and value.startswith("@") else value


def test_axis_says_which_side_is_better_and_labels_are_escaped(synthetic: ModuleType) -> None:
    comparison = synthetic.written_comparison()
    arms = comparison.facts.arms
    for figure in (draw(arms_data(comparison, arms)) for draw in (draw_delta, draw_seeds)):
        assert figure["layout"]["xaxis"]["title"]["text"].startswith("← better")
        labels = " ".join(note["text"] for note in figure["layout"]["annotations"])
        assert "<script>" not in labels and "&lt;script&gt;" in labels


def test_the_forest_shows_both_ends_of_the_margin(synthetic: ModuleType) -> None:
    comparison = synthetic.written_comparison()
    figure = draw_delta(arms_data(comparison, comparison.facts.arms))
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


def test_many_arms_have_two_views(synthetic: ModuleType, full: ModuleType) -> None:
    _, comparison, evidence = _study(synthetic, full, arms=30, candidates=4)
    plot = make_plots(comparison, evidence)["delta"]
    assert [len(v.figures[0]["layout"]["annotations"]) for v in plot.variants] == [16, 29]


def test_a_learning_curve_counts_its_cells(study: Study) -> None:
    _, comparison, evidence = study
    data = learning_data(evidence, comparison, comparison.facts.arms[:1])
    (line,) = [trace for trace in draw_learning(data)["data"] if "name" in trace]
    assert line["x"] == list(range(1, len(data.curves[0].mean) + 1))
    assert line["customdata"] == list(data.curves[0].cells)


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
        own = [x for candidate, x in vertices if candidate == point.number]
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


def test_lines_over_what_was_spent_hold_the_evidence(study: Study) -> None:
    _, comparison, evidence = study
    arms = comparison.facts.arms
    _, line = draw_anytime(evidence, comparison, arms[:2])["data"]
    assert line["line"]["shape"] == "hv" and tuple(line["x"]) == evidence.anytime[1].seconds
    (line,) = draw_expected(evidence, comparison, arms[1:2])["data"]
    assert line["x"] == [float(n) for n in range(1, 9)] and line["meta"]["arm"] == 1


def test_the_front_of_an_arm_runs_along_the_second_objective(study: Study) -> None:
    _, comparison, evidence = study
    arm = comparison.facts.arms[0]
    points = {p.number: p for p in evidence.fronts if p.arm == arm}
    (trace,) = draw_pareto(evidence, comparison, [arm])["data"]
    assert trace["meta"]["arm"] == 0 and set(trace["customdata"]) == set(points)
    assert trace["x"] == [points[number].second for number in trace["customdata"]]
    assert trace["x"] == sorted(trace["x"])
    assert trace["y"] == sorted(trace["y"], reverse=True), "more parameters, less error"
    filled = [s for s in trace["marker"]["symbol"] if not s.endswith("-open")]
    assert len(filled) == sum(p.confirmed for p in points.values())


def test_figures_are_json_without_nan(study: Study, render: Callable[[Results], str]) -> None:
    _, comparison, evidence = study
    for plot in make_plots(comparison, evidence).values():
        for variant in plot.variants:
            json.dumps(variant.figures, allow_nan=False)
