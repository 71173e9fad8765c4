"""The report as files."""

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from reports.evidence.comparison import Comparison, compare
from reports.evidence.evidence import Evidence
from reports.evidence.gathering import gather
from reports.page.render_html import render_html
from reports.paper.render_latex import render_latex
from reports.paper.render_markdown import render_markdown
from reports.render_csv import render_cells_csv, render_claims_csv, render_csv
from reports.results import Metric, Results
from reports.tables import Table, build_table


@dataclass(frozen=True, kw_only=True)
class Report:
    """A written report: the files, and the values that they were drawn from.

    Attributes:
        html, latex, markdown, csv, cells: the files.
        claims: claims.csv; None where the study states no claim.
        comparison, evidence, table: for whoever shows the result elsewhere, e.g. in a terminal.
    """

    html: Path
    latex: Path
    markdown: Path
    csv: Path
    cells: Path
    claims: Path | None
    comparison: Comparison
    evidence: Evidence
    table: Table


def write_report(
    results: Results, metrics: Mapping[str, Metric], folder: Path, *, seed: int = 0
) -> Report:
    """Write report.html, table.tex, table.md, table.csv and cells.csv, each whole or not at all.

    A study with claims also has claims.csv.

    Args:
        results: complete or not; the report says what is missing.
        metrics: name, as in `metric.test.<name>`, -> its definition.
        folder: made if it does not exist.
        seed: of all resampling; same results and seed, same files.

    Raises:
        ResultsError: the results do not fit the metrics.
    """
    comparison = compare(results, metrics, seed=seed)
    evidence = gather(results, comparison, metrics, seed=seed)
    table = build_table(comparison)
    folder.mkdir(parents=True, exist_ok=True)
    report = Report(
        html=folder / "report.html",
        latex=folder / "table.tex",
        markdown=folder / "table.md",
        csv=folder / "table.csv",
        cells=folder / "cells.csv",
        claims=folder / "claims.csv" if comparison.claims else None,
        comparison=comparison,
        evidence=evidence,
        table=table,
    )
    _replace(report.cells, render_cells_csv(results))
    _replace(report.csv, render_csv(comparison))
    if report.claims:
        _replace(report.claims, render_claims_csv(comparison))
    else:  # those of an earlier report are no part of this one
        (folder / "claims.csv").unlink(missing_ok=True)
    _replace(report.markdown, render_markdown(table))
    _replace(report.latex, render_latex(table))
    _replace(report.html, render_html(results, comparison, evidence, table))
    return report


def _replace(path: Path, text: str) -> None:
    """Write beside the file, then rename: a reader sees the old file or the new one."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    part = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        part.chmod(0o644)  # mkstemp's 0600 would hide a report on a shared disk
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
