"""The part of a study that is sent to a cluster: its file, its plugins, small feature files."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from search.errors import RunError
from search.study.given_files import files_by_set
from spaces.core import Core
from spaces.errors import StudyError
from spaces.find_core import is_code_file
from spaces.study_file.load import Study, find_study, load_study

STUDY = "study.yaml"
PLUGINS = "plugins"
DATA = "data"
# Ray takes packages up to 500 MB through its control plane; more than this belongs in a storage.
MOST_BYTES = 100 * 1024**2


@dataclass(frozen=True, kw_only=True, slots=True)
class Staged:
    """A study in a folder that a job can start in.

    Attributes:
        study: The study as read here.
        arguments: Arguments of `triptych run` in that folder.
    """

    study: Study
    arguments: tuple[str, ...]


def stage_study(
    name: str,
    folder: Path,
    *,
    data: Sequence[str] = (),
    data_there: Sequence[str] = (),
    overrides: Sequence[str] = (),
) -> Staged:
    """Check a study and put it into a folder with what it needs.

    Args:
        name: Study file, or name of a shipped study.
        folder: Empty folder.
        data: Feature files of this machine, values of `--data`.
        data_there: Feature files by their paths on the cluster, values of `--data-there`.
        overrides: Values of `--set`.

    Raises:
        StudyError: a mistake in the study.
        RunError: feature files that are not here, or too large to travel.
    """
    path = find_study(name)
    study = load_study(path, overrides)
    shutil.copyfile(path, folder / STUDY)
    arguments = [STUDY]
    # Their paths here are not those there.
    of_files = ("core=", "plugins=") if is_code_file(study.core.name) else ("plugins=",)
    for override in overrides:
        if not override.startswith(of_files):
            arguments += ["--set", override]
    if study.plugins:
        arguments += ["--set", _copy_own_files(study.core, folder)]
    here, there = (
        files_by_set(study, data, "--data"),
        files_by_set(study, data_there, "--data-there"),
    )
    if both := sorted(here.keys() & there.keys()):
        raise StudyError(
            f"--data and --data-there both name the data{_set_suffix(both[0])}; give one of them"
        )
    travelling = {**_own_files(study, {*here, *there}), **{k: Path(v) for k, v in here.items()}}
    _check_sizes(travelling)
    for name, file in travelling.items():
        place = Path(DATA) / name / file.name if name else Path(DATA) / file.name
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, folder / place)
        arguments += ["--data", _data_argument(name, place.as_posix())]
    for name, file_there in there.items():
        arguments += ["--data", _data_argument(name, file_there)]
    return Staged(study=study, arguments=tuple(arguments))


def _copy_own_files(core: Core, folder: Path) -> str:
    """Copy the user's own files of a core; return the `--set` that names them there."""
    for file in core.plugins:
        place = folder / PLUGINS / file.name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(file.text, encoding="utf-8", newline="")
    names = [f"{PLUGINS}/{file.name}" for file in core.plugins]
    return f"core={names[0]}" if is_code_file(core.name) else f"plugins=[{', '.join(names)}]"


def _own_files(study: Study, given: set[str]) -> Mapping[str, Path]:
    """List the files that the study itself names, of data sets for which none was given."""
    files: dict[str, Path] = {}
    for name, source in study.sets.items():
        if source.stays_here:
            why = source.stays_here.replace("{which}", _set_suffix(name))
            raise RunError(f"{study.source_name}: {why}")
        if name in given or (source.is_named and source.file is None):
            continue
        if source.file is None:
            raise StudyError(
                f"{study.source_name}: the study names no data{_set_suffix(name)}; give a file "
                "of this machine with --data, or one of the cluster with --data-there"
            )
        files[name] = source.file
    return files


def _check_sizes(files: Mapping[str, Path]) -> None:
    for name, file in files.items():
        if not file.is_file():
            raise RunError(
                f"{file}: no such file here; if the cluster has it, name it with "
                f"--data-there {_data_argument(name, 'FILE')}"
            )
    total = sum(file.stat().st_size for file in files.values())
    if total > MOST_BYTES:
        named = ", ".join(str(file) for file in files.values())
        raise RunError(
            f"{named}: {total / 1024**2:.0f} MB do not travel with a study (at most "
            f"{MOST_BYTES // 1024**2} MB do); copy them to the head once (`ray rsync-up`, scp, or "
            "a shared file system) and name the place there with --data-there FILE"
        )


def _data_argument(name: str, file: str) -> str:
    return f"{name}={file}" if name else file


def _set_suffix(name: str) -> str:
    return f" of '{name}'" if name else ""
