"""The report as one HTML file that needs no network: it holds plotly.js, and fonts are local."""

import re
from collections.abc import Sequence
from functools import partial
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined

from reports.evidence.comparison import Comparison
from reports.evidence.values import Evidence, FactorialEffects, Number
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
from reports.page.figures.plots import TUNING, make_plots, plots_as_json
from reports.page.heat_tables import interaction_table, matrix_tables, slice_table
from reports.page.marks import draw_interval, draw_pair, draw_stack, scale_of_rows
from reports.page.verdict_table import ALL_CONFIRMED, link_to_arm, verdict_table
from reports.results import Results, SharedInformation
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
    "slices": "Parts of the test set",
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
        show=format_number,
        show_interval=format_interval,
        show_p=format_p,
        duration=show_duration,
        sections=list_sections,
    )
    plots = make_plots(comparison, evidence)
    # A page without a figure is 2 MB smaller: it does not carry plotly.js.
    labels = {metric.name: metric.label for metric in comparison.metrics}
    scripts = [page_script(), *([plotly_script()] if plots else [])]
    effects, higher_is_better = evidence.effects, comparison.primary.higher_is_better
    return environment.get_template("page.html.j2").render(
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
        levels=_named_levels(effects),
        interaction_heat=interaction_table(effects, comparison)
        if effects and effects.interactions
        else None,
        matrices=matrix_tables(evidence, comparison),
        slices=slice_table(evidence, comparison) if evidence.slices else None,
        interval_style=partial(interval_style, higher_is_better=higher_is_better),
        scale_of_rows=scale_of_rows,
        draw_interval=draw_interval,
        draw_pair=draw_pair,
        draw_stack=draw_stack,
        longest_bar=_longest_bar(results.information),
        all_confirmed=ALL_CONFIRMED,
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


def list_sections(html: str) -> list[tuple[str, str]]:
    """List id and title of the sections of a part of the page, for its contents."""
    return re.findall(r'<h2 id="([\w-]+)"[^>]*>([^<]+)</h2>', html)


def interval_style(low: Number, high: Number, *, higher_is_better: bool) -> str:
    """Return the colour of an interval: its side of 0, which is no verdict."""
    if low is None or high is None or low <= 0 <= high:
        return "undecided"
    return "better" if (low > 0) == higher_is_better else "worse"


def _longest_bar(information: Sequence[SharedInformation]) -> float:
    """Return the bits of the pair with the most; amounts below 0 take no room in a bar."""
    amounts = ((i.redundancy, i.unique_first, i.unique_second, i.synergy) for i in information)
    return max((sum(max(0.0, one.value) for one in parts) for parts in amounts), default=0.0)


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
