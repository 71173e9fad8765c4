"""A report as files: page, tables, evidence and paper."""

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from reports.evidence.comparison import Comparison, compare_arms
from reports.evidence.gather import gather_evidence
from reports.evidence.values import Evidence
from reports.loading import TABLES
from reports.page.render_html import render_html
from reports.paper.files import paper_files
from reports.paper.render_latex import render_latex
from reports.paper.render_markdown import render_markdown
from reports.render_csv import evidence_csvs, render_cells_csv, render_claims_csv, render_csv
from reports.results import MetricDefinition, Results
from reports.tables import Table, build_table

PAGE = "report.html"
PAPER = "paper"


@dataclass(frozen=True, kw_only=True)
class Report:
    """Written report: the files, and the values that they were drawn from.

    Attributes:
        html: Path of the page.
        files: Name in the report's folder -> path, for all files with the page.
        comparison, evidence, table: Values for other output of the same result, e.g. a terminal.
    """

    html: Path
    files: Mapping[str, Path]
    comparison: Comparison
    evidence: Evidence
    table: Table


def write_report(
    results: Results,
    metrics: Mapping[str, MetricDefinition],
    folder: Path,
    *,
    seed: int = 0,
    paper: bool = True,
) -> Report:
    """Write the page, the tables, the data behind the numbers, and `paper/`.

    Each file is an atomic write, the page last; files of an earlier report that this one does not
    have are removed.

    Args:
        results: Results of a study, complete or not; the report lists what is missing.
        metrics: Name, as in `metric.test.<name>` -> definition.
        folder: Folder of the report; made if it does not exist.
        seed: Seed of all resampling; same results and seed give the same files.
        paper: Whether to write `paper/`, whose figures take seconds.

    Raises:
        ResultsError: The results do not fit the metrics.
    """
    comparison = compare_arms(results, metrics, seed=seed)
    evidence = gather_evidence(results, comparison, metrics, seed=seed)
    table = build_table(comparison)
    contents: dict[str, str | bytes] = {
        "cells.csv": render_cells_csv(results),
        "table.csv": render_csv(comparison),
        **({"claims.csv": render_claims_csv(comparison)} if comparison.claims else {}),
        **evidence_csvs(evidence),
        "table.md": render_markdown(table),
        "table.tex": render_latex(table),
    }
    if paper:
        made = paper_files(results, comparison, evidence, table)
        contents |= {f"{PAPER}/{name}": content for name, content in made.items()}
    # The page is the last entry: it sends readers to `cells.csv`, which is then the new one.
    contents[PAGE] = render_html(results, comparison, evidence, table)
    for name, content in contents.items():
        _write_atomically(folder / name, content)
    _remove_others(folder, contents)
    return Report(
        html=folder / PAGE,
        files={name: folder / name for name in contents},
        comparison=comparison,
        evidence=evidence,
        table=table,
    )


def _write_atomically(path: Path, content: str | bytes) -> None:
    """Write to a temporary file, then rename: a reader sees the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    raw = content.encode("utf-8") if isinstance(content, str) else content
    # In the same folder, because a rename is atomic within one file system only.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(raw)
        part.chmod(0o644)  # mkstemp's 0600 would hide a report on a shared disk
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _remove_others(folder: Path, contents: Mapping[str, str | bytes]) -> None:
    """Remove files of an earlier report that this one does not have."""
    # Only names that a report can write: users may keep files of their own beside them.
    possible = [folder / name for name in TABLES.values()]
    possible += [*(folder / PAPER).glob("*.tex"), *(folder / PAPER / "figures").glob("*.*")]
    for path in possible:
        if path.relative_to(folder).as_posix() not in contents:
            path.unlink(missing_ok=True)
