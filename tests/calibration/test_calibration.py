"""The calibration of docs/calibration.md, at a reduced size."""

import numpy as np
import pytest

from tests.calibration.calibrate import calibrate, failures, page
from tests.calibration.verdict_rates import (
    flip_power,
    judge_differences,
    most_false_alarms,
    t_power,
    within,
)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_placebos_are_not_called_better_or_worse_and_true_effects_are_found() -> None:
    found = calibrate(worlds=3, studies=10, tables=60, processes=2)
    assert failures(found) == []
    assert "30 studies on 3 generated data sets" in page(found)


def test_the_bounds_are_those_of_the_binomial() -> None:
    # P(X > 33 | 500, .05) = .045, P(X > 32) = .067.
    assert most_false_alarms(500) == 33
    assert most_false_alarms(30) == 4
    assert within(50, [0.5] * 100) and not within(70, [0.5] * 100)


def test_the_power_of_the_exact_test_is_close_to_that_of_the_paired_t_test() -> None:
    for effect in (0.5, 1.0):
        assert flip_power(effect, 1.0, 10) == pytest.approx(t_power(effect, 10), abs=0.02)
    assert t_power(1.0, 10) == pytest.approx(0.80, abs=0.01)


def test_five_seeds_decide_nothing_and_ten_do() -> None:
    assert judge_differences(np.linspace(1.0, 2.0, 5), 0).verdict == "undecided"
    assert judge_differences(np.linspace(1.0, 2.0, 10), 0).verdict == "worse"
    assert judge_differences(np.linspace(-2.0, -1.0, 10), 0).verdict == "better"
