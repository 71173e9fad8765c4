"""From results to a written report and what the terminal says of it.

Apart from the other commands because the statistics behind it take seconds to import.
"""

from pathlib import Path

from rich.console import Console

from msa_core.metrics import SCHEMES
from reports.render_terminal import terminal_table
from reports.results import Results
from reports.wording import answer, claim_sentences
from reports.write import write_report
from search.console import say
from search.results.embargo import sealed_sentence
from search.results.folder import REPORT


def report_on(results: Results, folder: Path, console: Console) -> list[str]:
    """Write a study's report into its results folder, and print its table and its answer.

    Of a study whose test metrics are sealed, it prints how far it is instead.

    Returns:
        The answer, sentence by sentence.
    """
    report = write_report(results, SCHEMES[results.facts.scheme], folder / REPORT)
    if results.sealed:
        say(console, sealed_sentence(results))
        say(console, f"report: {report.html}")
        return []
    console.print()
    console.print(terminal_table(report.table, console.width))
    sentences = [
        *answer(report.comparison),
        *claim_sentences(report.comparison),
        *results.openings,
    ]
    for sentence in sentences:
        say(console, sentence)
    say(console, f"report: {report.html}")
    return sentences
