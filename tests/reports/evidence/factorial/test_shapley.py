import itertools
from types import ModuleType

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reports.evidence.factorial.factors import find_two_level_design
from reports.evidence.factorial.shapley import shapley_values
from reports.evidence.statistics.paired import bca_interval
from reports.evidence.values import ShapleyValue
from reports.evidence.verdicts import Declined

QUICK = settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def _shapley(
    planted: ModuleType, values: object, levels: object
) -> tuple[ShapleyValue, ...] | Declined:
    results = planted.results_of(values, levels)
    measured = {arm: dict(enumerate(own)) for arm, own in values.items() if own}  # type: ignore[attr-defined]
    design = find_two_level_design(results.facts, measured)
    return design if isinstance(design, Declined) else shapley_values(design, 0)


def test_an_additive_game_gives_each_module_its_own_weight(planted: ModuleType) -> None:
    weights = {"A": 0.5, "B": -0.2, "C": 0.1}
    levels = planted.factorial_levels("ABC")
    values = planted.played(levels, lambda on: 2.0 + sum(weights[name] for name in on))
    found = _shapley(planted, values, levels)
    assert {f.factor: round(f.value, 12) for f in found} == weights  # type: ignore[union-attr]
    for one in found:
        assert not isinstance(one, Declined)
        assert (one.low, one.high) == pytest.approx((one.value, one.value))


@QUICK
@given(st.integers(0, 10_000), st.integers(2, 4))
def test_values_are_the_mean_over_all_orders_and_sum_to_the_whole(
    planted: ModuleType, seed: int, count: int
) -> None:
    factors = "ABCD"[:count]
    levels = planted.factorial_levels(factors)
    rng = np.random.default_rng(seed)
    values = {arm: rng.normal(size=5).tolist() for arm in levels}
    found = _shapley(planted, values, levels)
    v = {
        frozenset(f for f, level in own.items() if level == "on"): np.array(values[arm])
        for arm, own in levels.items()
    }
    orders = list(itertools.permutations(factors))
    total = 0.0
    for one in found:
        assert not isinstance(one, Declined)
        by_order = [
            v[frozenset(order[: order.index(one.factor) + 1])]
            - v[frozenset(order[: order.index(one.factor)])]
            for order in orders
        ]
        of_seeds = np.mean(by_order, axis=0)
        assert one.value == pytest.approx(of_seeds.mean(), abs=1e-9)
        assert (one.low, one.high) == pytest.approx(bca_interval(of_seeds, 0), abs=1e-3)
        total += one.value
    assert total == pytest.approx((v[frozenset(factors)] - v[frozenset()]).mean(), abs=1e-9)


def test_a_module_that_does_nothing_gets_nothing_and_equals_get_the_same(
    planted: ModuleType,
) -> None:
    levels = planted.factorial_levels("ABC")
    values = planted.played(levels, lambda on: float({"A", "B"} <= on))
    first, second, third = _shapley(planted, values, levels)
    assert not isinstance(first, Declined) and not isinstance(second, Declined)
    assert not isinstance(third, Declined)
    assert first.value == pytest.approx(0.5) and second.value == pytest.approx(0.5)
    assert third.value == pytest.approx(0.0, abs=1e-12)


def test_an_incomplete_factorial_and_seven_modules_are_declined(planted: ModuleType) -> None:
    levels = planted.factorial_levels("ABC")
    values = {arm: [1.0, 2.0] for arm in levels} | {"A + B": []}
    found = _shapley(planted, values, levels)
    assert (
        isinstance(found, Declined)
        and "7 of 8" in found.reason
        and "A + B has no value" in found.reason
    )
    many = planted.factorial_levels("ABCDEFG")
    found = _shapley(planted, {arm: [1.0, 2.0] for arm in many}, many)
    assert isinstance(found, Declined) and "7 factors" in found.reason
