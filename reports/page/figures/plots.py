"""The plots of the page, and the views of each that a reader can choose."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from reports.evidence.comparison import Comparison
from reports.evidence.values import Evidence
from reports.figures.arm_data import arms_data, learning_data
from reports.figures.shown_arms import few_and_all
from reports.figures.tuning_data import importance_data, tuning_data
from reports.page.figures.base import MOST_LINES, MOST_ROWS, Figure, Plot, Variant
from reports.page.figures.draw_arms import draw_delta, draw_learning, draw_seeds
from reports.page.figures.draw_budget import draw_anytime, draw_expected, draw_pareto
from reports.page.figures.draw_tuning import draw_importance, draw_parallel, draw_tuning_slices

TUNING = "tuning-arm"  # the chooser of the arm whose tuning is shown


def make_plots(comparison: Comparison, evidence: Evidence) -> dict[str, Plot]:
    """Return id -> plot, for those that have something to show."""
    plots = [*_arm_plots(comparison, evidence), *_tuning_plots(comparison, evidence)]
    return {plot.id: plot for plot in plots}


def plots_as_json(plots: dict[str, Plot]) -> dict[str, Any]:
    """Return the plots as JSON values, in the form that `figures.js` reads."""
    return {
        plot.id: {
            "chooser": plot.chooser,
            "variants": [{"name": v.name, "figures": v.figures} for v in plot.variants],
        }
        for plot in plots.values()
    }


def _arm_plots(comparison: Comparison, evidence: Evidence) -> Iterator[Plot]:
    label = comparison.primary.label
    shown = [a for a in comparison.facts.arms if comparison.seed_values.get(a)]
    # The baseline alone would be a forest of one arm at 0.
    if any(e.delta is not None for e in comparison.estimates):
        yield _plot_arms(
            comparison,
            "delta",
            f"Forest plot: difference in {label} of each arm from the baseline, with 95 % "
            "intervals. The verdict table has the same numbers.",
            shown,
            MOST_ROWS,
            lambda arms: draw_delta(arms_data(comparison, arms)),
        )
    if shown:
        yield _plot_arms(
            comparison,
            "seeds",
            f"Dot plot: {label} of every confirm seed, by arm. The cells panel has the same "
            "numbers.",
            shown,
            MOST_ROWS,
            lambda arms: draw_seeds(arms_data(comparison, arms)),
        )
    if evidence.learning:
        yield _learning_plot(comparison, evidence)
    if evidence.fronts:
        yield _plot_arms(
            comparison,
            "pareto",
            f"Scatter plot: {label} against {evidence.second_label} of the "
            "candidates on the fronts. The table below has the same numbers.",
            [point.arm for point in evidence.fronts],
            MOST_LINES,
            lambda arms: draw_pareto(evidence, comparison, arms),
        )


def _learning_plot(comparison: Comparison, evidence: Evidence) -> Plot:
    """Return the means of all arms, and each arm beside the baseline, where bands have room."""
    baseline = comparison.facts.baseline

    def draw_curves(arms: Sequence[str]) -> Figure:
        return draw_learning(learning_data(evidence, comparison, arms))

    curved = [curve.arm for curve in evidence.learning]
    plot = _plot_arms(
        comparison,
        "learning",
        f"Line plot: validation {comparison.primary.label} by epoch, a line per arm.",
        curved,
        MOST_LINES,
        draw_curves,
    )
    alone = tuple(
        Variant(name=f"{arm}, with its band", figures=(draw_curves([baseline, arm]),))
        for arm in comparison.facts.arms
        if arm in set(curved) and arm != baseline
    )
    return replace(plot, variants=(*plot.variants, *alone))


def _tuning_plots(comparison: Comparison, evidence: Evidence) -> Iterator[Plot]:
    label = comparison.primary.label
    if evidence.anytime:
        yield _plot_arms(
            comparison,
            "anytime",
            f"Step plot: best validation {label} so far against device-seconds, by arm.",
            [curve.arm for curve in evidence.anytime],
            MOST_LINES,
            lambda arms: draw_anytime(evidence, comparison, arms),
        )
    if evidence.expected:
        yield _plot_arms(
            comparison,
            "expected",
            f"Line plot: expected validation {label} of the best of n candidates, by arm.",
            [curve.arm for curve in evidence.expected],
            MOST_LINES,
            lambda arms: draw_expected(evidence, comparison, arms),
        )
    # The following plots share one chooser, so that they always show the same arm.
    if tuning := tuning_data(evidence, comparison):
        yield Plot(
            id="parallel",
            alt="Parallel coordinates: a line per candidate through the values of its searched "
            f"fields to its validation {label}. The cells panel has the same numbers.",
            variants=tuple(
                Variant(name=data.arm, figures=(draw_parallel(data),)) for data in tuning
            ),
            chooser=TUNING,
        )
        yield Plot(
            id="fields",
            alt=f"Scatter plots: validation {label} against the value of each searched field.",
            variants=tuple(
                Variant(name=data.arm, figures=draw_tuning_slices(data)) for data in tuning
            ),
            chooser=TUNING,
        )
    if importance := importance_data(evidence, comparison.facts):
        yield Plot(
            id="importance",
            alt="Bar plot: share of the spread of validation values that each searched field "
            "explains.",
            variants=tuple(
                Variant(name=data.arm, figures=(draw_importance(data),)) for data in importance
            ),
            chooser=TUNING,
        )


def _plot_arms(
    comparison: Comparison,
    name: str,
    alt: str,
    arms: Sequence[str],
    most: int,
    draw: Callable[[Sequence[str]], Figure],
) -> Plot:
    """Return a plot that begins with the most different arms where there are many.

    Args:
        comparison: Comparison that the arms belong to.
        name: Id of the plot.
        alt: Description of what it shows.
        arms: Arms that have something to show.
        most: Number of arms that the first view has room for.
        draw: Function that draws the arms of a view.
    """
    return Plot(
        id=name,
        alt=alt,
        variants=tuple(
            Variant(name=view, figures=(draw(shown),))
            for view, shown in few_and_all(comparison, arms, most)
        ),
    )
