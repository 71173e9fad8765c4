"""`triptych plan --why`: which finished cells are good, which are stale, and what made them so."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from search.ledger.ledger import read_ledger
from search.provenance import NUMERIC, installed_version
from search.results.folder import Manifest, read_manifest
from search.results.layout import PLAN
from search.results.origins import Origins, read_origins
from search.study.open import OpenedStudy
from search.study.stale import EARLIER_WAY, VERSIONED, code_causes, data_causes
from spaces.fields.help import value_text
from spaces.plan.arm_keys import OWN, is_config_field, list_values, plain_name
from spaces.plan.arms_on_data import PlannedArm, name_some

PLUGIN = "plugin "  # prefix of plugins in a folder's provenance
UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmReasons:
    """The finished cells of an arm, and what makes them stale.

    Attributes:
        arm: Name of the arm.
        good: Number of its finished cells that count.
        stale: Number of those that count no more.
        reasons: What made them so, a clause each; empty if nothing did.
    """

    arm: str
    good: int
    stale: int
    reasons: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """What has changed since a results folder was last run.

    Attributes:
        arms: Every arm of the plan, then those that the study no longer has.
        beside: What changed and makes nothing stale: versions of packages.
    """

    arms: tuple[ArmReasons, ...]
    beside: tuple[str, ...]


def explain_stale(opened: OpenedStudy) -> Explanation | None:
    """Explain each arm of a plan against the last plan that its folder was run with.

    Returns:
        The explanation; None where nothing was run.

    Raises:
        ResultsError, LedgerError: A damaged folder.
    """
    if opened.dataset is None or not (opened.folder / PLAN).exists():
        return None
    manifest = read_manifest(opened.folder)
    origins = read_origins(opened.folder)
    cells = Counter(record.arm_key for record in read_ledger(opened.folder).values())
    arms, names = [], set()  # names by which the folder knows the plan's arms
    for arm in opened.plan.arms:
        before = _earlier_name(arm, manifest, origins)
        names.add(before)
        arms.append(_explain_arm(arm, before, opened, manifest, origins, cells))
    arms += [
        ArmReasons(arm=name, good=0, stale=cells[key], reasons=(_absence_reason(name, opened),))
        for name, key in manifest.arm_keys.items()
        if name not in names
    ]
    return Explanation(arms=tuple(arms), beside=tuple(_package_changes(manifest)))


def explanation_lines(found: Explanation | None) -> Iterator[str]:
    """Yield the explanation as lines of text, arms with the same reasons in one."""
    if found is None:
        yield "why: nothing was run yet, so nothing can be stale"
        return
    good = sum(arm.good for arm in found.arms)
    if not any(arm.reasons for arm in found.arms):
        yield f"why: nothing is stale; all {good} finished cells count"
    else:
        yield f"why: {good} finished cells count, {sum(arm.stale for arm in found.arms)} are stale"
    alike: dict[tuple[str, ...], list[ArmReasons]] = {}
    for arm in found.arms:
        if arm.reasons:
            alike.setdefault(arm.reasons, []).append(arm)
    for reasons, arms in alike.items():
        cells = sum(arm.stale for arm in arms)
        yield f"  {name_some([arm.arm for arm in arms])}: {cells} stale cells"
        yield from (f"    {reason}" for reason in reasons)
    yield from (f"  {line}" for line in found.beside)


def _explain_arm(
    arm: PlannedArm,
    before: str,
    opened: OpenedStudy,
    manifest: Manifest,
    origins: Origins,
    cells: Mapping[str, int],
) -> ArmReasons:
    """Explain an arm, which the folder knows by the name `before`."""
    good, key = cells[arm.key], manifest.arm_keys.get(before)
    # New, as it was, or kept (`--keep`).
    if key is None or key == arm.key:
        return ArmReasons(arm=arm.name, good=good, stale=0, reasons=())
    then = origins.values.get(key)
    if then is None:
        causes: list[str] = [*data_causes(manifest, opened.plan, _source(opened)), EARLIER_WAY]
    else:
        now = list_values(arm.decides)
        causes = [*_differences(then, now, opened, manifest, origins)]
    return ArmReasons(
        arm=arm.name, good=good, stale=cells[key], reasons=tuple(dict.fromkeys(causes))
    )


def _differences(
    before: Mapping[str, Any],
    now: Mapping[str, Any],
    opened: OpenedStudy,
    manifest: Manifest,
    origins: Origins,
) -> Iterator[str]:
    """Yield what differs between what decided an arm then and now."""
    yield from data_causes(manifest, opened.plan, _source(opened))
    yield from code_causes(before, now, origins.files, opened.plan.code_files)
    # Where a search begins or ends, one of the two has fields that mean nothing in it.
    both = any(name.endswith("sampler") for name in before) == any(
        name.endswith("sampler") for name in now
    )
    for name in {**before, **now}:
        old, new = before.get(name), now.get(name)
        plain = plain_name(name)
        if plain in VERSIONED or (name in before and name in now and old == new):
            continue
        if not both and is_config_field(name) and (name not in before or name not in now):
            continue
        # A frozen arm changes with the one that is tuned for it.
        where = "" if plain == name or name.startswith(OWN) else "of the tuned arm: "
        if plain == "plugins":
            yield from _plugin_changes(old or [], new or [], opened, manifest)
        else:
            yield f"{where}{plain}: {_text_of(old)} -> {_text_of(new)}"


def _plugin_changes(
    before: list[str], now: list[str], opened: OpenedStudy, manifest: Manifest
) -> Iterator[str]:
    """Yield each plugin that changed, by its name."""
    then = {
        digest: name.removeprefix(PLUGIN)
        for name, digest in manifest.facts.provenance.items()
        if name.startswith(PLUGIN)
    }
    today = {plugin.digest: plugin.name for plugin in opened.study.plugins}
    gone = {then.get(digest, digest): digest for digest in before if digest not in now}
    new = {today.get(digest, digest): digest for digest in now if digest not in before}
    for name in dict.fromkeys([*gone, *new]):
        yield f"plugin {name}: {gone.get(name, 'none')[:8]} -> {new.get(name, 'none')[:8]}"


def _package_changes(manifest: Manifest) -> Iterator[str]:
    for name in NUMERIC:
        then, now = manifest.facts.provenance.get(name, UNKNOWN), installed_version(name)
        if then != now:
            yield f"{name}: {then} -> {now} (in no key, so it makes no cell stale)"


def _earlier_name(arm: PlannedArm, manifest: Manifest, origins: Origins) -> str:
    """Return the name by which the folder knows an arm: its own, unless it was renamed."""
    if arm.name in manifest.arm_keys:
        return arm.name
    own = _without_name(list_values(arm.decides))
    for name, key in manifest.arm_keys.items():
        if _without_name(origins.values.get(key, {})) == own:
            return name
    return arm.name


def _without_name(values: Mapping[str, Any]) -> dict[str, Any]:
    # The name of a frozen arm's reference stays: another reference is another arm.
    return {n: one for n, one in values.items() if n not in ("arm", f"{OWN}/arm")}


def _absence_reason(name: str, opened: OpenedStudy) -> str:
    if name in opened.plan.merged:
        return f"the arm is merged into '{opened.plan.merged[name]}'"
    return "the study has no such arm"


def _source(opened: OpenedStudy) -> str:
    assert opened.dataset is not None
    return opened.dataset.source


def _text_of(value: Any) -> str:
    if value is None:
        return "none"  # absent there
    if isinstance(value, list):
        return "; ".join(map(_text_of, value)) or "none"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} = {_text_of(one)}" for name, one in value.items())
    return value_text(value)
