import numpy as np
import pytest
from scipy import stats

from reports.evidence.statistics.datasets import DatasetTest, compare_over_datasets
from reports.evidence.verdicts import Declined


def _means(values: np.ndarray) -> dict[str, dict[str, float]]:
    return {
        f"d{row}": {f"a{column}": float(value) for column, value in enumerate(own)}
        for row, own in enumerate(values)
    }


def test_friedman_is_that_of_scipy() -> None:
    values = np.random.default_rng(0).normal(size=(9, 4)) + np.array([0, 0, 0.5, 2])
    found = compare_over_datasets(_means(values), higher_is_better=True)
    assert isinstance(found, DatasetTest)
    wanted = stats.friedmanchisquare(*values.T)
    assert found.chi_square == pytest.approx(wanted.statistic, abs=1e-9)
    assert found.p == pytest.approx(wanted.pvalue, abs=1e-9)
    assert min(found.ranks, key=lambda arm: found.ranks[arm]) == "a3"
    assert sum(found.ranks.values()) == pytest.approx(10)


@pytest.mark.parametrize(
    ("arms", "datasets", "critical"), [(4, 14, 1.25), (5, 30, 1.11), (10, 20, 3.03)]
)
def test_critical_differences_are_those_of_the_published_table(
    arms: int, datasets: int, critical: float
) -> None:
    """Demsar 2006: q of 2.569, 2.728 and 3.164 for 4, 5 and 10 arms."""
    values = np.random.default_rng(0).normal(size=(datasets, arms))
    found = compare_over_datasets(_means(values), higher_is_better=True)
    assert isinstance(found, DatasetTest)
    assert found.critical_difference == pytest.approx(critical, abs=0.006)


def test_arms_that_are_not_told_apart_are_one_group() -> None:
    values = np.array([[0.0, 0.1, 5.0, 5.1]] * 20)
    values[::2, [0, 1]] = values[::2, [1, 0]]
    values[::2, [2, 3]] = values[::2, [3, 2]]
    found = compare_over_datasets(_means(values), higher_is_better=False)
    assert isinstance(found, DatasetTest)
    assert found.groups == (("a0", "a1"), ("a2", "a3"))
    assert found.ranks == {"a0": 1.5, "a1": 1.5, "a2": 3.5, "a3": 3.5}


def test_five_data_sets_are_too_few_and_it_says_so() -> None:
    values = np.random.default_rng(0).normal(size=(5, 4))
    found = compare_over_datasets(_means(values), higher_is_better=True)
    assert isinstance(found, Declined) and "about 6 data sets; there are 5" in found.reason
    two = compare_over_datasets(_means(np.ones((8, 2))), higher_is_better=True)
    assert isinstance(two, Declined) and "at least 3 arms" in two.reason
    equal = compare_over_datasets(_means(np.ones((8, 3))), higher_is_better=True)
    assert isinstance(equal, Declined) and "equal" in equal.reason


def test_an_arm_that_lacks_a_data_set_is_left_out() -> None:
    means = _means(np.random.default_rng(0).normal(size=(7, 4)))
    del means["d2"]["a1"]
    found = compare_over_datasets(means, higher_is_better=True)
    assert isinstance(found, DatasetTest) and set(found.ranks) == {"a0", "a2", "a3"}
