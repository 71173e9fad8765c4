"""How continuous values become bins."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msa_core.analysis.binning import (
    cluster_rows,
    discretise_values,
    joint_counts,
    label_classes,
    quantile_bins,
)


def test_quantile_bins_are_equally_full():
    values = np.random.default_rng(0).standard_normal(1000)
    assert np.bincount(quantile_bins(values, 8)).tolist() == [125] * 8
    assert quantile_bins([3.0, 1.0, 2.0], 3).tolist() == [2, 0, 1]
    assert quantile_bins([4.0, 1.0, 3.0, 2.0], 2).tolist() == [1, 0, 1, 0]


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=40), st.integers(2, 6))
def test_equal_values_share_a_bin_and_only_the_order_counts(values, bins):
    numbers = np.array(values, float)
    found = quantile_bins(numbers, bins)
    assert found.min() >= 0
    assert found.max() < bins
    for value in set(values):
        assert len(set(found[numbers == value])) == 1
    assert (np.diff(found[np.argsort(numbers, kind="stable")]) >= 0).all()
    np.testing.assert_array_equal(quantile_bins(np.exp(numbers), bins), found)


def test_clusters_find_groups_that_are_far_apart():
    rng = np.random.default_rng(0)
    group = np.arange(200) % 4
    centres = 20 * np.eye(4)
    found = cluster_rows(centres[group] + rng.standard_normal((200, 4)), 4, rng)
    assert len(set(zip(group, found, strict=True))) == 4
    assert sorted(set(found)) == [0, 1, 2, 3]


def test_clusters_are_those_of_the_generator():
    rows = np.random.default_rng(0).standard_normal((100, 3))
    first = cluster_rows(rows, 5, np.random.default_rng(1))
    np.testing.assert_array_equal(cluster_rows(rows, 5, np.random.default_rng(1)), first)


def test_fewer_distinct_rows_than_clusters_are_a_cluster_each():
    rows = np.array([[0.0, 1.0], [2.0, 3.0], [0.0, 1.0]])
    found = cluster_rows(rows, 5, np.random.default_rng(0))
    assert found[0] == found[2] != found[1]


def test_many_equal_rows_leave_no_warning_behind():
    """Empty clusters are common then; warnings are errors in this suite."""
    rows = np.repeat(np.random.default_rng(0).standard_normal((9, 2)), 20, axis=0)
    found = cluster_rows(rows, 8, np.random.default_rng(0))
    assert len(set(found)) <= 8


def test_mosi_classes_are_the_rounded_labels():
    labels = np.linspace(-3, 3, 121)
    seven = np.round(labels).astype(int) + 3
    np.testing.assert_array_equal(label_classes(labels, "mosi", 7), seven)
    np.testing.assert_array_equal(label_classes(labels, "mosi", 5), np.clip(seven - 1, 0, 4))
    np.testing.assert_array_equal(label_classes(labels, "mosi", 3), np.clip(seven - 2, 0, 2))
    np.testing.assert_array_equal(label_classes(labels, "mosi", 2), labels >= 0)


def test_sims_classes_are_right_closed():
    labels = np.array([-1.0, -0.7, -0.6, -0.1, 0.0, 0.1, 0.2, 0.7, 0.8, 1.0])
    assert label_classes(labels, "sims", 5).tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert label_classes(labels, "sims", 3).tolist() == [0, 0, 0, 0, 1, 1, 2, 2, 2, 2]
    assert label_classes(labels, "sims", 2).tolist() == [0] * 5 + [1] * 5


def test_what_is_in_bins_already_stays():
    rng = np.random.default_rng(0)
    np.testing.assert_array_equal(discretise_values(np.array([7, 7, -2]), 2, rng), [7, 7, -2])
    np.testing.assert_array_equal(discretise_values(np.array([True, False]), 2, rng), [1, 0])
    np.testing.assert_array_equal(discretise_values([0.5, 9.0], 2, rng), [0, 1])
    assert discretise_values(np.eye(3), 2, rng).shape == (3,)


def test_counts_have_a_row_for_each_bin_that_occurs():
    first, second = np.array([5, 5, 9, 5]), np.array([0, 1, 1, 0])
    table = joint_counts(first, second, np.array([1, 1, 0, 1]))
    assert table.tolist() == [[[0, 2], [0, 1]], [[0, 0], [1, 0]]]


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda rng: quantile_bins([1.0, np.nan], 2), "values, row 1.*finite"),
        (lambda rng: quantile_bins([], 2), "at least one row"),
        (lambda rng: quantile_bins([1.0], 1), "at least 2 bins"),
        (lambda rng: cluster_rows(np.zeros(3), 2, rng), "embeddings must have 2 axes"),
        (lambda rng: cluster_rows([[0.0], [np.inf]], 2, rng), "embeddings, row 1"),
        (lambda rng: label_classes([0.0], "sims", 7), "7 classes.*sims: 2, 3, 5"),
        (lambda rng: label_classes([0.0], "nrc", 2), "scheme 'nrc'"),
        (lambda rng: discretise_values(np.zeros((2, 2, 2)), 2, rng), "1 axes"),
        (lambda rng: joint_counts(np.arange(3), np.arange(2), np.arange(3)), r"\(3,\), \(2,\)"),
    ],
)
def test_what_can_not_be_binned_is_refused(call, match):
    with pytest.raises(ValueError, match=match):
        call(np.random.default_rng(0))
