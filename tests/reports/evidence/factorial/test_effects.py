import itertools
from types import ModuleType

import numpy as np
import pytest
from scipy import stats

from msa_core.config.schema import Config
from reports.evidence.factorial.effects import TIMES, factorial_effects
from reports.evidence.factorial.factors import arms_of_design, find_two_level_design
from reports.evidence.statistics.paired import holm_correction
from reports.evidence.values import FactorialEffects
from reports.evidence.verdicts import Declined
from spaces.designs.make_arms import (
    Arm,
    Component,
    Factor,
    Part,
    fractional,
    grid,
    leave_one_out,
    path,
)

WEIGHTS = {"A": 0.5, "B": -0.2, "C": 0.1}


def _additive_values(on: frozenset[str]) -> float:
    return 3.0 + sum(WEIGHTS.get(name, 0.0) for name in on)


def _effects_of(planted: ModuleType, values: object, levels: object) -> FactorialEffects | Declined:
    results = planted.results_of(values, levels)
    design = find_two_level_design(
        results.facts,
        {arm: dict(enumerate(own)) for arm, own in values.items() if own},  # type: ignore[attr-defined]
    )
    return design if isinstance(design, Declined) else factorial_effects(design)


def _components(names: str) -> list[Component]:
    return [
        Component(name=name, on=Part(name=name, changes={}), off=Part(name=name, changes={}))
        for name in names
    ]


def _levels_of(arms: list[Arm]) -> dict[str, dict[str, str]]:
    return {arm.name: dict(arm.levels) for arm in arms}


def test_an_additive_game_gives_each_factor_its_weight_and_no_interaction(
    planted: ModuleType,
) -> None:
    levels = planted.factorial_levels("ABC")
    found = _effects_of(planted, planted.played(levels, _additive_values), levels)
    assert isinstance(found, FactorialEffects)
    assert {e.factors: round(e.estimate, 12) for e in found.main} == {
        ("A",): 0.5,
        ("B",): -0.2,
        ("C",): 0.1,
    }
    assert [e.estimate for e in found.interactions] == pytest.approx([0, 0, 0], abs=1e-12)
    assert {e.factors for e in found.interactions} == {("A", "B"), ("A", "C"), ("B", "C")}
    assert (found.arms, found.seeds, found.mixed) == (8, 6, ())
    assert found.levels == (("off", "on"),) * 3
    assert {e.p for e in found.main} == {None}  # without any error there is no test


def test_an_interaction_is_half_of_how_much_an_effect_grows(planted: ModuleType) -> None:
    levels = planted.factorial_levels("AB")
    values = planted.played(levels, lambda on: 0.3 * ({"A", "B"} <= on))
    found = _effects_of(planted, values, levels)
    assert isinstance(found, FactorialEffects)
    (interaction,) = found.interactions
    # With B off, A does nothing; with B on, it adds .3.
    assert interaction.estimate == pytest.approx(0.15)
    assert [e.estimate for e in found.main] == pytest.approx([0.15, 0.15])


def test_effects_are_contrasts_of_means_with_the_t_test_of_their_residuals(
    planted: ModuleType,
) -> None:
    levels = planted.factorial_levels("ABC")
    values = planted.played(levels, _additive_values, noise=0.3, seeds=5)
    found = _effects_of(planted, values, levels)
    assert isinstance(found, FactorialEffects)
    table = np.array([values[arm] for arm in levels])  # [arms, seeds]
    signs = np.array([[1 if own[f] == "on" else -1 for f in "ABC"] for own in levels.values()])
    effects = [*found.main, *found.interactions]
    contrasts = [signs[:, ["ABC".index(f) for f in e.factors]].prod(axis=1) for e in effects]
    fitted = table.mean() + (table.mean(axis=0) - table.mean())[None]
    for contrast, effect in zip(contrasts, effects, strict=True):
        by_hand = table[contrast > 0].mean() - table[contrast < 0].mean()
        assert effect.estimate == pytest.approx(by_hand, abs=1e-9)
        fitted = fitted + contrast[:, None] * by_hand / 2
    free = 40 - 6 - 5
    error = np.sqrt(((table - fitted) ** 2).sum() / free) * 2 / np.sqrt(40)
    for effect in effects:
        assert effect.low is not None and effect.high is not None
        half = stats.t.ppf(0.975, free) * error
        assert effect.low == pytest.approx(effect.estimate - half, abs=1e-9)
        assert effect.high == pytest.approx(effect.estimate + half, abs=1e-9)
        p = 2 * stats.t.sf(abs(effect.estimate) / error, free)
        assert effect.p == pytest.approx(p, abs=1e-9)
    assert [e.p_holm for e in found.main] == pytest.approx(
        holm_correction([e.p or 0 for e in found.main])
    )


def test_a_block_takes_away_what_all_arms_share_on_a_seed(planted: ModuleType) -> None:
    levels = planted.factorial_levels("AB")
    values = planted.played(levels, _additive_values, noise=0.1)
    louder = {arm: [v + 100 * s for s, v in enumerate(own)] for arm, own in values.items()}
    quiet, loud = (_effects_of(planted, v, levels) for v in (values, louder))
    assert isinstance(quiet, FactorialEffects) and isinstance(loud, FactorialEffects)
    for before, after in zip(quiet.main, loud.main, strict=True):
        assert after.estimate == pytest.approx(before.estimate, abs=1e-9)
        assert after.p == pytest.approx(before.p, rel=1e-6)


