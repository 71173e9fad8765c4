"""From results to a written report and its lines on the terminal.

Imported late by the commands: the statistics behind a report take seconds to import.
"""

from pathlib import Path

from rich.console import Console

from reports.render_terminal import terminal_table
from reports.results import Results, ResultsError
from reports.wording import answer_sentences, claim_sentences
from reports.write import write_report
from search.atomic_files import write_text_atomically
from search.console import print_line
from search.results.embargo import embargo_sentence, lift_embargo
from search.results.folder import ledger_results, read_manifest, results_folder
from search.results.layout import ANSWER, REPORT
from search.results.tasks import task_of


def write_and_print_report(results: Results, folder: Path, console: Console) -> None:
    """Write a study's report into its results folder, and print its table and its answer.

    The answer is in `answer.txt` too. Of a study under embargo it prints how far the study is
    instead.
    """
    answer = folder / REPORT / ANSWER
    answer.unlink(missing_ok=True)
    report = write_report(results, task_of(results.facts), folder / REPORT)
    if results.embargoed:
        print_line(console, embargo_sentence(results))
        print_line(console, f"report: {report.html}")
        return
    console.print()
    console.print(terminal_table(report.table, console.width))
    sentences = [
        *answer_sentences(report.comparison),
        *claim_sentences(report.comparison),
        *results.unblindings,
    ]
    write_text_atomically(answer, "".join(f"{sentence}\n" for sentence in sentences))
    for sentence in sentences:
        print_line(console, sentence)
    print_line(console, f"report: {report.html}")


def write_study_report(
    name: str, workdir: Path, source: str, tracking_uri: str | None, unseal_now: bool = False
) -> None:
    """Write a study's report again, from its ledger or from MLflow alone.

    Args:
        name: Name of a study, its file or a results folder.
        workdir: Folder whose `runs/` holds the results.
        source: `ledger` or `mlflow`.
        tracking_uri: Address of the server; None = the one of the run.
        unseal_now: Whether to show the test metrics of an unfinished study too, and log that.

    Raises:
        ResultsError: No results there, or an embargo that can't be lifted.
    """
    # Late: of the two sources most reports need the ledger alone.
    from reports.mlflow_source import read_mlflow

    folder = results_folder(name, workdir)
    if unseal_now and source != "ledger":
        raise ResultsError(
            "--unseal: MLflow has no test metrics of an unfinished study; leave out --from mlflow, "
            "and the report is made from the ledger"
        )
    if source == "ledger":
        results = ledger_results(folder, unseal=unseal_now and lift_embargo(folder))
    elif tracking_uri:
        results = read_mlflow(tracking_uri, folder.name)
    else:
        manifest = read_manifest(folder)
        results = read_mlflow(manifest.tracking_uri, manifest.facts.study, plan=manifest.digest)
    write_and_print_report(results, folder, Console())
