"""The plan of a study: its arms on the data at hand, their budgets and seeds, and cell keys."""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from msa_core.config import MODALITIES, Config, ConfigError
from msa_core.config_kinds import is_added, kind_of_path
from msa_core.config_paths import Value, flatten, replace
from msa_core.config_rules import resolve, restrict
from msa_core.plugins import kinds_added_by, use_plugins
from spaces.designs import Arm
from spaces.domains import Domain, describe
from spaces.resolution import (
    possible_plugin_kinds,
    possible_space,
    refusal,
    signature,
)
from spaces.study import Study

TUNE = "tune"
CONFIRM = "confirm"
# Tuning seeds start this far above the confirm seeds; budgets are smaller, so they never meet.
TUNE_SEED_OFFSET = 1_000_000
CANDIDATES_A_FIELD = 3
_STOPPED = {
    "bracket": "candidates are stopped early: at each rung the best third of {} goes on",
    "asha": "candidates are stopped early by ASHA, which depends on what has finished when",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Versions:
    """What besides the study decides the numbers.

    Attributes:
        data: fingerprint of the data.
        code: digest of the training core's source.
    """

    data: str
    code: str


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedArm:
    """An arm on the data at hand.

    Attributes:
        changes: field -> value that it fixes over the base.
        config: its configuration; modalities that the data lacks are off.
        space: the fields searched in it; empty = nothing to tune.
        key: digest of all that decides which candidates it is given and how they train. Cells
            of another key are another arm's, even under the same name.
    """

    name: str
    changes: Mapping[str, Value]
    config: Config
    space: Mapping[str, Domain]
    key: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What will run.

    Attributes:
        arms: in the order of the study.
        tune_seeds, confirm_seeds: disjoint; the same for every arm, so cells are paired by seed.
        notes: what a reader should know, e.g. arms that the data makes pointless.
        warnings: what the author may want to change first.
    """

    study: Study
    arms: tuple[PlannedArm, ...]
    tune_seeds: tuple[int, ...]
    confirm_seeds: tuple[int, ...]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]

    def tuning_cells(self, arm: PlannedArm) -> int:
        """Cells of the tuning phase of an arm; none where nothing is searched."""
        return self.study.budget.candidates * len(self.tune_seeds) if arm.space else 0

    def cells(self) -> int:
        """Cells of the whole study."""
        return sum(self.tuning_cells(arm) + len(self.confirm_seeds) for arm in self.arms)


def plan_study(
    study: Study,
    versions: Versions,
    modalities: Sequence[str] = MODALITIES,
    annotated: Sequence[str] = MODALITIES,
) -> Plan:
    """Lay out a study on the data at hand.

    Args:
        study: what is asked.
        versions: of the data and the training core.
        modalities: that the data has.
        annotated: modalities that the data has unimodal labels of.

    Raises:
        ConfigError: an arm makes no sense on this data.
    """
    use_plugins(study.plugins)
    arms, notes = _arms_on_data(study, versions, modalities)
    for arm in arms:
        _check_annotations(arm, annotated)
    budget = study.budget
    if budget.scheduler != "none":
        notes.append(_STOPPED[budget.scheduler].format(budget.bracket))
    return Plan(
        study=study,
        arms=tuple(arms),
        tune_seeds=tuple(
            TUNE_SEED_OFFSET + budget.seed + place for place in range(budget.tune_seeds)
        ),
        confirm_seeds=tuple(budget.seed + place for place in range(budget.confirm_seeds)),
        notes=tuple(notes),
        warnings=tuple(_warnings(study, arms)),
    )


def p_floor(seeds: int) -> float:
    """The smallest two-sided p that a sign-flip test over this many seeds can give."""
    return min(1.0, 2.0 / 2.0**seeds)


def seeds_needed(arms: int, level: float = 0.05) -> int:
    """Confirm seeds with which Holm over all arms but the baseline can reach the level."""
    seeds = 1
    while p_floor(seeds) * max(1, arms - 1) > level:
        seeds += 1
    return seeds


def cell_key(arm: PlannedArm, phase: str, resolved: Mapping[str, Value], seed: int) -> str:
    """The name of one training: digest of arm (with data and code), phase, configuration, seed."""
    return _digest({"arm": arm.key, "phase": phase, "config": dict(resolved), "seed": seed})


def _arms_on_data(
    study: Study, versions: Versions, modalities: Sequence[str]
) -> tuple[list[PlannedArm], list[str]]:
    absent = [name for name in MODALITIES if name not in modalities]
    notes = [f"the data has no {name}: it is switched off in every arm" for name in absent]
    seen: dict[object, str] = {}
    kept: dict[str, PlannedArm] = {}
    # The baseline first, so that it is never the one left out as another's double.
    for arm in sorted(study.arms, key=lambda arm: arm.name != study.baseline):
        config = restrict(replace(study.base, arm.changes), modalities)
        if reason := refusal(config, study.search, arm.changes, study.data.scheme):
            if arm.name == study.baseline:
                raise ConfigError(f"arm '{arm.name}' on this data: {reason}")
            notes.append(f"arm '{arm.name}' is left out: on this data {reason}")
            continue
        key = signature(config, study.search, arm.changes)
        if key in seen:
            notes.append(f"arm '{arm.name}' is left out: on this data it is '{seen[key]}'")
            continue
        seen[key] = arm.name
        kept[arm.name] = _planned(study, arm, config, versions)
    return [kept[arm.name] for arm in study.arms if arm.name in kept], notes


def _planned(study: Study, arm: Arm, config: Config, versions: Versions) -> PlannedArm:
    space = possible_space(config, study.search, arm.changes)
    own_kinds = possible_plugin_kinds(config, study.search, arm.changes)
    # The whole configuration and not only its active part: a searched choice may switch a
    # field on whose value then matters.
    decides = {
        "arm": arm.name,
        "config": _whole(config, own_kinds) if space else resolve(config),
        "space": {path: describe(domain) for path, domain in sorted(space.items())},
        "tuning": _tuning(study) if space else [],
        "tune_seeds": study.budget.tune_seeds if space else 0,
        "data": versions.data,
        "code": versions.code,
    }
    if digests := _plugin_digests(study, own_kinds):
        decides["plugins"] = digests
    return PlannedArm(
        name=arm.name, changes=arm.changes, config=config, space=space, key=_digest(decides)
    )


def _whole(config: Config, own_kinds: Collection[tuple[str, str]]) -> dict[str, Value]:
    """Every field, without those of plugins' kinds that the arm can't use."""
    return {
        path: value
        for path, value in flatten(config).items()
        if (option := kind_of_path(path)) is None
        or not is_added(*option[:2])
        or option[:2] in own_kinds
    }


def _plugin_digests(study: Study, own_kinds: Collection[tuple[str, str]]) -> list[str]:
    """Of the plugins that an arm can use: the others are no part of its cells."""
    return sorted(
        plugin.digest
        for plugin in study.plugins
        if any(kind in own_kinds for kind in kinds_added_by(plugin))
    )


def _tuning(study: Study) -> list[str | int]:
    """What decides which candidates an arm is given and how long each trains."""
    budget = study.budget
    decides: list[str | int] = [study.sampler, budget.seed, budget.generation, study.metric]
    if budget.scheduler != "none":
        decides += [budget.scheduler, budget.bracket]
    return decides


def _check_annotations(arm: PlannedArm, annotated: Sequence[str]) -> None:
    unimodal = arm.config.loss.unimodal
    searched = arm.space.get("loss.unimodal.target")
    wanted = searched is not None or unimodal.target == "annotated"
    lacking = [
        name for name in MODALITIES if getattr(arm.config.model, name).use and name not in annotated
    ]
    may_be_fixed = unimodal.kind == "fixed" or "loss.unimodal.kind" in arm.space
    if wanted and may_be_fixed and lacking:
        raise ConfigError(
            f"arm '{arm.name}': 'loss.unimodal.target: annotated' needs unimodal labels "
            f"(regression_labels_T, _A, _V), but the data has none of {', '.join(lacking)}"
        )


def _warnings(study: Study, arms: Sequence[PlannedArm]) -> list[str]:
    warnings = []
    budget = study.budget
    widest = max(arms, key=lambda arm: len(arm.space))
    if budget.candidates < CANDIDATES_A_FIELD * len(widest.space):
        needed = CANDIDATES_A_FIELD * len(widest.space)
        warnings.append(
            f"{len(widest.space)} searched fields in '{widest.name}' but only "
            f"{budget.candidates} candidates: fewer than {CANDIDATES_A_FIELD} a field; "
            f"raise budget.candidates to {needed} or search fewer fields"
        )
    needed = seeds_needed(len(arms))
    if budget.confirm_seeds < needed and len(arms) > 1:
        warnings.append(
            f"with {budget.confirm_seeds} confirm seeds the smallest possible p is "
            f"{p_floor(budget.confirm_seeds):g}, and {len(arms) - 1} comparisons can never be "
            f"significant at .05; raise budget.confirm_seeds to {needed}"
        )
    return warnings


def _digest(value: object) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:24]