def test_a_fraction_says_what_is_mixed_and_shows_no_such_interaction(planted: ModuleType) -> None:
    levels = _levels_of(fractional(Config, _components("ABCD"), 4))
    assert len(levels) == 8
    values = planted.played(levels, _additive_values, noise=0.01)
    found = _effects_of(planted, values, levels)
    assert isinstance(found, FactorialEffects)
    assert [e.estimate for e in found.main] == pytest.approx([0.5, -0.2, 0.1, 0.0], abs=0.03)
    assert found.interactions == ()
    assert f"A{TIMES}B with C{TIMES}D" in found.mixed and len(found.mixed) == 6
    # Of resolution 3 even main effects are.
    coarse = _levels_of(fractional(Config, _components("ABC"), 3))
    found = _effects_of(planted, planted.played(coarse, _additive_values), coarse)
    assert isinstance(found, FactorialEffects)
    assert found.interactions == () and f"A with B{TIMES}C" in found.mixed


def test_a_fraction_of_resolution_five_shows_its_interactions(planted: ModuleType) -> None:
    levels = _levels_of(fractional(Config, _components("ABCDE"), 5))
    assert len(levels) == 16
    found = _effects_of(planted, planted.played(levels, _additive_values), levels)
    assert isinstance(found, FactorialEffects)
    assert len(found.interactions) == 10 and found.mixed == ()


def test_a_grid_of_two_levels_names_its_contrast(planted: ModuleType) -> None:
    factors = [
        Factor(name="depth", levels=(Part(name="deep", changes={}), Part(name="flat", changes={}))),
        Factor(name="width", levels=(Part(name="wide", changes={}), Part(name="thin", changes={}))),
    ]
    levels = _levels_of(grid(Config, factors))
    values = {
        arm: [float(own["depth"] == "flat") + 0.1 * s for s in range(4)]
        for arm, own in levels.items()
    }
    found = _effects_of(planted, values, levels)
    assert isinstance(found, FactorialEffects)
    # The baseline is the first arm: deep and wide.
    assert dict(zip(found.factors, found.levels, strict=True)) == {
        "depth": ("deep", "flat"),
        "width": ("wide", "thin"),
    }
    assert {e.factors: round(e.estimate, 9) for e in found.main} == {("depth",): 1, ("width",): 0}


@pytest.mark.parametrize(
    ("arms", "reason"),
    [
        (leave_one_out(_components("ABC")), "the differences in the table are the main effects"),
        (path(Config, _components("ABC"), "ABC"), "some factors' levels go together"),
        (leave_one_out(_components("A")), "a design of one factor"),
        ([Arm(name="x", changes={}), Arm(name="y", changes={})], "no arm of this study comes"),
    ],
)
def test_designs_that_give_no_effects_are_declined(
    planted: ModuleType, arms: list[Arm], reason: str
) -> None:
    levels = {arm: own for arm, own in _levels_of(arms).items() if own}
    values = {arm.name: [1.0, 2.0] for arm in arms}
    found = _effects_of(planted, values, levels)
    assert isinstance(found, Declined) and reason in found.reason


def test_three_levels_are_declined(planted: ModuleType) -> None:
    levels = {
        f"{a}{b}": {"A": a, "B": b} for a, b in itertools.product(("on", "off"), ("1", "2", "3"))
    }
    found = _effects_of(planted, {arm: [1.0] for arm in levels}, levels)
    assert isinstance(found, Declined) and "B has 3 levels" in found.reason


def test_a_missing_arm_is_named(planted: ModuleType) -> None:
    levels = planted.factorial_levels("AB")
    values = {**planted.played(levels, _additive_values), "A": []}
    found = _effects_of(planted, values, levels)
    assert isinstance(found, Declined) and "without A, which has no confirmed value" in found.reason


def test_only_seeds_that_all_arms_share_count(planted: ModuleType) -> None:
    levels = planted.factorial_levels("AB")
    values = planted.played(levels, _additive_values, noise=0.1)
    values["A"] = values["A"][:4]
    found = _effects_of(planted, values, levels)
    assert isinstance(found, FactorialEffects) and found.seeds == 4
    cut = {arm: own[:4] for arm, own in values.items()}
    assert found == _effects_of(planted, cut, levels)


def test_of_a_union_of_designs_the_largest_set_with_the_same_factors_counts(
    planted: ModuleType,
) -> None:
    levels = {**planted.factorial_levels("ABC"), "x": {"D": "on"}, "y": {"D": "off"}}
    facts = planted.facts_of(["none", "y", *(a for a in levels if a not in ("none", "y"))])
    facts = planted.facts_of(facts.arms, levels=levels)
    assert set(arms_of_design(facts)) == set(levels) - {"x", "y"}


def test_a_frozen_twin_does_not_count_twice(planted: ModuleType) -> None:
    levels = planted.factorial_levels("AB")
    levels["A, frozen"] = levels["A"]
    facts = planted.facts_of(list(levels), levels=levels, frozen={"A, frozen": "none"})
    assert "A, frozen" not in arms_of_design(facts)
    only_frozen = planted.facts_of(list(levels)[:4], levels=levels, frozen={"A": "none"})
    assert set(arms_of_design(only_frozen)) == {"none", "A", "B", "A + B"}
