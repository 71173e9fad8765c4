"""From the name of a study to its plans: one per data set, each with its data and its folder."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from search.provenance import arm_version, current_versions
from search.results.folder import read_manifest
from search.results.layout import PLAN, RUNS
from search.study.given_files import files_by_set
from search.study.stale import StaleCells, check_kept, find_stale_cells, keep_cells
from spaces.core import Data, DataSource
from spaces.errors import StudyError
from spaces.plan.arms_on_data import Versions
from spaces.plan.plan import Plan, plan_study
from spaces.study_file.load import Study, find_study, load_study


class StaleAnswer(StrEnum):
    """What becomes of cells of an older version of data or code."""

    ASK = "ask"  # a run refuses; a plan shows what there is
    RERUN = "rerun"
    KEEP = "keep"


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenedStudy:
    """A study on one data set, and its results folder.

    Attributes:
        dataset: Data of the study; None if it names no data and none was given.
        source: Where the dataset comes from.
        stale: Cells of the folder from other versions of data or code; None = there are none.
        keeps_stale: Whether those cells count.
    """

    study: Study
    plan: Plan
    dataset: Data | None
    folder: Path
    source: DataSource | None = None
    stale: StaleCells | None = None
    keeps_stale: bool = False


def open_study(
    name: str,
    data: Sequence[str],
    overrides: Sequence[str],
    workdir: Path,
    *,
    need_data: bool,
    stale_answer: StaleAnswer = StaleAnswer.ASK,
    fetch: Callable[[Path], object] = lambda folder: None,
) -> list[OpenedStudy]:
    """Read a study and its data and lay out a plan for each data set.

    Args:
        name: Study file, or name of a shipped study.
        data: Values of `--data`: a feature file, or `name=file` for one of several sets.
        overrides: Values of `--set`.
        workdir: Folder whose `runs/` holds the results.
        need_data: Whether a study without data is an error.
        stale_answer: What becomes of cells of another version of data or code: `keep` plans with
            their version; `ask` and `rerun` with today's.
        fetch: Called with each results folder before anything is read from it.

    Raises:
        StudyError, DataError: Anything wrong in the study or in its data.
    """
    study = load_study(find_study(name), overrides)
    files = {name: Path(file) for name, file in files_by_set(study, data, "--data").items()}
    return [
        _open_on_set(
            study,
            one,
            files.get(name),
            workdir,
            fetch,
            need_data=need_data,
            stale_answer=stale_answer,
        )
        for name, one in zip(study.sets, study.on_sets(), strict=True)
    ]


def _open_on_set(
    whole: Study,
    study: Study,
    file: Path | None,
    workdir: Path,
    fetch: Callable[[Path], object],
    *,
    need_data: bool,
    stale_answer: StaleAnswer,
) -> OpenedStudy:
    source = study.data if file is None else study.data.at_file(file)
    folder = workdir / RUNS / study.name
    # Before anything is read: on another machine the folder may exist as a copy alone.
    fetch(folder)
    if not source.is_named:
        if need_data:
            raise StudyError(
                f"{study.source_name}: the study names no data; give a file with --data FILE"
            )
        return OpenedStudy(
            study=study,
            plan=plan_study(study, Versions(data="", code="")),
            dataset=None,
            folder=folder,
        )
    dataset = study.core.open(source)
    now = current_versions(study.core, dataset)
    if study.name != whole.name and _holds_results_on(workdir / RUNS / whole.name, now.data):
        # The folder is older than the other data sets of the study: its cells still count.
        study, folder = replace(study, name=whole.name), workdir / RUNS / whole.name
    plan = plan_study(study, now, dataset.facts, arm_version)
    stale = find_stale_cells(folder, plan, dataset.source)
    kept = stale is not None and stale_answer == StaleAnswer.KEEP
    if stale is not None and kept:
        check_kept(stale, dataset)
        plan = keep_cells(plan, stale)
    return OpenedStudy(
        study=study,
        plan=plan,
        dataset=dataset,
        folder=folder,
        source=source,
        stale=stale,
        keeps_stale=kept,
    )


def _holds_results_on(folder: Path, fingerprint: str) -> bool:
    """Check whether a folder has results on this data."""
    return (folder / PLAN).exists() and read_manifest(folder).versions.data == fingerprint
