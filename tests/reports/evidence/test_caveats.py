from types import ModuleType

import pytest

from reports.evidence.caveats import Limits, describe_fairness, describe_limits


def _limits(seeds: int = 10, arms: int = 7, size: int = 686, accuracy: float = 0.84) -> Limits:
    return describe_limits(
        seeds=seeds,
        arms=arms,
        difference_sds=[0.03, 0.01, 0.02],
        test_size=size,
        baseline_means={"mae": 0.7, "acc2": accuracy},
    )


@pytest.mark.parametrize(
    ("size", "accuracy", "points"), [(686, 0.84, 1.40), (4659, 0.84, 0.54), (457, 0.79, 1.9)]
)
def test_the_size_of_the_usual_test_sets_limits_their_accuracy(
    size: int, accuracy: float, points: float
) -> None:
    error = _limits(size=size, accuracy=accuracy).accuracy_error
    assert error is not None and 100 * error == pytest.approx(points, abs=0.006)


def test_five_seeds_can_decide_nothing_and_it_says_how_many_would(planted: ModuleType) -> None:
    limits = _limits(seeds=5)
    assert limits.p_floor == 0.0625
    assert limits.seeds_needed == 9
    assert limits.detectable_sd == pytest.approx(1.68, abs=0.006)
    # In the unit of the metric: by the median sd of the arms' differences.
    assert limits.detectable == pytest.approx(1.68 * 0.02, abs=2e-4)


def test_an_arm_with_nothing_to_tune_has_no_unequal_budget(planted: ModuleType) -> None:
    rows = [
        {"arm": arm, "candidate": number}
        for arm, tried in (("full", 3), ("a", 3), ("b", 2), ("fixed", 1))
        for number in range(tried)
    ]
    searched = {"full": ("lr",), "a": ("lr",), "b": ("lr",), "fixed": ()}
    results = planted.results_of({arm: [1.0] for arm in searched}, tuning=rows, searched=searched)
    fairness = {row.arm: row for row in describe_fairness(results)}
    assert [arm for arm, row in fairness.items() if row.unequal] == ["b"]
    assert fairness["b"].candidates == 2 and fairness["fixed"].candidates == 1
