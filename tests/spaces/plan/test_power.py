"""What a number of seeds can show: known answers, and the same as the reports say afterwards."""

import subprocess
import sys

import pytest

from reports.evidence.statistics import paired
from spaces.plan.power import detectable_effect, p_floor, seeds_needed


@pytest.mark.parametrize(("seeds", "effect"), [(5, 1.68), (10, 1.00), (20, 0.66)])
def test_the_detectable_effect_has_the_known_values(seeds: int, effect: float) -> None:
    assert detectable_effect(seeds) == pytest.approx(effect, abs=0.005)


@pytest.mark.parametrize("seeds", [2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 30, 50, 100, 1000])
def test_the_detectable_effect_is_that_of_the_reports(seeds: int) -> None:
    assert detectable_effect(seeds) == pytest.approx(paired.detectable_effect(seeds), abs=1e-3)


def test_one_seed_detects_nothing() -> None:
    assert detectable_effect(1) is None


def test_more_seeds_detect_smaller_effects() -> None:
    effects = [detectable_effect(seeds) or 0.0 for seeds in range(2, 60)]
    assert effects == sorted(effects, reverse=True)


def test_p_floor_and_seeds_needed_agree() -> None:
    for arms in (2, 5, 20):
        seeds = seeds_needed(arms)
        assert p_floor(seeds) * (arms - 1) <= 0.05 < p_floor(seeds - 1) * (arms - 1)


def test_a_plan_needs_no_scipy_until_it_is_asked_for_power() -> None:
    code = "import sys, spaces.plan.power; print('scipy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
