"""Arms on the data at hand: which are left, which are the same, what they search, their keys."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from dataclasses import replace as changed
from typing import Any

from spaces.code_version import CodeVersion
from spaces.core import Core, Searched
from spaces.designs.make_arms import Arm
from spaces.designs.resolution import (
    arm_signature,
    combinations_per_arm,
    feasible_share,
    find_refusal,
    possible_space,
)
from spaces.errors import error_at
from spaces.fields.declaration import ConfigError, Value
from spaces.fields.paths import replace, value_at
from spaces.find_core import DEFAULT
from spaces.plan.arm_keys import Decides, key_of
from spaces.search_space.domains import Domain, describe_domain, domain_contains, possible_values
from spaces.study_file.load import Study
from spaces.syntax.constraints import Condition

# (configuration, searched field -> its listed values, plugins) -> version of the code that such an
# arm's trainings can reach. The one way by which a plan knows a core's version.
CoreVersion = Callable[[Core, Any, Searched], CodeVersion]

FROZEN = ", frozen"  # behind the name of an arm that is there re-tuned too


@dataclass(frozen=True, kw_only=True, slots=True)
class Versions:
    """Versions of what decides the numbers besides the study.

    Attributes:
        data: Fingerprint of the data.
        code: Digest of the whole training core; an arm's key holds that of what the arm can reach.
    """

    data: str
    code: str


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedArm:
    """An arm on the data at hand.

    Attributes:
        changes: Field -> value that it fixes over the base.
        config: Its configuration; what the data lack is off.
        space: Field -> domain of the fields searched in it; empty = nothing to tune.
        constraints: Conditions that every candidate must satisfy.
        start: Candidates that are tried first; what one leaves open the sampler fills in.
        frozen: Name of the arm that is tuned for it; empty = it is tuned itself, or has nothing to
            tune.
        inherits: Fields whose value it takes from that arm's best candidate.
        key: Digest of all that decides which candidates it is given and how they train. Cells
            of another key are another arm's, even under the same name.
        decides: What the key is the digest of (`spaces.plan.arm_keys`).
        code: Version of the code that its trainings can reach.
        kept: What decided the key of its finished cells, where cells of another version of data or
            code count (`--keep`): `key` is theirs then. None: `decides` holds.
        levels: Factor -> its level in this arm, see `spaces.designs.make_arms.Arm`.
    """

    name: str
    changes: Mapping[str, Value]
    config: Any
    space: Mapping[str, Domain]
    constraints: tuple[Condition, ...] = ()
    start: tuple[Mapping[str, Value], ...] = ()
    frozen: str = ""
    inherits: tuple[str, ...] = ()
    key: str
    decides: Decides = field(default_factory=dict)
    code: CodeVersion = field(default_factory=lambda: CodeVersion(digest=""))
    kept: Mapping[str, Value] | None = None
    levels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Candidate:
    """An arm of the study on its way to a planned one."""

    arm: Arm
    config: Any
    space: Mapping[str, Domain]


def arms_on_data(
    study: Study, versions: Versions, facts: Any, core_version: CoreVersion | None = None
) -> tuple[list[PlannedArm], dict[str, str], list[str]]:
    """Find the arms that are left on the data at hand.

    Args:
        study: Study that is planned.
        versions: Versions of the data and the training core.
        facts: Facts of the data; None = nothing is known, and all is taken to be there.
        core_version: Function that returns the version of what an arm can reach; None = of the
            whole core.

    Returns:
        The arms; each merged arm -> the one that stands for it; notes with the reasons.

    Raises:
        ConfigError: The baseline makes no sense on this data.
    """
    core = study.core
    notes = [] if facts is None else list(core.data_notes(facts))
    is_restricted = bool(notes)
    most = combinations_per_arm(len(study.arms))
    alike: dict[object, list[_Candidate]] = {}
    for arm in study.arms:
        config = replace(study.base, arm.changes)
        search = {**study.search, **arm.search}
        if is_restricted:
            config = core.restrict(config, facts)
            if reason := find_refusal(
                core, config, search, arm.changes, study.data.scheme, study.constraints, most
            ):
                if arm.name == study.baseline:
                    raise ConfigError(f"arm '{arm.name}' on this data: {reason}")
                notes.append(f"arm '{arm.name}' is left out: on this data {reason}")
                continue
        # Sorted, as candidates are drawn field by field: the order of a file means nothing.
        space = dict(sorted(possible_space(core, config, search, arm.changes).items()))
        candidate = _Candidate(arm=arm, config=config, space=space)
        alike.setdefault(arm_signature(core, config, space), []).append(candidate)
    merged: dict[str, str] = {}
    kept: dict[str, PlannedArm] = {}
    for same in alike.values():
        first = min(same, key=lambda candidate: _naming_order(study, candidate.arm))
        # Two designs that have this arm in common know it by factors of their own; effects need
        # both. The arm that keeps its name comes last, since its own levels count.
        levels = {
            factor: level
            for candidate in (*(one for one in same if one is not first), first)
            for factor, level in candidate.arm.levels.items()
        }
        kept[first.arm.name] = changed(
            _plan_arm(study, first, versions, core_version), levels=levels
        )
        others = [candidate.arm.name for candidate in same if candidate is not first]
        merged |= dict.fromkeys(others, first.arm.name)
        if others:
            notes.append(_merged_note(others, first.arm.name, is_restricted))
    return [kept[arm.name] for arm in study.arms if arm.name in kept], merged, notes


def _naming_order(study: Study, arm: Arm) -> tuple[object, ...]:
    """Return an order of arms that are the same: the first keeps its name."""
    # The baseline, or else the plainest. It does not depend on the order of the file, and rarely on
    # what else is in it, so an arm of a larger study finds its finished cells under its name.
    different = sum(value_at(study.base, path) != value for path, value in arm.changes.items())
    is_other = arm.name != study.baseline
    return (is_other, different, len(arm.changes), len(arm.name), arm.name)


def _merged_note(others: Sequence[str], first: str, on_data: bool) -> str:
    are = "are" if len(others) > 1 else "is"
    here = "on this data " if on_data else ""
    return f"{name_some(others)} {are} merged into '{first}': {here}the same configuration"


def _plan_arm(
    study: Study, candidate: _Candidate, versions: Versions, core_version: CoreVersion | None
) -> PlannedArm:
    arm, config, space = candidate.arm, candidate.config, candidate.space
    core = study.core
    search = {**study.search, **arm.search}
    free = {path: domain for path, domain in search.items() if path not in arm.changes}
    searched = possible_values(free)
    code = (
        core_version(core, config, possible_values(space))
        if core_version is not None
        else CodeVersion(digest=versions.code)
    )
    constraints = study.constraints if space else ()
    start = tuple(
        point
        for given in study.start
        if (
            point := {n: v for n, v in given.items() if n in space and domain_contains(space[n], v)}
        )
    )
    # The whole configuration and not only its active part: a searched choice may switch a
    # field on whose value then matters.
    decides: dict[str, Any] = {
        "arm": arm.name,
        "config": core.usable_fields(config, searched) if space else core.resolve(config),
        "space": {path: describe_domain(domain) for path, domain in sorted(space.items())},
        "tuning": _tuning_settings(study) if space else [],
        "tune_seeds": study.budget.tune_seeds if space else 0,
        "data": versions.data,
        "code": code.digest,
    }
    # Present only where used: an empty entry would change the keys of all other studies.
    if core.name != DEFAULT:
        decides["core"] = core.name
    if constraints:
        decides["constraints"] = sorted(condition.text for condition in constraints)
    if start:
        decides["start"] = [dict(sorted(point.items())) for point in start]
    # What a plugin adds belongs to the cells of the arms that can use it, and to no others.
    if digests := sorted(file.digest for file in core.used_plugins(config, searched)):
        decides["plugins"] = digests
    if constraints and feasible_share(core, config, space, constraints) == 0:
        raise error_at(
            arm.where,
            f"arms: '{arm.name}': of a thousand random candidates none satisfies the constraints "
            f"({'; '.join(condition.text for condition in constraints)}); widen the domains or "
            "drop a constraint",
        )
    return PlannedArm(
        name=arm.name,
        changes=arm.changes,
        config=config,
        space=space,
        constraints=constraints,
        start=start,
        key=key_of(decides),
        decides=decides,
        code=code,
    )


def apply_retune(study: Study, arms: Sequence[PlannedArm]) -> tuple[list[PlannedArm], list[str]]:
    """Put arms with frozen hyperparameters in place of, or beside, the tuned ones.

    Args:
        study: Study whose `retune` decides which.
        arms: Tuned arms.

    Returns:
        The arms to run, and notes on fields that keep their configured value.

    Raises:
        ConfigError: A frozen arm would have the name of another.
    """
    reference = next(arm for arm in arms if arm.name == study.baseline)
    if study.retune == "each" or not reference.space:
        note = f"'{reference.name}' has nothing to tune, so there is nothing to freeze"
        return list(arms), [note] if study.retune != "each" else []
    found: list[PlannedArm] = []
    kept: dict[str, list[str]] = {}  # values that the reference does not search -> arms with them
    names = {arm.name for arm in arms}
    for arm in arms:
        if study.retune == "both" and arm.name + FROZEN in names:
            raise ConfigError(
                f"arm '{arm.name}{FROZEN}': 'retune: both' needs this name; give the arm another"
            )
        if arm is reference or not arm.space:
            found.append(arm)
            continue
        if study.retune == "both":
            found.append(arm)
        frozen = _freeze_arm(arm, reference, arm.name + (FROZEN if study.retune == "both" else ""))
        found.append(frozen)
        if own := sorted(arm.space.keys() - reference.space.keys()):
            values = ", ".join(f"{path} = {value_at(arm.config, path)}" for path in own)
            kept.setdefault(values, []).append(frozen.name)
    return found, [
        f"{name_some(arms)}: '{reference.name}' does not search {values}; kept so"
        for values, arms in kept.items()
    ]


def name_some(arms: Sequence[str], most: int = 3) -> str:
    """Name some arms and count the others."""
    more = f" and {len(arms) - most} more" if len(arms) > most else ""
    return ", ".join(f"'{name}'" for name in arms[:most]) + more


def _freeze_arm(arm: PlannedArm, reference: PlannedArm, name: str) -> PlannedArm:
    inherits = tuple(path for path in reference.space if path in arm.space)
    # The keys of both arms: the values come from the reference, and which of them count from `arm`.
    decides = {
        "arm": name,
        "frozen": arm.decides,
        "from": reference.decides,
        "inherits": list(inherits),
    }
    return PlannedArm(
        name=name,
        changes=arm.changes,
        config=arm.config,
        space={},
        frozen=reference.name,
        inherits=inherits,
        key=key_of(decides),
        decides=decides,
        code=arm.code,
        levels=arm.levels,
    )


def _tuning_settings(study: Study) -> list[str | int]:
    """Return what decides which candidates an arm is given and how long each trains."""
    budget = study.budget
    decides: list[str | int] = [study.sampler, budget.seed, budget.generation, study.metric]
    if budget.scheduler != "none":
        decides += [budget.scheduler, budget.bracket]
    if study.second_metric:
        decides.append(study.second_metric)
    return decides


def check_on_data(study: Study, arm: PlannedArm, facts: Any) -> None:
    """Check that the data have what an arm asks for.

    Raises:
        ConfigError: They have not.
    """
    try:
        study.core.check_data(arm.config, possible_values(arm.space), facts)
    except ConfigError as error:
        raise ConfigError(f"arm '{arm.name}': {error}") from None
