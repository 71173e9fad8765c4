"""The plan of a study: its arms on the data at hand, their budgets and seeds, and cell keys."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from msa_core.config.paths import Value
from msa_core.config.schema import MODALITIES, ConfigError
from msa_core.plugins import use_plugins
from spaces.plan.planned_arms import (
    PlannedArm,
    Versions,
    arms_on_data,
    check_annotations,
    digest,
    retuned,
)
from spaces.plan.power import p_floor, seeds_needed
from spaces.search_space.candidates import grid_size
from spaces.study_file.load import Study

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
class Plan:
    """What will run.

    Attributes:
        versions: of the data and the training core that its cells are of.
        arms: in the order of the study.
        merged: arm that is the same as another one here -> that one.
        tune_seeds, confirm_seeds: disjoint; the same for every arm, so cells are paired by seed.
        notes: what a reader should know, e.g. arms that the data makes pointless.
        warnings: what the author may want to change first.
    """

    study: Study
    versions: Versions
    arms: tuple[PlannedArm, ...]
    merged: Mapping[str, str] = field(default_factory=dict)
    tune_seeds: tuple[int, ...]
    confirm_seeds: tuple[int, ...]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def by_seconds(self) -> bool:
        """Whether arms are tuned for equal device-seconds, and not for equal candidates."""
        return self.study.budget.device_seconds is not None

    def candidates(self, arm: PlannedArm) -> int:
        """Candidates that an arm is tuned with; 0 where that is nothing, or a matter of seconds."""
        if not arm.space or self.by_seconds:
            return 0
        wanted = self.study.budget.candidates
        if self.study.sampler == "grid":
            return min(wanted, grid_size(arm.config, arm.space, arm.constraints))
        return wanted

    def tuning_cells(self, arm: PlannedArm) -> int:
        """Cells of the tuning phase of an arm, where their number is known."""
        return self.candidates(arm) * len(self.tune_seeds)

    def cells(self) -> int:
        """Cells of the whole study, where their number is known."""
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
        ConfigError: an arm makes no sense on this data, or no candidate can satisfy the
            constraints.
    """
    use_plugins(study.plugins)
    tuned, merged, notes = arms_on_data(study, versions, modalities)
    for arm in tuned:
        check_annotations(arm, annotated)
    arms, frozen_notes = retuned(study, tuned)
    grids = _grids(study, arms)
    budget = study.budget
    if budget.scheduler != "none":
        notes.append(_STOPPED[budget.scheduler].format(budget.bracket))
    return Plan(
        study=study,
        versions=versions,
        arms=tuple(arms),
        merged=merged,
        tune_seeds=tuple(
            TUNE_SEED_OFFSET + budget.seed + place for place in range(budget.tune_seeds)
        ),
        confirm_seeds=tuple(budget.seed + place for place in range(budget.confirm_seeds)),
        notes=(*study.notes, *notes, *frozen_notes),
        warnings=tuple(_warnings(study, arms, grids)),
    )


def cell_key(arm: PlannedArm, phase: str, resolved: Mapping[str, Value], seed: int) -> str:
    """The name of one training: digest of arm (with data and code), phase, configuration, seed."""
    return digest({"arm": arm.key, "phase": phase, "config": dict(resolved), "seed": seed})


def _grids(study: Study, arms: Sequence[PlannedArm]) -> dict[str, int]:
    """Arm -> points of its grid, where the sampler is one.

    Raises:
        ConfigError: too many to list.
    """
    if study.sampler != "grid":
        return {}
    sizes = {}
    for arm in arms:
        if arm.space:
            try:
                sizes[arm.name] = grid_size(arm.config, arm.space, arm.constraints)
            except ConfigError as error:
                raise ConfigError(f"arm '{arm.name}': {error}") from None
    return sizes


def _warnings(study: Study, arms: Sequence[PlannedArm], grids: Mapping[str, int]) -> list[str]:
    warnings = []
    budget = study.budget
    if grids and min(grids.values()) < min(budget.candidates, max(grids.values())):
        least, most = min(grids, key=grids.__getitem__), max(grids, key=grids.__getitem__)
        warnings.append(
            f"the grid of '{least}' has {grids[least]} points and that of '{most}' "
            f"{grids[most]}: budgets are unequal; lower budget.candidates to {grids[least]}, or "
            "use another sampler"
        )
    widest = max(arms, key=lambda arm: len(arm.space))
    counted = study.sampler != "grid" and budget.device_seconds is None
    if counted and budget.candidates < CANDIDATES_A_FIELD * len(widest.space):
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
