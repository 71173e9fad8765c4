"""Cells of a results folder from another version of the data or the training core."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from search.ledger.ledger import read_ledger
from search.results.folder import Manifest, read_manifest, select_cells
from search.results.layout import PLAN
from search.results.origins import Origins, read_origins
from spaces.code_version import changed_files
from spaces.core import Data
from spaces.errors import StudyError
from spaces.fields.paths import default_of, fields_of, value_at
from spaces.plan.arm_keys import (
    codes_of,
    is_config_field,
    key_of,
    list_values,
    plain_name,
    with_versions,
)
from spaces.plan.arms_on_data import PlannedArm, Versions, name_some
from spaces.plan.plan import Plan

MOST_CAUSES = 3  # files named in a question; `plan --why` names all
VERSIONED = ("data", "code")
EARLIER_WAY = (
    "the cells were made with an earlier way of versioning the training core, which can't tell "
    "what has changed"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class StaleCells:
    """Finished cells whose keys hold another version of the data or the training core.

    Attributes:
        folder: Results folder.
        cells: Number of finished cells of the plan that the folder keeps in those arms.
        arms: Names of the arms, in the order of the plan.
        changed: `data`, `code` or both.
        causes: What changed, a clause each.
        before, now: Versions of data and whole core that the folder was made with, and of today.
        kept: Name of an arm -> key of its cells, and name and value of what decided it.
        files: Digest of the code that an arm could reach then -> digests of its files.
    """

    folder: Path
    cells: int
    arms: tuple[str, ...]
    changed: list[str]
    causes: tuple[str, ...]
    before: Versions
    now: Versions
    kept: Mapping[str, tuple[str, Mapping[str, Any]]] = field(default_factory=dict)
    files: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def change_sentence(self) -> str:
        """Return what changed, and how many cells it concerns."""
        more = len(self.causes) - MOST_CAUSES
        causes = "; ".join(self.causes[:MOST_CAUSES]) + (f"; and {more} more" if more > 0 else "")
        others = len(self.arms) - 1
        arms = f"'{self.arms[0]}'" + (
            f" and {others} other arm{'s' if others > 1 else ''}" if others else ""
        )
        are = "are" if self.cells > 1 else "is"
        cells = f"{self.cells} cell{'s' if self.cells > 1 else ''}"
        return f"{causes}: {cells} of {arms} {are} stale in {self.folder}"

    def rerun_question(self) -> str:
        """Return what changed, with the options that answer it."""
        other = (
            "; for results on another data set beside these, name both under 'data: {sets: ...}'"
            if "data" in self.changed
            else ""
        )
        return (
            f"{self.change_sentence()}: --rerun trains them again (the old ones stay in the "
            f"ledger), --keep lets them count and trains only what is missing{other}"
        )


def find_stale_cells(folder: Path, plan: Plan, source: str) -> StaleCells | None:
    """Find what a results folder holds of other versions; None if nothing.

    Args:
        folder: Results folder.
        plan: Plan on today's data and code.
        source: Name of the data's file.

    Raises:
        ResultsError, LedgerError: A damaged folder.
    """
    if not (folder / PLAN).exists():
        return None
    manifest = read_manifest(folder)
    if all(manifest.arm_keys.get(arm.name) in (None, arm.key) for arm in plan.arms):
        return None
    origins = read_origins(folder)
    kept = {arm.name: held for arm in plan.arms if (held := _kept_key(arm, manifest, origins))}
    if not kept:
        return None
    cells = sum(cell.arm in kept for cell in select_cells(manifest, read_ledger(folder)))
    # Nothing was trained yet, so there is nothing to ask.
    if not cells:
        return None
    arms = [arm for arm in plan.arms if arm.name in kept]
    values = [(kept[arm.name][1], list_values(arm.decides)) for arm in arms]
    changed = [
        name
        for name in VERSIONED
        if any(_differs(before, now, name) for before, now in values)
    ]  # fmt: skip
    causes = list(data_causes(manifest, plan, source)) if "data" in changed else []
    if "code" in changed:
        causes += dict.fromkeys(
            cause
            for before, now in values
            for cause in code_causes(before, now, origins.files, plan.code_files)
        )
    return StaleCells(
        folder=folder,
        cells=cells,
        arms=tuple(kept),
        changed=changed,
        causes=tuple(causes),
        before=manifest.versions,
        now=plan.versions,
        kept=kept,
        files={
            code: origins.files[code]
            for _, own in kept.values()
            for code in codes_of(own)
            if code in origins.files
        },
    )


def data_causes(manifest: Manifest, plan: Plan, source: str) -> Iterator[str]:
    """Yield that the data changed, with names of files and fingerprints, if it did."""
    before, now = manifest.versions.data, plan.versions.data
    if before == now:
        return
    file = manifest.facts.provenance.get("data", source)
    files = source if file == source else f"{file} to {source}"
    yield f"the data changed ({files}: {before[:8]} to {now[:8]})"


def code_causes(
    before: Mapping[str, Any],
    now: Mapping[str, Any],
    files_before: Mapping[str, Mapping[str, str]],
    files_now: Mapping[str, Mapping[str, str]],
) -> Iterator[str]:
    """Yield each difference of the code that an arm could and can reach, a clause each.

    Args:
        before: What decided the arm then, as `spaces.plan.arm_keys.list_values`.
        now: What decides it today.
        files_before: Digest of code -> digests of its files, of the folder.
        files_now: The same of today.
    """
    for old, new in zip(codes_of(before), codes_of(now), strict=False):
        if old == new:
            continue
        if not files_before.get(old):  # the digest of all files' bytes, of version 0.1
            yield EARLIER_WAY
            continue
        differing = changed_files(files_before[old], files_now.get(new, {}))
        # The same files, of which one imports another one than before.
        yield from differing or ["imports between files of the training core changed"]


def keep_cells(plan: Plan, stale: StaleCells) -> Plan:
    """Return a plan with the keys that stale cells have, so that they are found by theirs."""
    arms = []
    for arm in plan.arms:
        if arm.name in stale.kept:
            key, values = stale.kept[arm.name]
            arms.append(replace(arm, key=key, kept=values))
        elif "data" in stale.changed:  # all arms of a table are on one data set
            decides = with_versions(arm.decides, stale.before.data, None)
            arms.append(replace(arm, key=key_of(decides), decides=decides))
        else:
            arms.append(arm)
    note = f"older cells of {name_some(stale.arms)} count (--keep): {'; '.join(stale.causes)}"
    return replace(
        plan,
        arms=tuple(arms),
        versions=stale.before,
        code_files={**plan.code_files, **stale.files},
        notes=(*plan.notes, note),
    )


def check_kept(stale: StaleCells, dataset: Data) -> None:
    """Refuse to keep old cells that can't stand in one table with new ones.

    Raises:
        StudyError: They were tested on other examples.
    """
    # Another training core changes the numbers, but not what they are compared on.
    if "data" not in stale.changed:
        return
    labels = read_manifest(stale.folder).test_labels
    if not np.array_equal(labels, dataset.test_labels):
        raise StudyError(
            f"{stale.change_sentence()}, and its test labels are others: cells that were tested on "
            "different examples can't stand in one table; use --rerun, or another --workdir"
        )


def _kept_key(
    arm: PlannedArm, manifest: Manifest, origins: Origins
) -> tuple[str, Mapping[str, Any]] | None:
    """Return key and values of an arm's finished cells, if only versions make them stale."""
    key = manifest.arm_keys.get(arm.name)
    if key is None or key == arm.key:
        return None
    before = origins.values.get(key)
    if before is None:
        # Of a folder without origins it is not known what made the key, so it is asked about as
        # such folders always were. `--keep` finds the cells if only the versions differ.
        versions = manifest.versions
        decides = with_versions(arm.decides, versions.data, versions.code)
        return key_of(decides), list_values(decides)
    now, default = list_values(arm.decides), default_of(type(arm.config))
    names = [
        name
        for name in {**before, **now}
        if name not in before or name not in now or before[name] != now[name]
    ]
    versioned = [name for name in names if plain_name(name) in VERSIONED]
    others = [name for name in names if plain_name(name) not in VERSIONED]
    if not versioned or not all(_came_with_update(default, name, before, now) for name in others):
        return None
    return key, before


def _came_with_update(
    default: Any, name: str, before: Mapping[str, Any], now: Mapping[str, Any]
) -> bool:
    """Check whether a field differs only in that an update of the core added or removed it."""
    if not is_config_field(name) or (name in before and name in now):
        return False
    path, value = plain_name(name), now.get(name, before.get(name))
    # A field with its default may be absent from one of the two, since it means nothing there.
    return path not in fields_of(type(default)) or bool(value == value_at(default, path))


def _differs(before: Mapping[str, Any], now: Mapping[str, Any], kind: str) -> bool:
    return any(before[name] != now.get(name) for name in before if plain_name(name) == kind)
