"""The report as one HTML file that needs no network: plotly.js is inside it, fonts are local."""

from importlib.resources import files

import plotly.io
from jinja2 import Environment, StrictUndefined
from plotly.graph_objects import Figure
from plotly.offline import get_plotlyjs

from reports.evidence.comparison import Comparison
from reports.evidence.evidence import Evidence
from reports.numerals import MISSING, show, show_interval, show_p
from reports.page.figures import delta_data, draw_delta, draw_seeds, seeds_data
from reports.results import Results
from reports.tables import Table
from reports.wording import answer, limit_sentences

MOST_FAILURES = 50  # of one kind that are listed one by one: each may bring its log
_CONFIG = {"displayModeBar": False, "responsive": True, "scrollZoom": False}


def render_html(results: Results, comparison: Comparison, evidence: Evidence, table: Table) -> str:
    """The whole report as one page; every text of the study is escaped by the template."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(
        show=show, show_interval=show_interval, show_p=show_p, duration=show_duration
    )
    source = files("reports.page").joinpath("page.html.j2").read_text(encoding="utf-8")
    has_values = any(comparison.seed_values.values())
    has_deltas = any(e.delta is not None for e in comparison.estimates)
    return environment.from_string(source).render(
        comparison=comparison,
        facts=comparison.facts,
        table=table,
        answer=answer(comparison),
        limits=limit_sentences(comparison),
        missing=MISSING,
        most_failures=MOST_FAILURES,
        plotly_js=get_plotlyjs() if has_values else "",
        delta_figure=_fragment(draw_delta(delta_data(comparison)), "delta") if has_deltas else "",
        seeds_figure=_fragment(draw_seeds(seeds_data(comparison)), "seeds") if has_values else "",
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


def _fragment(figure: Figure, name: str) -> str:
    # The id is fixed: a random one would make the same report differ from run to run.
    return str(
        plotly.io.to_html(
            figure, full_html=False, include_plotlyjs=False, div_id=name, config=_CONFIG
        )
    )
