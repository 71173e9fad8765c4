"""The plan of a study: its arms on the data at hand, their budgets and seeds, and cell keys."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from spaces.fields.declaration import ConfigError, Value
from spaces.plan.arm_keys import digest_of
from spaces.plan.arms_on_data import (
    CoreVersion,
    PlannedArm,
    Versions,
    apply_retune,
    arms_on_data,
    check_on_data,
)
from spaces.plan.power import p_floor, seeds_needed
from spaces.search_space.candidates import grid_size
from spaces.study_file.load import Study

# Tuning seeds start this far above the confirm seeds; budgets are smaller, so they never meet.
TUNE_SEED_OFFSET = 1_000_000
CANDIDATES_PER_FIELD = 3
_STOPPED = {
    "bracket": "candidates are stopped early: at each rung the best third of {} goes on",
    "asha": "candidates are stopped early by ASHA, which depends on what has finished when",
}


class Phase(StrEnum):
    """A phase of an arm; a string, as files and tags hold it."""

    TUNE = "tune"
    CONFIRM = "confirm"


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """Arms, budgets and seeds of a study: all that will run.

    Attributes:
        study: Study that is planned.
        versions: Versions of the data and the core that its cells are made with.
        code_files: Digest of the code that an arm can reach -> digests of its files, for every
            digest that an arm's key holds; empty where they are unknown.
        arms: Arms in the order of the study.
        merged: Arm that is the same as another one on this data -> that one.
        tune_seeds, confirm_seeds: Seeds of the two phases, disjoint, and the same for every arm, so
            that cells are paired by seed.
        notes: Facts that a reader should know, e.g. arms that the data makes pointless.
        warnings: Weaknesses that the author may want to mend first.
    """

    study: Study
    versions: Versions
    arms: tuple[PlannedArm, ...]
    merged: Mapping[str, str] = field(default_factory=dict)
    code_files: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    tune_seeds: tuple[int, ...]
    confirm_seeds: tuple[int, ...]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def by_seconds(self) -> bool:
        """Whether arms are tuned for equal device-seconds, and not for equal candidates."""
        return self.study.budget.device_seconds is not None

    @property
    def codes(self) -> dict[str, str]:
        """Key of an arm -> digest of the code that its trainings can reach now."""
        return {arm.key: arm.code.digest for arm in self.arms}

    def candidate_count(self, arm: PlannedArm) -> int:
        """Return how many candidates an arm is tuned with.

        0 where nothing is tuned, or where the arm's seconds decide.
        """
        if not arm.space or self.by_seconds:
            return 0
        wanted = self.study.budget.candidates
        if self.study.sampler == "grid":
            return min(wanted, grid_size(self.study.core, arm.config, arm.space, arm.constraints))
        return wanted

    def tuning_cells(self, arm: PlannedArm) -> int:
        """Return how many cells the tuning of an arm has, where their number is known."""
        return self.candidate_count(arm) * len(self.tune_seeds)

    def cell_count(self) -> int:
        """Return how many cells the whole study has, where their number is known."""
        return sum(self.tuning_cells(arm) + len(self.confirm_seeds) for arm in self.arms)


def plan_study(
    study: Study,
    versions: Versions,
    facts: Any = None,
    core_version: CoreVersion | None = None,
) -> Plan:
    """Lay out a study on the data at hand.

    Args:
        study: Study to plan.
        versions: Versions of the data and the core.
        facts: Facts of the data; None = nothing is known, and all is taken to be there.
        core_version: Function that returns the version of the code that an arm can reach; None =
            every arm has that of the whole core.

    Raises:
        ConfigError: An arm makes no sense on this data, or no candidate can satisfy the
            constraints.
    """
    tuned, merged, notes = arms_on_data(study, versions, facts, core_version)
    if facts is not None:
        for arm in tuned:
            check_on_data(study, arm, facts)
    arms, frozen_notes = apply_retune(study, tuned)
    grids = _grid_sizes(study, arms)
    budget = study.budget
    if budget.scheduler != "none":
        notes.append(_STOPPED[budget.scheduler].format(budget.bracket))
    return Plan(
        study=study,
        versions=versions,
        arms=tuple(arms),
        merged=merged,
        code_files={arm.code.digest: arm.code.files for arm in tuned},
        tune_seeds=tuple(
            TUNE_SEED_OFFSET + budget.seed + number for number in range(budget.tune_seeds)
        ),
        confirm_seeds=tuple(budget.seed + number for number in range(budget.confirm_seeds)),
        notes=(*study.notes, *notes, *frozen_notes),
        warnings=tuple(_plan_warnings(study, arms, grids)),
    )


def cell_key(arm: PlannedArm, phase: str, resolved: Mapping[str, Value], seed: int) -> str:
    """Return the key of one cell: a digest of arm, phase, configuration and seed."""
    # Data and code are in it too, through the key of the arm.
    return digest_of({"arm": arm.key, "phase": phase, "config": dict(resolved), "seed": seed})


def _grid_sizes(study: Study, arms: Sequence[PlannedArm]) -> dict[str, int]:
    """Return arm -> points of its grid, where the sampler is one.

    Raises:
        ConfigError: Too many to list.
    """
    if study.sampler != "grid":
        return {}
    sizes = {}
    for arm in arms:
        if arm.space:
            try:
                sizes[arm.name] = grid_size(study.core, arm.config, arm.space, arm.constraints)
            except ConfigError as error:
                raise ConfigError(f"arm '{arm.name}': {error}") from None
    return sizes


def _plan_warnings(study: Study, arms: Sequence[PlannedArm], grids: Mapping[str, int]) -> list[str]:
    warnings = []
    budget = study.budget
    # Arms with fewer points than the budget has candidates are tuned less than the others.
    if grids and min(grids.values()) < min(budget.candidates, max(grids.values())):
        least, most = min(grids, key=grids.__getitem__), max(grids, key=grids.__getitem__)
        warnings.append(
            f"the grid of '{least}' has {grids[least]} points and that of '{most}' "
            f"{grids[most]}: budgets are unequal; lower budget.candidates to {grids[least]}, or "
            "use another sampler"
        )
    widest = max(arms, key=lambda arm: len(arm.space))
    counted = study.sampler != "grid" and budget.device_seconds is None
    if counted and budget.candidates < CANDIDATES_PER_FIELD * len(widest.space):
        needed = CANDIDATES_PER_FIELD * len(widest.space)
        warnings.append(
            f"{len(widest.space)} searched fields in '{widest.name}' but only "
            f"{budget.candidates} candidates: fewer than {CANDIDATES_PER_FIELD} a field; "
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
