"""The study and the data that cells were trained with, and what has changed since."""

import platform
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from reports.results import StudyFacts
from search.ledger.record import CellRecord
from search.provenance import NUMERIC, arm_version, current_versions, installed_version
from search.results.folder import Manifest
from search.results.history import last_data, read_runs
from search.results.layout import STUDY
from search.results.origins import Origins
from spaces.code_version import CodeVersion, changed_files
from spaces.core import Data, SourceFile
from spaces.errors import StudyError
from spaces.find_core import is_code_file
from spaces.plan.arm_keys import codes_of
from spaces.plan.arms_on_data import name_some
from spaces.plan.plan import plan_study
from spaces.study_file.load import Study, load_study

UNKNOWN = "unknown"


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
    dataset: Data,
    study: Study,
    origins: Origins,
    devices: Collection[str],
    device: str,
) -> list[OriginChange]:
    """List the changes of what determines the numbers.

    Args:
        manifest: Manifest of the results folder.
        records: Records of the cells.
        dataset: Data to train on now.
        study: Study as it was run.
        origins: What the keys of the folder's arms are made of.
        devices: Devices that the folder's cells were trained on, as far as is known.
        device: Device to train on now.
    """
    facts = manifest.facts
    then = facts.provenance
    pairs = [
        *_code_pairs(manifest, records, _codes_now(study, dataset), origins),
        ("data", manifest.versions.data, dataset.fingerprint),
        # The versions above have the files of a core that is one, comments left out.
        *_plugin_pairs(facts, () if is_code_file(study.core.name) else study.plugins),
        ("python", then.get("python", UNKNOWN), platform.python_version()),
        *((name, then.get(name, UNKNOWN), installed_version(name)) for name in NUMERIC),
        (
            "machine",
            then.get("machine", UNKNOWN),
            f"{platform.system()} {platform.machine()}",
        ),
        ("device", ", ".join(sorted(devices)) or device, device),
    ]
    return [OriginChange(what=what, then=old, now=new) for what, old, new in pairs if old != new]


def _codes_now(study: Study, dataset: Data) -> dict[str, CodeVersion]:
    """Return arm -> version of the code that its trainings can reach now."""
    versions = current_versions(study.core, dataset)
    plan = plan_study(study, versions, dataset.facts, arm_version)
    return {arm.name: arm.code for arm in plan.arms}


def _code_pairs(
    manifest: Manifest,
    records: Collection[CellRecord],
    codes_now: Mapping[str, CodeVersion],
    origins: Origins,
) -> Iterator[tuple[str, str, str]]:
    """Yield the code that trained the cells, and that of today, of each arm that it differs in."""
    # Each cell has a version of its own: a study may have been finished by a later one.
    codes: dict[str, set[str]] = {}
    for record in records:
        held = codes_of(origins.values.get(record.arm_key, {}))  # of a record without its own
        codes.setdefault(record.arm, set()).add(
            record.code or (held[0] if held else manifest.versions.code)
        )
    differing: dict[tuple[str, str, str], list[str]] = {}
    for arm, then in codes.items():
        now = codes_now.get(arm)
        if now is None or then == {now.digest}:
            continue
        files = dict.fromkeys(
            sentence
            for code in sorted(then)
            if origins.files.get(code)
            for sentence in changed_files(origins.files[code], now.files)
        )
        why = f" ({', '.join(files)})" if files else ""
        differing.setdefault((why, ", ".join(sorted(then)), now.digest), []).append(arm)
    for (why, old, new), arms in differing.items():
        yield f"training core of {name_some(arms)}{why}", old, new


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
