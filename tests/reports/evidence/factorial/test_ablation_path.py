from types import ModuleType

import numpy as np
import pytest

from msa_core.config.schema import Config
from reports.evidence.factorial.ablation_path import ablation_path, race_arms
from reports.evidence.factorial.factors import find_two_level_design
from reports.evidence.statistics.paired import bca_interval
from reports.evidence.values import PathStep
from reports.evidence.verdicts import Declined
from spaces.designs.make_arms import Component, Part, leave_one_out, path

WEIGHTS = {"A": 0.2, "B": 0.5, "C": -0.1}


def _path(
    planted: ModuleType, values: object, levels: object, *, higher: bool = True
) -> tuple[PathStep, ...] | Declined:
    results = planted.results_of(values, levels)
    measured = {arm: dict(enumerate(own)) for arm, own in values.items() if own}  # type: ignore[attr-defined]
    design = find_two_level_design(results.facts, measured)
    if isinstance(design, Declined):
        return design
    return ablation_path(design, higher_is_better=higher, seed=0)


def _components(names: str) -> list[Component]:
    return [
        Component(name=name, on=Part(name=name, changes={}), off=Part(name=name, changes={}))
        for name in names
    ]


def _game(on: frozenset[str]) -> float:
    return sum(WEIGHTS[name] for name in on)


def test_the_way_takes_the_best_flip_first(planted: ModuleType) -> None:
    levels = planted.factorial_levels("ABC")
    values = planted.played(levels, _game, noise=0.001, seeds=10)
    steps = _path(planted, values, levels)
    assert not isinstance(steps, Declined)
    assert [s.flip for s in steps] == ["", "B: on", "A: on", "C: on"]
    assert [s.arm for s in steps] == ["none", "B", "A + B", "A + B + C"]
    assert [s.considered for s in steps] == [0, 3, 2, 1]
    assert [s.left for s in steps[1:]] == [1, 1, 1]
    lower = _path(planted, values, levels, higher=False)
    assert not isinstance(lower, Declined)
    assert [s.flip for s in lower] == ["", "C: on", "A: on", "B: on"]


def test_a_step_is_paired_with_the_one_before(planted: ModuleType) -> None:
    levels = planted.factorial_levels("AB")
    values = planted.played(levels, _game, noise=0.05, seeds=8)
    steps = _path(planted, values, levels)
    assert not isinstance(steps, Declined)
    differences = np.array(values["B"]) - np.array(values["none"])
    assert steps[1].delta == pytest.approx(differences.mean())
    assert (steps[1].low, steps[1].high) == bca_interval(differences, 0)
    assert steps[1].mean == pytest.approx(np.mean(values["B"]))
    assert (steps[0].delta, steps[0].low) == (None, None)
    assert sum(s.delta or 0 for s in steps) == pytest.approx(
        np.mean(values["A + B"]) - np.mean(values["none"])
    )


def test_a_path_design_has_one_choice_at_each_step(planted: ModuleType) -> None:
    levels = {arm.name: dict(arm.levels) for arm in path(Config, _components("ABC"), "CAB", "none")}
    steps = _path(planted, planted.played(levels, _game), levels)
    assert not isinstance(steps, Declined)
    assert [s.flip for s in steps[1:]] == ["C: on", "A: on", "B: on"]
    assert {s.considered for s in steps[1:]} == {1}


def test_the_way_leads_round_arms_that_lead_nowhere(planted: ModuleType) -> None:
    levels = planted.factorial_levels("ABC")
    values = planted.played(levels, _game, seeds=4)
    for gone in ("A + B", "B + C"):  # from B, the best first step, nothing leads on
        values[gone] = []
    steps = _path(planted, values, levels)
    assert not isinstance(steps, Declined)
    assert [s.arm for s in steps] == ["none", "A", "A + C", "A + B + C"]


def test_without_a_chain_of_trained_arms_there_is_no_way(planted: ModuleType) -> None:
    levels = {arm.name: dict(arm.levels) for arm in leave_one_out(_components("ABC"))}
    steps = _path(planted, planted.played(levels, _game), levels)
    assert isinstance(steps, Declined) and "all of A, B, C are off" in steps.reason
    levels = planted.factorial_levels("AB")
    values = planted.played(levels, _game) | {"A": [], "B": []}
    steps = _path(planted, values, levels)
    assert isinstance(steps, Declined) and "no chain" in steps.reason


def test_a_race_drops_what_is_worse_and_keeps_what_is_not_told_apart() -> None:
    rng = np.random.default_rng(0)
    luck = rng.normal(size=10)
    gains = np.stack([luck, luck + 1, luck + 1 + 0.01 * rng.normal(size=10), luck - 1])
    best, left = race_arms(gains, 0)
    assert best in (1, 2) and left == 2
    # Five seeds can't make any p small enough, so all stay in the race.
    assert race_arms(gains[:, :5], 0)[1] == 4
    assert race_arms(gains[:1], 0) == (0, 1)
