"""Several results folders side by side, as files."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from msa_core.metrics import SCHEMES
from reports.evidence.comparison import compare
from reports.paper.render_side import render_side_csv, render_side_latex, render_side_markdown
from reports.paper.side_by_side import SideBySide, side_by_side
from reports.results import Results, ResultsError
from reports.tables import build_table
from search.atomic_files import write_whole
from search.results.folder import ledger_results

NAME = "side-by-side"


def write_side_by_side(folders: Sequence[Path], out: Path) -> SideBySide:
    """Read ledgers and write `side-by-side.tex`, `.md` and `.csv` into a folder.

    A study is called by its name; where two have the same, also by its folder.

    Args:
        folders: of results, in the order of the columns.
        out: made if it does not exist.

    Raises:
        ResultsError: no or only one folder, one twice, or no results in one.
        LedgerError: a damaged ledger.
    """
    check_folders(folders)
    return write_sides({folder: ledger_results(folder) for folder in folders}, out)


def check_folders(folders: Sequence[Path]) -> None:
    """Refuse what can't be put side by side.

    Raises:
        ResultsError: no or only one folder, or one twice.
    """
    if len(folders) < 2:
        raise ResultsError("side by side needs at least two results folders")
    resolved = [folder.resolve() for folder in folders]
    if len(set(resolved)) < len(resolved):
        raise ResultsError("the same results folder was given twice")


def write_sides(results: Mapping[Path, Results], out: Path) -> SideBySide:
    """The same of results that are read already.

    Args:
        results: folder, for the name, -> its results, in the order of the columns.
        out: made if it does not exist.
    """
    sides = sides_of(results)
    out.mkdir(parents=True, exist_ok=True)
    write_whole(out / f"{NAME}.tex", render_side_latex(sides))
    write_whole(out / f"{NAME}.md", render_side_markdown(sides))
    write_whole(out / f"{NAME}.csv", render_side_csv(sides))
    return sides


def sides_of(results: Mapping[Path, Results]) -> SideBySide:
    """The same as a value.

    Args:
        results: folder, for the name, -> its results.
    """
    names = [found.facts.study for found in results.values()]
    named = {}
    for folder, found in results.items():
        study = found.facts.study
        name = study if names.count(study) == 1 else f"{study} ({folder})"
        comparison = compare(found, SCHEMES[found.facts.scheme], seed=0)
        named[name] = (comparison, build_table(comparison))
    return side_by_side(named)
