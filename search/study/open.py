"""From the name of a study to its plans: one a data set, each with its data and its folder."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from msa_core.config.schema import PlantedConfig
from msa_core.data.dataset import Dataset
from msa_core.data.load import load_dataset
from search.provenance import versions
from search.results.folder import PLAN, RUNS, read_manifest
from search.study.given_files import files_by_set
from search.study.stale import Stale, check_kept, stale_cells
from spaces.errors import StudyError
from spaces.plan.plan import Plan, plan_study
from spaces.plan.planned_arms import Versions
from spaces.study_file.load import Study, find_study, load_study

ASK, RERUN, KEEP = "ask", "rerun", "keep"  # what to do with cells of an older version


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenedStudy:
    """A study on one data set, and its place.

    Attributes:
        dataset: None if the study names no data and none was given.
        source: what the dataset was made of.
        stale: what the folder holds of other versions of data or code; None = nothing.
        kept: whether those cells count.
    """

    study: Study
    plan: Plan
    dataset: Dataset | None
    folder: Path
    source: Path | PlantedConfig | None = None
    stale: Stale | None = None
    kept: bool = False


def open_study(
    name: str,
    data: Sequence[str],
    overrides: Sequence[str],
    workdir: Path,
    *,
    need_data: bool,
    old: str = ASK,
    fetch: Callable[[Path], object] = lambda folder: None,
) -> list[OpenedStudy]:
    """Read a study and its data and lay out a plan for each data set.

    Args:
        name: a study file, or a shipped study.
        data: feature files, as given to `--data`: a path, or `name=path` for one of several sets.
        overrides: as given to `--set`.
        workdir: results are below it.
        need_data: whether a study without data is an error.
        old: what to do with cells of another version of data or code: `keep` plans with their
            version; `ask` and `rerun` with today's.
        fetch: brings a results folder here before anything looks into it.

    Raises:
        StudyError, DataError: anything wrong in either.
    """
    study = load_study(find_study(name), overrides)
    files = {name: Path(file) for name, file in files_by_set(study, data, "--data").items()}
    return [
        _open(study, one, files.get(name), workdir, fetch, need_data=need_data, old=old)
        for name, one in zip(study.sets, study.on_sets(), strict=True)
    ]


def _open(
    whole: Study,
    study: Study,
    file: Path | None,
    workdir: Path,
    fetch: Callable[[Path], object],
    *,
    need_data: bool,
    old: str,
) -> OpenedStudy:
    source = file or study.data.file or study.data.planted
    folder = workdir / RUNS / study.name
    fetch(folder)
    if source is None:
        if need_data:
            raise StudyError(
                f"{study.place}: the study names no data; give a file with --data FILE"
            )
        return OpenedStudy(
            study=study,
            plan=plan_study(study, Versions(data="", code="")),
            dataset=None,
            folder=folder,
        )
    dataset = load_dataset(source, study.data.scheme, study.data.text_model)
    now = versions(dataset)
    if study.name != whole.name and _holds(workdir / RUNS / whole.name, now.data):
        # From before it was one of several data sets.
        study, folder = replace(study, name=whole.name), workdir / RUNS / whole.name
    stale = stale_cells(folder, now)
    kept = stale is not None and old == KEEP
    if stale is not None and kept:
        check_kept(stale, dataset)
        now = stale.before
    annotated = tuple(dataset.splits.train.unimodal_labels)
    plan = plan_study(study, now, dataset.modalities, annotated)
    return OpenedStudy(
        study=study,
        plan=plan,
        dataset=dataset,
        folder=folder,
        source=source,
        stale=stale,
        kept=kept,
    )


def _holds(folder: Path, fingerprint: str) -> bool:
    """Whether a folder has results on this data."""
    return (folder / PLAN).exists() and read_manifest(folder).versions.data == fingerprint
