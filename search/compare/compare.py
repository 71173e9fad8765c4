"""`triptych compare`: two studies, or two versions of one."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
from rich.console import Console

from reports.evidence.comparison import compare_arms
from reports.evidence.versions import compare_studies
from reports.paper.render_side import render_side_csv, render_side_latex, render_side_markdown
from reports.paper.side_by_side import side_by_side
from reports.results import Results, ResultsError
from reports.tables import build_table
from search.atomic_files import write_text_atomically
from search.compare.render import (
    Sheet,
    only_lines,
    render_csv,
    render_latex,
    render_markdown,
    render_terminal,
    setting_lines,
    sheet_as_json,
    summary_sentences,
    table_caption,
)
from search.compare.settings import differing_settings
from search.console import print_line
from search.results.folder import ledger_results, results_folder
from search.results.tasks import task_of
from spaces.errors import StudyError

SEED = 0  # of all resampling, as in a report


def compare_folders(names: Sequence[str], workdir: Path, out: Path | None, as_json_: bool) -> None:
    """Compare two studies; of more, only write the tables side by side.

    Args:
        names: Names of the studies, their files or results folders.
        workdir: Folder that results are below.
        out: Folder for compare.md, .tex and .csv and the tables side by side; None = print only.
        as_json_: Whether to print JSON.

    Raises:
        StudyError: too few studies, or more than two and nowhere to write.
        ResultsError, LedgerError: no results there, or results that can't be compared.
    """
    folders = [results_folder(name, workdir) for name in names]
    _check_folders(folders, out)
    console = Console(stderr=as_json_)
    results = [ledger_results(folder) for folder in folders]
    if len(folders) == 2:
        sheet = build_sheet(folders, results)
        if as_json_:
            click.echo(json.dumps(sheet_as_json(sheet), ensure_ascii=False))
        else:
            _print_sheet(sheet, console)
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            texts = {
                "compare.md": render_markdown(sheet),
                "compare.tex": render_latex(sheet),
                "compare.csv": render_csv(sheet),
            }
            for name, text in texts.items():
                write_text_atomically(out / name, text)
                print_line(console, f"{out / name} written")
    if out is not None:
        write_side_by_side(dict(zip(folders, results, strict=True)), out)
        print_line(console, f"tables side by side: {out}")


def build_sheet(folders: Sequence[Path], results: Sequence[Results]) -> Sheet:
    """Compare two studies and name them.

    Args:
        folders: Two results folders.
        results: Results of each.

    Raises:
        ResultsError: they can't be compared.
    """
    first, second = results
    versus = compare_studies(first, second, task_of(first.facts), seed=SEED)
    names = distinct_names(folders, [one.facts.study for one in results])
    settings = differing_settings((folders[0], first.facts), (folders[1], second.facts))
    return Sheet(first=names[0], second=names[1], versus=versus, settings=settings)


def distinct_names(folders: Sequence[Path], studies: Sequence[str]) -> list[str]:
    """Return different names of two studies: two versions of one are named by their folders.

    Args:
        folders: Results folders.
        studies: Names of the studies.
    """
    if studies[0] != studies[1]:
        return list(studies)
    parts = [folder.resolve().parts for folder in folders]
    for depth in range(1, max(map(len, parts)) + 1):
        names = ["/".join(part[-depth:]) for part in parts]
        if names[0] != names[1]:
            return names
    return [f"{studies[0]} (first)", f"{studies[1]} (second)"]


def _check_folders(folders: Sequence[Path], out: Path | None) -> None:
    if len(folders) < 2:
        raise StudyError("compare needs two studies: names, files or results folders")
    if len(folders) > 2 and out is None:
        raise StudyError(
            f"{len(folders)} studies are written side by side, and not held against each other; "
            "say where with --out FOLDER, or name two"
        )
    # Resolved: the same folder may be given by its name and by its path.
    if len({folder.resolve() for folder in folders}) == len(folders):
        return
    if len(folders) == 2:
        raise StudyError(f"both are {folders[0]}; name two results folders")
    raise ResultsError("the same results folder was given twice")


def write_side_by_side(results: Mapping[Path, Results], out: Path) -> None:
    """Write `side-by-side.tex`, `.md` and `.csv` of several studies into a folder.

    A study is called by its name; where two have the same, also by its folder.

    Args:
        results: Results folder -> its results, in the order of the columns.
        out: Folder, made if it does not exist.
    """
    names = [found.facts.study for found in results.values()]
    named = {}
    for folder, found in results.items():
        study = found.facts.study
        name = study if names.count(study) == 1 else f"{study} ({folder})"
        comparison = compare_arms(found, task_of(found.facts), seed=SEED)
        named[name] = (comparison, build_table(comparison))
    sides = side_by_side(named)
    out.mkdir(parents=True, exist_ok=True)
    write_text_atomically(out / "side-by-side.tex", render_side_latex(sides))
    write_text_atomically(out / "side-by-side.md", render_side_markdown(sides))
    write_text_atomically(out / "side-by-side.csv", render_side_csv(sides))


def _print_sheet(sheet: Sheet, console: Console) -> None:
    if sheet.versus.arms:
        drawn = render_terminal(sheet, console.width)
        if isinstance(drawn, list):
            for line in drawn:
                print_line(console, line)
        else:
            console.print(drawn)
        for line in (table_caption(sheet), ""):
            print_line(console, line)
    for line in (*summary_sentences(sheet), *only_lines(sheet)):
        print_line(console, line)
    for note in sheet.versus.notes:
        print_line(console, f"note: {note}")
    for line in ["", *setting_lines(sheet)]:
        print_line(console, line)
