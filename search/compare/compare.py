"""`triptych compare`: two studies, or two versions of one."""

import json
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console

from msa_core.metrics import SCHEMES
from reports.evidence.versions import compare_studies
from reports.results import Results
from search.atomic_files import write_whole
from search.compare.render import (
    Sheet,
    as_csv,
    as_json,
    as_latex,
    as_markdown,
    caption,
    only_lines,
    setting_lines,
    summary,
    terminal,
)
from search.compare.settings import unlike_settings
from search.compare.side_by_side import check_folders, write_sides
from search.console import say
from search.results.folder import ledger_results, results_folder
from spaces.errors import StudyError

SEED = 0  # of all resampling, as in a report


def compare(names: Sequence[str], workdir: Path, out: Path | None, as_json_: bool) -> None:
    """Hold two studies against each other; of more, only write the tables side by side.

    Args:
        names: of the studies, their files or results folders.
        workdir: results are below it.
        out: folder for compare.md, .tex and .csv and the tables side by side; None = print only.
        as_json_: print JSON.

    Raises:
        StudyError: too few studies, or more than two and nowhere to write.
        ResultsError, LedgerError: no results there, or such as can't be held against each other.
    """
    folders = [results_folder(name, workdir) for name in names]
    _check(folders, out)
    check_folders(folders)
    console = Console(stderr=as_json_)
    results = [ledger_results(folder) for folder in folders]
    if len(folders) == 2:
        sheet = sheet_of(folders, results)
        if as_json_:
            click.echo(json.dumps(as_json(sheet), ensure_ascii=False))
        else:
            _show(sheet, console)
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            for name, text in _files(sheet).items():
                write_whole(out / name, text)
                say(console, f"{out / name} written")
    if out is not None:
        write_sides(dict(zip(folders, results, strict=True)), out)
        say(console, f"tables side by side: {out}")


def sheet_of(folders: Sequence[Path], results: Sequence[Results]) -> Sheet:
    """What is said of two studies.

    Args:
        folders: of their results, two.
        results: of each.

    Raises:
        ResultsError: they can't be held against each other.
    """
    first, second = results
    versus = compare_studies(first, second, SCHEMES[first.facts.scheme], seed=SEED)
    names = told_apart(folders, [one.facts.study for one in results])
    settings = unlike_settings((folders[0], first.facts), (folders[1], second.facts))
    return Sheet(first=names[0], second=names[1], versus=versus, settings=settings)


def told_apart(folders: Sequence[Path], studies: Sequence[str]) -> list[str]:
    """Names of two studies that differ: two versions of one are named by their folders.

    Args:
        folders: of the results.
        studies: the studies' names.
    """
    if studies[0] != studies[1]:
        return list(studies)
    parts = [folder.resolve().parts for folder in folders]
    for depth in range(1, max(map(len, parts)) + 1):
        names = ["/".join(part[-depth:]) for part in parts]
        if names[0] != names[1]:
            return names
    return [f"{studies[0]} (first)", f"{studies[1]} (second)"]


def _check(folders: Sequence[Path], out: Path | None) -> None:
    if len(folders) < 2:
        raise StudyError("compare needs two studies: names, files or results folders")
    if len(folders) > 2 and out is None:
        raise StudyError(
            f"{len(folders)} studies are written side by side, and not held against each other; "
            "say where with --out FOLDER, or name two"
        )
    if len(folders) == 2 and folders[0].resolve() == folders[1].resolve():
        raise StudyError(f"both are {folders[0]}; name two results folders")


def _files(sheet: Sheet) -> dict[str, str]:
    return {
        "compare.md": as_markdown(sheet),
        "compare.tex": as_latex(sheet),
        "compare.csv": as_csv(sheet),
    }


def _show(sheet: Sheet, console: Console) -> None:
    if sheet.versus.arms:
        drawn = terminal(sheet, console.width)
        if isinstance(drawn, list):
            for line in drawn:
                say(console, line)
        else:
            console.print(drawn)
        for line in (caption(sheet), ""):
            say(console, line)
    for line in (*summary(sheet), *only_lines(sheet)):
        say(console, line)
    for note in sheet.versus.notes:
        say(console, f"note: {note}")
    for line in ["", *setting_lines(sheet)]:
        say(console, line)
