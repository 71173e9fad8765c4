"""The fast path of `triptych run`: a finished study that is as the last run left it.

The tracking marker holds as long as plan, ledger and report are those that the server has. So the
same command trains nothing and makes no report again. Imports nothing that trains, searches or
draws: that alone takes seconds.
"""

from collections.abc import Callable

from reports.results import ResultsError
from search.engine.options import RunOptions
from search.ledger.ledger import read_ledger
from search.results.folder import measure_completion, read_manifest, study_text
from search.results.layout import ANSWER, REPORT, STUDY
from search.results.plan_facts import manifest_of
from search.study.open import OpenedStudy
from search.tracking import has_report, is_synced, local_store
from spaces.core import Status


def print_if_unchanged(
    opened: OpenedStudy, options: RunOptions, print_line: Callable[[str], None]
) -> bool:
    """Print the answer of a finished study without failures, if a run now would change nothing.

    Args:
        opened: Study on one data set.
        options: Options of the run.
        print_line: Receiver of each line.

    Returns:
        Whether there is nothing to do, so that the answer was printed.
    """
    folder = opened.folder
    if opened.dataset is None or opened.stale is not None or options.mirror is not None:
        return False
    uri = options.tracking_uri or local_store(folder)
    manifest = manifest_of(opened.plan, opened.dataset, uri)
    try:
        kept = read_manifest(folder)
        kept_study = (folder / STUDY).read_text(encoding="utf-8")
        answer = (folder / REPORT / ANSWER).read_text(encoding="utf-8")
    except (ResultsError, OSError):
        return False
    if kept_study != study_text(opened.plan.study):
        return False
    if not (is_synced(folder, manifest) and has_report(folder, manifest)):
        return False
    completion = measure_completion(kept, read_ledger(folder))
    failed = any(cell.status == Status.FAILED for cell in completion.cells)
    if failed or completion.confirm_done < completion.confirm_planned:
        return False
    print_line(f"nothing to do: {len(completion.cells)} cells are finished")
    for line in answer.splitlines():
        print_line(line)
    print_line(f"report: {folder / REPORT / 'report.html'}")
    return True
