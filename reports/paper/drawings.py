"""Which figures a report has for a paper, and what is said below each."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reports.evidence.comparison import Comparison
from reports.evidence.values import Evidence
from reports.numerals import count
from reports.page.figures.arms import delta_data, learning_data, seeds_data
from reports.page.figures.tuning import importance_data
from reports.paper.figure_style import as_bytes, style
from reports.paper.figures import (
    draw_delta,
    draw_effects,
    draw_importance,
    draw_learning,
    draw_matrix,
    draw_results,
    draw_seeds,
    draw_shapley,
)
from reports.tables import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROWS = 36  # arms of a figure with a row an arm: what a page has room for
CURVES = 8  # arms of a figure with a line an arm
EFFECTS = 30  # main effects and interactions of a figure


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """A figure, not drawn yet.

    Attributes:
        name: of its files.
        caption: what it shows, as plain text.
        wide: as wide as the page, not as a column.
        draw: draws it.
    """

    name: str
    caption: str
    wide: bool
    draw: "Callable[[], Figure]"


def drawings(comparison: Comparison, evidence: Evidence, table: Table) -> tuple[Drawing, ...]:
    """The figures that there is something to show in."""
    return (
        *_of_arms(comparison),
        *_of_design(comparison, evidence, table),
        *_of_training(comparison, evidence),
    )


def figure_files(found: Sequence[Drawing]) -> dict[str, bytes]:
    """File name -> content, a PDF and an SVG each; same results, same bytes."""
    files = {}
    with style():
        for drawing in found:
            pdf, svg = as_bytes(drawing.draw())
            files[f"{drawing.name}.pdf"] = pdf
            files[f"{drawing.name}.svg"] = svg
    return files


def _of_arms(comparison: Comparison) -> Iterator[Drawing]:
    facts, primary = comparison.facts, comparison.primary
    if not any(comparison.seed_values.values()):
        return
    arms = farthest(comparison, ROWS)
    of_how_many = (
        ""
        if len(arms) == len(facts.arms)
        else (f" The {len(arms)} of {len(facts.arms)} arms that are farthest from the baseline.")
    )
    delta, seeds = delta_data(comparison, arms), seeds_data(comparison, arms)
    band = "" if delta.margin is None else f" The band is the margin of ±{delta.margin:g}."
    forest = (
        f"Difference in {primary.label} from {facts.baseline}, with 95 % two-level bootstrap "
        f"intervals.{band} Triangles: better or worse; squares: equivalent; open: undecided."
    )
    dots = (
        f"{primary.label} of every confirm seed, with the mean of each arm; dotted: the mean of "
        f"{facts.baseline}."
    )
    yield Drawing(
        name="delta", caption=forest + of_how_many, wide=False, draw=lambda: draw_delta(delta)
    )
    yield Drawing(
        name="seeds", caption=dots + of_how_many, wide=False, draw=lambda: draw_seeds(seeds)
    )
    yield Drawing(
        name="results",
        caption=f"Left: {dots} Right: {forest}{of_how_many}",
        wide=True,
        draw=lambda: draw_results(delta, seeds),
    )


def _of_design(comparison: Comparison, evidence: Evidence, table: Table) -> Iterator[Drawing]:
    primary = comparison.primary
    better = "higher" if primary.higher_is_better else "lower"
    if evidence.effects is not None and evidence.effects.main:
        main = evidence.effects.main
        interactions = evidence.effects.interactions[: max(0, EFFECTS - len(main))]
        left = len(evidence.effects.interactions) - len(interactions)
        yield Drawing(
            name="effects",
            caption=(
                f"Main effects{' (filled) and interactions (open)' if interactions else ''} on "
                f"{primary.label}, with 95 % intervals; {better} is better."
                + (f" {count(left, 'interaction')} more {'is' if left == 1 else 'are'} in the "
                   "table." if left else "")
            ),
            wide=False,
            draw=lambda: draw_effects(main, interactions, primary.label),
        )  # fmt: skip
    if evidence.shapley:
        yield Drawing(
            name="shapley",
            caption=(
                f"Exact Shapley values of the modules in {primary.label}, with 95 % intervals "
                f"over seeds; {better} is better."
            ),
            wide=False,
            draw=lambda: draw_shapley(evidence.shapley, primary.label),
        )
    for place, matrix in enumerate(evidence.matrices, 1):
        yield Drawing(
            name=f"matrix-{place}",
            caption=(
                f"Mean {primary.label} by {matrix.row_factor} and {matrix.column_factor}"
                + (f" at {', '.join(matrix.beside)}" if matrix.beside else "")
                + "; darker is better. A dash: no such arm was confirmed."
            ),
            wide=len(matrix.columns) > 5,
            draw=lambda matrix=matrix: draw_matrix(  # type: ignore[misc]
                matrix, primary.label, primary.higher_is_better, table.header[0].decimals
            ),
        )


def _of_training(comparison: Comparison, evidence: Evidence) -> Iterator[Drawing]:
    facts, primary = comparison.facts, comparison.primary
    if evidence.learning:
        data = learning_data(evidence, comparison, farthest(comparison, CURVES))
        yield Drawing(
            name="learning",
            caption=(
                f"Validation {primary.label} by epoch, mean over the confirm seeds that are still "
                f"training; {len(data.curves)} of {len(facts.arms)} arms."
            ),
            wide=False,
            draw=lambda: draw_learning(data),
        )
    if evidence.importance:
        shown = importance_data(evidence, facts)
        yield Drawing(
            name="importance",
            caption=(
                "Share of the spread of validation values that each searched field explains "
                f"(PED-ANOVA), in {count(len(shown), 'arm')}."
            ),
            wide=False,
            draw=lambda: draw_importance(shown),
        )


def farthest(comparison: Comparison, most: int) -> tuple[str, ...]:
    """At most so many arms, in their order: the baseline, and those farthest from it."""
    facts, primary = comparison.facts, comparison.primary
    if len(facts.arms) <= most:
        return facts.arms
    place = {arm: number for number, arm in enumerate(facts.arms)}
    by_distance = sorted(
        facts.arms,
        key=lambda arm: (
            arm != facts.baseline,
            -abs(comparison.of(arm, primary.name).delta or 0.0),
            place[arm],
        ),
    )
    return tuple(sorted(by_distance[:most], key=place.__getitem__))
