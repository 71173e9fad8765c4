"""All files that a report has for a paper."""

from reports.evidence.comparison import Comparison
from reports.evidence.values import Evidence
from reports.paper.bibliography import citable_entries, render_bib
from reports.paper.design_tables import effects_decimals, render_effects, render_modules
from reports.paper.document import render_document
from reports.paper.figure_list import figure_files, list_drawings
from reports.paper.methods import methods_paragraphs
from reports.paper.prose import cited_keys, prose_latex, prose_markdown
from reports.paper.render_latex import render_latex
from reports.results import Results
from reports.tables import Table


def paper_files(
    results: Results, comparison: Comparison, evidence: Evidence, table: Table
) -> dict[str, str | bytes]:
    """Return relative file name -> content; the same values give the same bytes.

    `main.tex` compiles as it is and shows all others: `methods.tex`, `table.tex` (means and
    standard deviations), `table-intervals.tex` (means and intervals), `modules.tex` and
    `effects.tex` where the study has a design, `figures/*.pdf`, `references.bib`. Beside them are
    `methods.md` and the figures as SVG. Tables are there even of a study without results yet,
    figures are not.
    """
    entries = citable_entries(comparison.facts)
    paragraphs = methods_paragraphs(results, comparison, evidence)
    keys = cited_keys(paragraphs, entries)
    tables = {
        "table.tex": render_latex(table),
        "table-intervals.tex": render_latex(table, spread="interval"),
        "modules.tex": render_modules(table, comparison.facts.levels),
        "effects.tex": render_effects(comparison, evidence, effects_decimals(table)),
    }
    # Without a design `modules.tex` and `effects.tex` are empty, and are not written.
    shown = {
        "methods.tex": prose_latex(paragraphs, entries) + "\n",
        **{name: text for name, text in tables.items() if text},
    }
    figures = list_drawings(comparison, evidence, table)
    files: dict[str, str | bytes] = {
        "main.tex": render_document(comparison.facts, list(shown), figures, cites=bool(keys)),
        **shown,
        "methods.md": prose_markdown(paragraphs, entries) + "\n",
        "references.bib": render_bib(entries, keys),
    }

    files.update({f"figures/{name}": content for name, content in figure_files(figures).items()})
    return files
