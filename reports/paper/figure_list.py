"""The figures that a report has for a paper, and the caption of each."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reports.evidence.comparison import Comparison
from reports.evidence.values import Evidence
from reports.figures.arm_data import arms_data, learning_data
from reports.figures.shown_arms import farthest_arms
from reports.figures.tuning_data import importance_data
from reports.numerals import format_count
from reports.paper.draw_figures import (
    draw_delta,
    draw_effects,
    draw_importance,
    draw_learning,
    draw_matrix,
    draw_results,
    draw_seeds,
    draw_shapley,
)
from reports.paper.figure_style import as_bytes, paper_style
from reports.tables import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROWS = 36  # arms of a figure with a row per arm: a page has room for so many
CURVES = 8  # arms of a figure with a line per arm: there are so many colours and dashes
EFFECTS = 30  # main effects and interactions of a figure


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """A figure, not drawn yet.

    Attributes:
        name: Name of its files, without an ending.
        caption: Caption, as plain text.
        wide: Whether it is as wide as the page, and not as a column.
        draw: Function that draws it.
    """

    name: str
    caption: str
    wide: bool
    draw: "Callable[[], Figure]"


def list_drawings(comparison: Comparison, evidence: Evidence, table: Table) -> tuple[Drawing, ...]:
    """List the figures that have something to show."""
    return (
        *_arm_drawings(comparison),
        *_design_drawings(comparison, evidence, table),
        *_training_drawings(comparison, evidence),
    )


def figure_files(found: Sequence[Drawing]) -> dict[str, bytes]:
    """Return file name -> content, a PDF and an SVG per figure; same results, same bytes."""
    files = {}
    with paper_style():
        for drawing in found:
            pdf, svg = as_bytes(drawing.draw())
            files[f"{drawing.name}.pdf"] = pdf
            files[f"{drawing.name}.svg"] = svg
    return files


def _arm_drawings(comparison: Comparison) -> Iterator[Drawing]:
    facts, primary = comparison.facts, comparison.primary
    # A study without results has tables, whose rows are its arms, but no figure of them.
    if not any(comparison.seed_values.values()):
        return
    arms = farthest_arms(comparison, facts.arms, ROWS)
    of_how_many = (
        ""
        if len(arms) == len(facts.arms)
        else (f" The {len(arms)} of {len(facts.arms)} arms that are farthest from the baseline.")
    )
    data = arms_data(comparison, arms)
    band = "" if data.margin is None else f" The band is the margin of ±{data.margin:g}."
    interval = "t" if primary.seeds_only else "two-level bootstrap"
    forest = (
        f"Difference in {primary.label} from {facts.baseline}, with 95 % {interval} "
        f"intervals.{band} Triangles: better or worse; squares: equivalent; open: undecided."
    )
    dots = (
        f"{primary.label} of every confirm seed, with the mean of each arm; dotted: the mean of "
        f"{facts.baseline}."
    )
    yield Drawing(
        name="delta", caption=forest + of_how_many, wide=False, draw=lambda: draw_delta(data)
    )
    yield Drawing(
        name="seeds", caption=dots + of_how_many, wide=False, draw=lambda: draw_seeds(data)
    )
    yield Drawing(
        name="results",
        caption=f"Left: {dots} Right: {forest}{of_how_many}",
        wide=True,
        draw=lambda: draw_results(data),
    )


def _design_drawings(comparison: Comparison, evidence: Evidence, table: Table) -> Iterator[Drawing]:
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
                + (f" {format_count(left, 'interaction')} more {'is' if left == 1 else 'are'} in "
                   "the table." if left else "")
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
    for number, matrix in enumerate(evidence.matrices, 1):
        yield Drawing(
            name=f"matrix-{number}",
            caption=(
                f"Mean {primary.label} by {matrix.row_factor} and {matrix.column_factor}"
                + (f" at {', '.join(matrix.beside)}" if matrix.beside else "")
                + "; darker is better. A dash: no such arm was confirmed."
            ),
            wide=len(matrix.columns) > 5,
            # Bound now: the loop has gone on by the time that it is drawn.
            draw=lambda matrix=matrix: draw_matrix(  # type: ignore[misc]
                matrix, primary.label, primary.higher_is_better, table.header[0].decimals
            ),
        )


def _training_drawings(comparison: Comparison, evidence: Evidence) -> Iterator[Drawing]:
    facts, primary = comparison.facts, comparison.primary
    if evidence.learning:
        data = learning_data(evidence, comparison, farthest_arms(comparison, facts.arms, CURVES))
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
                f"(PED-ANOVA), in {format_count(len(shown), 'arm')}."
            ),
            wide=False,
            draw=lambda: draw_importance(shown),
        )
