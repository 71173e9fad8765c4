"""The report as one HTML file that needs no network: plotly.js is inside it, fonts are local."""

from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined

from reports.evidence.comparison import Comparison
from reports.evidence.values import Evidence, FactorialEffects
from reports.numerals import MISSING, show, show_interval, show_p
from reports.page.assets import (
    compact_json,
    packed,
    packed_plotly,
    plotly_script,
    policy,
    read,
    script,
    styles,
)
from reports.page.cell_archive import cell_archive
from reports.page.contents import contents
from reports.page.figures.plots import TUNING, make_plots, plots_as_json
from reports.page.figures.rows import (
    PARTS,
    frozen_rows,
    interaction_rows,
    main_effect_rows,
    path_rows,
    shapley_rows,
    shared_rows,
)
from reports.page.heat_tables import interaction_table, matrix_tables, slice_table
from reports.page.verdict_table import link_to_arm, verdict_table
from reports.results import Results
from reports.tables import Table
from reports.wording import answer, limit_sentences, sealed_sentences

MOST_FAILURES = 50  # of one kind that are listed one by one: each may bring its log
DECLINED = {
    "effects": "Effects of modules",
    "shapley": "Shapley values",
    "path": "Ablation path",
    "expected": "Expected best of n",
    "importance": "Importance of fields",
    "datasets": "Test over data sets",
}
PAGE_ROWS = 25  # of a table that are shown at first


def render_html(results: Results, comparison: Comparison, evidence: Evidence, table: Table) -> str:
    """The whole report as one page; every text of the study is escaped by the template.

    Args:
        results: for the cells behind every number.
        comparison: of these results.
        evidence: of them too.
        table: drawn from the comparison.
    """
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=FunctionLoader(read),
    )
    environment.filters.update(
        show=show, show_interval=show_interval, show_p=show_p, duration=show_duration
    )
    plots = make_plots(comparison, evidence)
    labels = {metric.name: metric.label for metric in comparison.metrics}
    scripts = [script(), *([plotly_script()] if plots else [])]
    given = _evidence(results, comparison, evidence)
    return environment.get_template("page.html.j2").render(
        **given,
        comparison=comparison,
        facts=comparison.facts,
        label=comparison.primary.label,
        first=table.header[0],
        results=results,
        evidence=evidence,
        table=table,
        verdicts=verdict_table(comparison, table, sealed=results.sealed),
        answer=answer(comparison),
        sealed=sealed_sentences(results),
        limits=limit_sentences(comparison),
        plots=plots,
        declined=[(DECLINED.get(name, name), why) for name, why in evidence.declined.items()],
        tuning=TUNING,
        tuned_arms=_tuned_arms(plots),
        contents=contents(results, comparison, evidence, table, plots),
        link_to_arm=link_to_arm,
        missing=MISSING,
        most_failures=MOST_FAILURES,
        page_rows=PAGE_ROWS,
        cells=packed(compact_json(cell_archive(results, labels))),
        plots_data=packed(compact_json(plots_as_json(plots))),
        policy=policy(*scripts),
        styles=styles(),
        script=scripts[0],
        plotly_js=packed_plotly() if plots else "",
    )


def show_duration(seconds: float | None) -> str:
    """Seconds for a person: `42 s`, `12 min`, `3.4 h`."""
    if seconds is None:
        return MISSING
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def _evidence(results: Results, comparison: Comparison, evidence: Evidence) -> dict[str, Any]:
    """What the sections beyond the verdicts draw."""
    effects = evidence.effects
    return {
        "levels": _levels(effects),
        "effects": main_effect_rows(evidence, comparison),
        "interactions": interaction_rows(evidence, comparison),
        "interaction_heat": interaction_table(effects, comparison)
        if effects and effects.interactions
        else None,
        "shapley": shapley_rows(evidence, comparison),
        "matrices": matrix_tables(evidence, comparison),
        "path": path_rows(evidence, comparison),
        "frozen": frozen_rows(evidence, comparison),
        "slices": slice_table(evidence, comparison) if evidence.slices else None,
        "shared": shared_rows(results.information),
        "parts": PARTS,
    }


def _levels(effects: FactorialEffects | None) -> list[tuple[str, str, str]]:
    """(factor, off, on) where the levels are not called so."""
    if effects is None:
        return []
    named = zip(effects.factors, effects.levels, strict=False)
    return [(f, off, on) for f, (off, on) in named if (off, on) != ("off", "on")]


def _tuned_arms(plots: dict[str, Any]) -> list[str]:
    """Arms that the chooser of the tuning section offers, in the order of the study."""
    names = {v.name: None for plot in plots.values() if plot.chooser for v in plot.variants}
    return list(names)
