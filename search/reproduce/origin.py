"""The study and the data that a cell was trained with, and what is different now."""

import importlib.metadata
import platform
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from msa_core.data.dataset import Dataset
from msa_core.data.load import load_dataset
from msa_core.plugins import Plugin
from reports.results import StudyFacts
from search.ledger.record import CellRecord
from search.provenance import code_version
from search.results.folder import STUDY, Manifest
from search.results.history import last_data, read_runs
from spaces.errors import StudyError
from spaces.study_file.load import Study, load_study

UNKNOWN = "unknown"
PACKAGES = ("torch", "numpy")  # beside the training core, what computes a cell's numbers


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """Something that decides a cell's numbers and is not as it was then."""

    what: str
    then: str
    now: str


def kept_study(folder: Path) -> Study:
    """The study as it was run; its plugins, as they were, are in use in this process from now on.

    Raises:
        StudyError: the folder has none, or today's version can't read it.
    """
    path = folder / STUDY
    if not path.exists():
        raise StudyError(
            f"{folder} holds no {STUDY}, which says on which data and with which plugins its cells "
            "were trained; `triptych run` of the same study writes it"
        )
    return load_study(path)


def find_data(study: Study, facts: StudyFacts, folder: Path, given: Path | None) -> Dataset:
    """The data of a study.

    Args:
        study: as it was run.
        facts: of the results folder.
        folder: of the results; it remembers a file that was given on the command line.
        given: a file to use in place of the study's own.

    Raises:
        StudyError: nobody says where it is.
        DataError: it is not there, or wrong.
    """
    source = given or last_data(read_runs(folder)) or study.data.file or study.data.planted
    if source is None:
        name = facts.provenance.get("data", "the data")
        raise StudyError(
            f"the study names no data, and was run on '{name}' given on the command line; say "
            f"where it is: --data {name}"
        )
    if given is None and isinstance(source, Path) and not source.exists():
        raise StudyError(
            f"{source}: the file that the study was run on is not there any more; say where it is: "
            "--data FILE"
        )
    return load_dataset(source, study.data.scheme, study.data.text_model)


def changes(
    manifest: Manifest,
    records: Collection[CellRecord],
    dataset: Dataset,
    plugins: Collection[Plugin],
    devices: Collection[str],
    device: str,
) -> list[Change]:
    """What decides the numbers and is not as it was then.

    Args:
        manifest: of the results folder.
        records: the cells.
        dataset: trained on now.
        plugins: in use now.
        devices: that the folder's cells were trained on, as far as is known.
        device: now.
    """
    facts = manifest.facts
    then = facts.provenance
    codes = {record.code or manifest.versions.code for record in records}
    pairs = [
        ("training core", ", ".join(sorted(codes)), code_version()),
        ("data", manifest.versions.data, dataset.fingerprint),
        *_plugin_pairs(facts, plugins),
        ("python", then.get("python", UNKNOWN), platform.python_version()),
        *((name, then.get(name, UNKNOWN), _version(name)) for name in PACKAGES),
        (
            "machine",
            then.get("machine", UNKNOWN),
            f"{platform.system()} {platform.machine()}",
        ),
        ("device", ", ".join(sorted(devices)) or device, device),
    ]
    return [Change(what=what, then=old, now=new) for what, old, new in pairs if old != new]


def _plugin_pairs(facts: StudyFacts, plugins: Collection[Plugin]) -> list[tuple[str, str, str]]:
    """Digests of the plugins, told by themselves: their kept copies have other names."""
    prefix = "plugin "
    then = {
        name.removeprefix(prefix): digest
        for name, digest in facts.provenance.items()
        if name.startswith(prefix)
    }
    # A kept copy is named `<stem>.<digest>.py`.
    now = {f"{plugin.name.rsplit('.', 2)[0]}.py": plugin.digest for plugin in plugins}
    return [
        (f"plugin {name}", then.get(name, "none"), now.get(name, "none"))
        for name in dict.fromkeys([*then, *now])
    ]


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
