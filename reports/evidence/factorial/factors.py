"""Design of factors in a study: its arms, and their values."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from reports.evidence.verdicts import Declined
from reports.results import FloatArray, StudyFacts

ON, OFF = "on", "off"  # levels of a factor that is a component
Levels = Mapping[str, str]  # factor -> level
SeedValues = Mapping[str, Mapping[int, float]]  # arm -> seed -> value, where defined


@dataclass(frozen=True, kw_only=True, eq=False)
class TwoLevelDesign:
    """Design in which every arm has one of two levels of every factor.

    Attributes:
        factors: Factors with both levels, in the order of the design.
        levels: Level that counts as off and level that counts as on, per factor.
        arms: Names, sorted by their signs, all off first.
        signs: Matrix [arms, factors], -1 off and +1 on; no two rows are equal.
        seeds: Seeds that all arms share.
        values: Values [arms, seeds] of the primary test metric.
        missing: Arms of the design without a value.
    """

    factors: tuple[str, ...]
    levels: tuple[tuple[str, str], ...]
    arms: tuple[str, ...]
    signs: FloatArray
    seeds: tuple[int, ...]
    values: FloatArray
    missing: tuple[str, ...]

    @property
    def is_full(self) -> bool:
        """Whether every combination of levels is there."""
        return len(self.arms) == 1 << len(self.factors)


def arms_of_design(facts: StudyFacts) -> tuple[str, ...]:
    """Return the largest set of arms with the same factors, in the order of the facts.

    Of an arm that is there both tuned and with frozen hyperparameters, the tuned one is taken.
    """
    groups: dict[tuple[str, ...], list[str]] = {}
    for arm in facts.arms:
        if levels := facts.levels.get(arm):
            groups.setdefault(tuple(sorted(levels)), []).append(arm)
    if not groups:
        return ()
    factors = min(groups, key=lambda names: (-len(groups[names]), names))
    tuned = {_sorted_levels(facts.levels[a]) for a in groups[factors] if a not in facts.frozen}
    return tuple(
        arm
        for arm in groups[factors]
        if arm not in facts.frozen or _sorted_levels(facts.levels[arm]) not in tuned
    )


def find_two_level_design(facts: StudyFacts, seed_values: SeedValues) -> TwoLevelDesign | Declined:
    """Find the two-level design in a study.

    Args:
        facts: Facts of the study, whose `levels` tell which factors an arm has on: names of arms
            are for readers.
        seed_values: Arm -> seed -> value of the primary test metric.
    """
    arms = arms_of_design(facts)
    if not arms:
        return Declined("no arm of this study comes from a design of factors")
    # The baseline decides which of two levels is low, so an effect is a change from it.
    first = facts.levels[facts.baseline if facts.baseline in arms else min(arms)]
    found = {name: {facts.levels[arm][name] for arm in arms} for name in first}
    for name, levels in found.items():
        if len(levels) > 2:
            return Declined(f"{name} has {len(levels)} levels, and effects are those of two")
    factors = tuple(name for name, levels in found.items() if len(levels) == 2)
    if len(factors) < 2:
        return Declined("a design of one factor: its effect is the difference in the table")
    low_high = tuple(_low_high(found[name], first[name]) for name in factors)
    signs = {
        arm: tuple(
            1.0 if facts.levels[arm][name] == high else -1.0
            for name, (_, high) in zip(factors, low_high, strict=True)
        )
        for arm in arms
    }
    if len(set(signs.values())) < len(arms):
        return Declined("two arms have the same levels, so factors are not all that differs")
    measured = sorted((arm for arm in arms if seed_values.get(arm)), key=lambda arm: signs[arm])
    if len(measured) < 2:
        return Declined("fewer than two arms of the design have a confirmed value")
    # Paired by seed: a seed that some arm lacks is left out, so that all arms have the same ones.
    shared = set.intersection(*(set(seed_values[arm]) for arm in measured))
    if not shared:
        return Declined("the arms of the design share no complete confirm seed")
    seeds = tuple(sorted(shared))
    return TwoLevelDesign(
        factors=factors,
        levels=low_high,
        arms=tuple(measured),
        signs=np.array([signs[arm] for arm in measured]),
        seeds=seeds,
        values=np.array([[seed_values[arm][s] for s in seeds] for arm in measured]),
        missing=tuple(sorted(set(arms) - set(measured))),
    )


def _sorted_levels(levels: Levels) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(levels.items()))


def _low_high(levels: set[str], of_first: str) -> tuple[str, str]:
    """Order two levels: `off` is low and `on` is high, else the level of the baseline is low."""
    low = OFF if OFF in levels else min(levels - {ON}) if ON in levels else of_first
    (high,) = levels - {low}
    return low, high
