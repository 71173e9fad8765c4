"""The study and the data that cells were trained with, and what has changed since."""

import platform
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from reports.results import StudyFacts
from search.ledger.record import CellRecord
from search.provenance import code_version, installed_version
from search.results.folder import Manifest
from search.results.history import last_data, read_runs
from search.results.layout import STUDY
from spaces.core import Core, Data, SourceFile
from spaces.errors import StudyError
from spaces.study_file.load import Study, load_study

UNKNOWN = "unknown"
PACKAGES = ("torch", "numpy")  # beside the training core, what computes a cell's numbers


@dataclass(frozen=True, kw_only=True, slots=True)
class OriginChange:
    """A change of something that determines a cell's numbers."""

    what: str
    then: str
    now: str


def load_kept_study(folder: Path) -> Study:
    """Load the study as it was run; its plugins are as they were.

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


def find_data(study: Study, facts: StudyFacts, folder: Path, given: Path | None) -> Data:
    """Load the data of a study.

    Args:
        study: Study as it was run.
        facts: Facts of the results folder.
        folder: Results folder, which remembers a file that was given on the command line.
        given: File to use in place of the study's own.

    Raises:
        StudyError: the place of the data is unknown.
        DataError: it is not there, or wrong.
    """
    file = given or last_data(read_runs(folder))
    source = study.data if file is None else study.data.at_file(file)
    if not source.is_named:
        name = facts.provenance.get("data", "the data")
        raise StudyError(
            f"the study names no data, and was run on '{name}' given on the command line; say "
            f"where it is: --data {name}"
        )
    if given is None and source.file is not None and not source.file.exists():
        raise StudyError(
            f"{source.file}: the file that the study was run on is not there any more; say where "
            "it is: --data FILE"
        )
    return study.core.open(source)


def find_changes(
    manifest: Manifest,
    records: Collection[CellRecord],
    core: Core,
    dataset: Data,
    devices: Collection[str],
    device: str,
) -> list[OriginChange]:
    """List the changes of what determines the numbers.

    Args:
        manifest: Manifest of the results folder.
        records: Records of the cells.
        core: Core of the study.
        dataset: Data to train on now.
        devices: Devices that the folder's cells were trained on, as far as is known.
        device: Device to train on now.
    """
    facts = manifest.facts
    then = facts.provenance
    # Each cell has a version of its own: a study may have been finished by a later one.
    codes = {record.code or manifest.versions.code for record in records}
    pairs = [
        ("training core", ", ".join(sorted(codes)), code_version(core)),
        ("data", manifest.versions.data, dataset.fingerprint),
        *_plugin_pairs(facts, core.plugins),
        ("python", then.get("python", UNKNOWN), platform.python_version()),
        *((name, then.get(name, UNKNOWN), installed_version(name)) for name in PACKAGES),
        (
            "machine",
            then.get("machine", UNKNOWN),
            f"{platform.system()} {platform.machine()}",
        ),
        ("device", ", ".join(sorted(devices)) or device, device),
    ]
    return [OriginChange(what=what, then=old, now=new) for what, old, new in pairs if old != new]


def _plugin_pairs(facts: StudyFacts, plugins: Collection[SourceFile]) -> list[tuple[str, str, str]]:
    """Return name, old and new digest of each plugin, matched by the name before it was kept."""
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
