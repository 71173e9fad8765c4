"""The report as one HTML file that needs no network: it holds plotly.js, and fonts are local."""

from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined

from reports.evidence.comparison import Comparison
from reports.evidence.values import Evidence, FactorialEffects
from reports.numerals import MISSING, format_interval, format_number, format_p
from reports.page.assets import (
    compact_json,
    pack_text,
    packed_plotly,
    page_script,
    page_styles,
    plotly_script,
    read_asset,
    security_policy,
)
from reports.page.cell_archive import cell_archive
from reports.page.contents import list_sections
from reports.page.drawn_rows import (
    PARTS,
    frozen_rows,
    interaction_rows,
    main_effect_rows,
    path_rows,
    shapley_rows,
    shared_rows,
)
from reports.page.figures.plots import TUNING, make_plots, plots_as_json
from reports.page.heat_tables import interaction_table, matrix_tables, slice_table
from reports.page.verdict_table import link_to_arm, verdict_table
from reports.results import Results
from reports.tables import Table
from reports.wording import answer_sentences, embargo_sentences, limit_sentences

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
    """Return the whole report as one page; the template escapes every text of the study.

    Args:
        results: Results of the study, with the cells behind every number.
        comparison: Comparison of these results.
        evidence: Further evidence from these results.
        table: Table of the comparison.
    """
    environment = Environment(
        autoescape=True,
        # A misspelt name in a template is an error, and not an empty text.
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=FunctionLoader(read_asset),
    )
    environment.filters.update(
        show=format_number, show_interval=format_interval, show_p=format_p, duration=show_duration
    )
    plots = make_plots(comparison, evidence)
    # A page without a figure is 2 MB smaller: it does not carry plotly.js.
    labels = {metric.name: metric.label for metric in comparison.metrics}
    scripts = [page_script(), *([plotly_script()] if plots else [])]
    given = _evidence_sections(results, comparison, evidence)
    return environment.get_template("page.html.j2").render(
        **given,
        comparison=comparison,
        facts=comparison.facts,
        label=comparison.primary.label,
        first=table.header[0],
        results=results,
        evidence=evidence,
        table=table,
        verdicts=verdict_table(comparison, table, embargoed=results.embargoed),
        answer=answer_sentences(comparison),
        sealed=embargo_sentences(results),
        limits=limit_sentences(comparison),
        plots=plots,
        declined=[(DECLINED.get(name, name), why) for name, why in evidence.declined.items()],
        tuning=TUNING,
        tuned_arms=_tuned_arms(plots),
        contents=list_sections(results, comparison, evidence, table, plots),
        link_to_arm=link_to_arm,
        missing=MISSING,
        most_failures=MOST_FAILURES,
        page_rows=PAGE_ROWS,
        cells=pack_text(compact_json(cell_archive(results, labels))),
        plots_data=pack_text(compact_json(plots_as_json(plots))),
        policy=security_policy(*scripts),
        styles=page_styles(),
        script=scripts[0],
        plotly_js=packed_plotly() if plots else "",
    )


def show_duration(seconds: float | None) -> str:
    """Return seconds in a readable unit: `42 s`, `12 min`, `3.4 h`."""
    if seconds is None:
        return MISSING
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def _evidence_sections(
    results: Results, comparison: Comparison, evidence: Evidence
) -> dict[str, Any]:
    """Return the rows and tables of the sections beyond the verdicts, by their template names."""
    effects = evidence.effects
    return {
        "levels": _named_levels(effects),
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


def _named_levels(effects: FactorialEffects | None) -> list[tuple[str, str, str]]:
    """Return (factor, off, on) where the levels of a factor have other names."""
    if effects is None:
        return []
    named = zip(effects.factors, effects.levels, strict=False)
    return [(f, off, on) for f, (off, on) in named if (off, on) != ("off", "on")]


def _tuned_arms(plots: dict[str, Any]) -> list[str]:
    """Return the arms that the chooser of the tuning section offers, in the order of the study."""
    names = {v.name: None for plot in plots.values() if plot.chooser for v in plot.variants}
    return list(names)
